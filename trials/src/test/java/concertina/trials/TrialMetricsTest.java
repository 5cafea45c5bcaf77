package concertina.trials;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class TrialMetricsTest {
    private static final SearchSpec SPEC = SearchScene.spec(1, 1);

    private static TrialResult read(String text) {
        return TrialMetrics.result(SPEC, text);
    }

    @Test
    void aListIsSummarizedByItsLeastGreatestAndLastValues() {
        assertThat(
                        read(
                                "[{\"step\":1,\"loss\":3,\"accuracy\":0.4},{\"steps\":2,\"loss\":1.5},{\"loss\":2,\"accuracy\":0.3}]"))
                .isEqualTo(new TrialResult.Measured(
                        List.of(new MetricSummary("loss", 1.5, 3, 2), new MetricSummary("accuracy", 0.3, 0.4, 0.3))));
    }

    @Test
    void aLinkIsNotFollowedAndBytesMustBeText(@TempDir Path folder) throws IOException {
        Path other = Files.writeString(folder.resolve("other"), "{\"loss\": 1}");
        assertThat(TrialMetrics.read(SPEC, List.of(other))).isInstanceOf(TrialResult.Measured.class);
        Path link = Files.createSymbolicLink(folder.resolve("val_dict_list.json"), other);
        assertThat(TrialMetrics.read(SPEC, List.of(link)))
                .asString()
                .contains("val_dict_list.json cannot be read")
                .doesNotContain("loss");
        Path bytes = Files.write(folder.resolve("bytes"), new byte[] {(byte) 0xff});
        assertThat(TrialMetrics.read(SPEC, List.of(bytes)))
                .isEqualTo(new TrialResult.Failed("val_dict_list.json is not UTF-8"));
    }

    @Test
    void oneObjectWillDo() {
        assertThat(read("{\"loss\": 7, \"note\": \"fine\"}"))
                .isEqualTo(new TrialResult.Measured(List.of(new MetricSummary("loss", 7, 7, 7))));
    }

    @Test
    void stepsWithoutAFiniteNumberDoNotCountWhileOneHasIt() {
        assertThat(read("[{\"loss\": 0.5}, {\"loss\": NaN}, {\"loss\": Infinity}, {\"accuracy\": \"high\"}]"))
                .isEqualTo(new TrialResult.Measured(List.of(new MetricSummary("loss", 0.5, 0.5, 0.5))));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "[{\"loss\": 1}, {\"lo | is not JSON",
                "`` | holds ''",
                "[{\"loss\": 1}] [] | is not JSON",
                "3 | holds '3', accepted: a list of objects",
                "[1, 2] | lists '1', accepted: a list of objects",
                "[] | 'loss' is missing in val_dict_list.json, which is empty",
                "{\"accuracy\": 1} | 'loss' is missing in val_dict_list.json, which holds accuracy",
                "{\"loss\": \"0.5\"} | 'loss' is '\"0.5\"' in val_dict_list.json, accepted: a number",
                "{\"loss\": null} | accepted: a number",
                "{\"loss\": true} | accepted: a number",
                "{\"loss\": [1]} | accepted: a number",
                "{\"loss\": NaN} | 'loss' is never a finite number",
                "[{\"loss\": 1}, {\"loss\": \"x\"}] | accepted: a number",
                "[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]] | is not JSON",
            })
    void whatIsNoMeasurementFailsTheTrialAndSaysWhy(String text, String reason) {
        assertThat(read(text == null ? "" : text))
                .isInstanceOfSatisfying(
                        TrialResult.Failed.class,
                        failed -> assertThat(failed.reason()).contains(reason));
    }

    private static final SearchSpec SEVERAL = SearchScene.spec(
            List.of(new Objective("loss", false), new Objective("speed", true)),
            List.of(new Constraint("memory", 16, false)),
            1,
            1);

    @Test
    void valuesThatBelongTogetherComeFromTheLastEntryThatHasThemAll() {
        TrialResult read = TrialMetrics.result(SEVERAL, """
                [{"loss": 1, "speed": 5, "memory": 20}, {"loss": 2, "speed": 4, "memory": 17, "accuracy": 0.5},
                 {"loss": 0.5, "speed": NaN, "memory": 3}, {"loss": 0.25, "accuracy": 0.75}]""");
        assertThat(read)
                .isEqualTo(new TrialResult.Measured(List.of(
                        new MetricSummary("loss", 1, 2, 2),
                        new MetricSummary("speed", 4, 5, 4),
                        new MetricSummary("memory", 17, 20, 17),
                        new MetricSummary("accuracy", 0.5, 0.75, 0.75))));
        List<MetricSummary> metrics = ((TrialResult.Measured) read).metrics();
        assertThat(SEVERAL.values(metrics)).containsExactly(2.0, 4.0);
        assertThat(SEVERAL.losses(metrics)).containsExactly(2, -4);
        assertThat(SEVERAL.violations(metrics)).containsExactly(1);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "[{\"loss\": 1, \"speed\": 2}] | 'memory' is missing in val_dict_list.json, which holds loss, speed",
                "[{\"loss\": 1, \"speed\": 2, \"memory\": \"big\"}] | 'memory' is '\"big\"'",
                "[{\"loss\": 1, \"speed\": 2}, {\"memory\": 3}] | no entry of val_dict_list.json has a finite number for each of loss, speed, memory",
            })
    void withSeveralObjectivesOrConstraintsOneEntryNeedsThemAll(String text, String reason) {
        assertThat(TrialMetrics.result(SEVERAL, text))
                .isInstanceOfSatisfying(
                        TrialResult.Failed.class,
                        failed -> assertThat(failed.reason()).contains(reason));
    }

    @Test
    void aMissingFileAndOneThatIsTooLargeFailTheTrial(@TempDir Path folder) throws IOException {
        assertThat(TrialMetrics.read(SPEC, List.of()))
                .isEqualTo(new TrialResult.Failed("it wrote no RESULT_DIR/val_dict_list.json"));
        Path large = folder.resolve("val_dict_list.json");
        Files.write(large, new byte[(16 << 20) + 1]);
        assertThat(TrialMetrics.read(SPEC, List.of(large)))
                .isInstanceOfSatisfying(
                        TrialResult.Failed.class,
                        failed -> assertThat(failed.reason()).contains("accepted: at most 16777216"));
    }
}
