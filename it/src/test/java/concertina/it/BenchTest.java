package concertina.it;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

/** The measurements run on the product as it is now, as short as they can be made; what times they find is not looked at. */
class BenchTest {
    private static final Duration LIMIT = Duration.ofMinutes(8);

    @TempDir
    private static Path folder;

    @Test
    void elasticComparesOneScheduleWithItsUndisturbedRunAndCountsTheStepsThatTwoRescalesRepeat() throws Exception {
        JsonNode figures = bench(
                        "elastic",
                        List.of("--only", "chaos", "--schedules", "1", "--first-seed", "55"),
                        List.of("--only", "pause", "--models", "digits", "--rescales", "2", "--kills", "0"),
                        List.of("--peer-repetitions", "0", "--ray-repetitions", "0"))
                .get("figures");

        JsonNode chaos = figures.get("chaos");
        assertThat(chaos.get("identical").asInt()).as(chaos.toString()).isEqualTo(1);
        JsonNode planned = figures.get("pause").get("convolutional, 0.2 MB").get("grow and shrink");
        assertThat(planned.get("count").asInt()).isEqualTo(2);
        assertThat(planned.get("repeated_steps").asInt()).isZero();
    }

    @Test
    void searchCountsEmptyTrialsThatOutliveAKilledServer() throws Exception {
        JsonNode figures = bench(
                        "search",
                        List.of("--only", "dispatch", "--dispatched", "4"),
                        List.of("--at-a-time", "2", "--ray-trials", "0"))
                .get("figures");

        JsonNode dispatched = figures.get("dispatch").get("2 at a time");
        assertThat(dispatched.get("durable_trials").asInt()).isEqualTo(4);
        assertThat(dispatched.get("seconds").asDouble()).isPositive();
        assertThat(figures.get("targets")).as("too few trials for the target").isEmpty();
    }

    @Test
    void searchComparesElasticTrialsWithTrialsOfOneSlotEach() throws Exception {
        JsonNode figures = bench(
                        "search",
                        List.of("--only", "elastic", "--elastic-seeds", "1"),
                        List.of("--elastic-epochs", "9"))
                .get("figures");

        JsonNode reached = figures.get("elastic").get("to_target");
        JsonNode elastic = reached.get("elastic").get("1");
        JsonNode single = reached.get("one slot each").get("1");
        assertThat(elastic.get("target_loss")).isEqualTo(single.get("target_loss"));
        assertThat(single.get("epochs_by_workers").propertyNames()).containsExactly("1");
        assertThat(figures.get("targets")).as("too few epochs for the target").isEmpty();
    }

    /** What a benchmark left as its results. */
    @SafeVarargs
    private static JsonNode bench(String name, List<String>... arguments) throws IOException, InterruptedException {
        Path place = Files.createTempDirectory(folder, name);
        Path results = place.resolve("results");
        Path log = place.resolve("log");
        List<String> command = new ArrayList<>(List.of(
                Platform.python(),
                Platform.home().resolve("bench/" + name + ".py").toString()));
        for (List<String> each : arguments) {
            command.addAll(each);
        }
        command.addAll(List.of(
                "--results", results.toString(), "--keep", place.resolve("work").toString()));
        ProcessBuilder builder = new ProcessBuilder(command)
                .redirectErrorStream(true)
                .redirectOutput(log.toFile())
                .redirectInput(new File("/dev/null"));
        builder.environment().put("CONCERTINA_HOME", Platform.home().toString());
        builder.environment().put("CONCERTINA_PYTHON", Platform.python());
        builder.environment().put("CONCERTINA_CLASS_PATH", Platform.classPath());
        builder.environment().put("JAVA_HOME", System.getProperty("java.home"));
        Process process = builder.start();
        try {
            assertThat(process.waitFor(LIMIT.toSeconds(), TimeUnit.SECONDS))
                    .as(Files.readString(log))
                    .isTrue();
        } finally {
            // It takes its server, agents and workers along.
            process.destroy();
            process.waitFor(30, TimeUnit.SECONDS);
        }
        assertThat(process.exitValue()).as(Files.readString(log)).isZero();
        try (var files = Files.list(results)) {
            return Client.parse(Files.readString(files.findFirst().orElseThrow()));
        }
    }
}
