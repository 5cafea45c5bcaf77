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
