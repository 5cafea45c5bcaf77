package concertina.it;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import tools.jackson.databind.JsonNode;

/** A worker is killed at a random step: the others carry on as they are, and the weights are those of the undisturbed run. */
class WorkerDeathTest {
    private static final Duration LIMIT = Duration.ofSeconds(60);
    private static final int EPOCHS = 8;
    private static final int STEPS = EPOCHS * 16;
    private static final int LOGICAL_WORKERS = 4;

    @TempDir
    private static Path folder;

    private static Platform platform;
    private static Client client;
    private static Elastic.Undisturbed undisturbed;

    @BeforeAll
    static void start() {
        platform = Platform.start(folder.resolve("platform"), 4);
        client = platform.administrator();
        undisturbed = Elastic.undisturbed(
                folder.resolve("undisturbed"), 4, "--epochs", Integer.toString(EPOCHS), "--pause-ms", "0");
    }

    @AfterAll
    static void stop() {
        platform.close();
    }

    static IntStream seeds() {
        return IntStream.rangeClosed(1, 20);
    }

    @ParameterizedTest(name = "seed {0}")
    @MethodSource("seeds")
    void aKilledWorkerChangesNothing(int seed) throws IOException {
        Random random = new Random(seed);
        int step = 1 + random.nextInt(STEPS - 30);
        int victim = random.nextInt(4);
        Path gate = folder.resolve("gate" + seed);
        String id = client.submit(
                        Elastic.arguments(LOGICAL_WORKERS, "--epochs " + EPOCHS + " --pause-ms 6 --gate " + gate),
                        Elastic.upload())
                .get("id")
                .asString();
        JsonNode before = client.awaitJob(
                "seed " + seed + ": step " + step,
                id,
                LIMIT,
                job -> Elastic.size(job) > 1 && job.get("step").asLong() >= step);
        List<Long> processes = Elastic.livingProcesses(before);
        long killed = processes.get(victim % processes.size());

        Elastic.kill(killed);
        Files.createFile(gate);

        client.awaitState(id, "FINISHED", LIMIT);
        JsonNode after = client.job(id);
        assertThat(after.get("weightsSha256").asString()).as("seed " + seed).isEqualTo(undisturbed.weightsSha256());
        assertThat(after.get("step").asLong()).isEqualTo(STEPS);
        assertThat(Elastic.shippedMicroBatches(platform, client.user(), id))
                .as("seed %d: only the step in flight is computed again", seed)
                .isBetween(
                        (long) LOGICAL_WORKERS * STEPS - LOGICAL_WORKERS,
                        (long) LOGICAL_WORKERS * STEPS + LOGICAL_WORKERS);
        for (JsonNode worker : after.get("workers")) {
            if (processes.contains(worker.get("processId").asLong())
                    && worker.get("processId").asLong() != killed) {
                assertThat(worker.get("exitCode").asInt())
                        .as("seed %d: %s survives to the end", seed, worker)
                        .isZero();
            }
        }
    }
}
