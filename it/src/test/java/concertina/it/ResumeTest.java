package concertina.it;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

/** Jobs that lose all their workers, or are stopped and resumed, end with the bits of the undisturbed run. */
class ResumeTest {
    private static final Duration LIMIT = Duration.ofSeconds(120);
    private static final String JOB = "--epochs 40 --pause-ms 8 --workers 2";

    private static Elastic.Undisturbed undisturbed(Path folder) {
        return Elastic.undisturbed(
                folder.resolve("undisturbed"), 2, "--epochs", "40", "--pause-ms", "0", "--workers", "2");
    }

    private static List<String> checkpoints(Platform platform, Client client, String id) {
        Path folder = platform.resultFolder(client.user(), id).resolve("checkpoint");
        if (!Files.isDirectory(folder)) {
            return List.of();
        }
        try (Stream<Path> files = Files.list(folder)) {
            return files.map(file -> String.valueOf(file.getFileName()))
                    .filter(name -> name.endsWith(".state"))
                    .sorted()
                    .toList();
        } catch (IOException failed) {
            throw new AssertionError(failed);
        }
    }

    private static String submit(Client client, String environment) {
        return client.submit(Elastic.arguments(2, environment + JOB), Elastic.upload())
                .get("id")
                .asString();
    }

    @Test
    void aStoppedJobIsResumedOnAnotherNodeAfterRestartsWithoutARepeatedStep(@TempDir Path folder) {
        try (Platform platform = Platform.start(folder.resolve("platform"), 2)) {
            Client client = platform.administrator();
            String id = submit(client, "");
            assertThat(client.send("POST", Client.NATIVE + "/jobs/" + id + "/resume")
                            .statusCode())
                    .isEqualTo(409);
            client.awaitJob("the third epoch", id, LIMIT, job -> job.get("step").asLong() > 3 * 32);
            client.stop(id);
            client.awaitState(id, "KILLED", LIMIT);
            List<String> left = checkpoints(platform, client, id);
            assertThat(left).hasSize(1);
            long step = Long.parseLong(left.getFirst().replaceAll("\\D", ""));

            platform.killAgent("node1");
            platform.killServer();
            platform.startServer();
            platform.startAgent("node2", 2);
            JsonNode resumed = Client.json(client.send("POST", Client.NATIVE + "/jobs/" + id + "/resume"));
            assertThat(resumed.get("id").asString()).isEqualTo(id);

            client.awaitState(id, "FINISHED", LIMIT);
            Elastic.Undisturbed undisturbed = undisturbed(folder);
            JsonNode job = client.job(id);
            assertThat(job.get("weightsSha256").asString()).isEqualTo(undisturbed.weightsSha256());
            assertThat(client.log(id, "outlog")).contains("Resumed from the checkpoint of step " + step + ".");
            assertThat(Elastic.shippedMicroBatches(platform, client.user(), id))
                    .as("no finished step is computed again; the one in flight has two micro-batches")
                    .isBetween(undisturbed.microBatches(), undisturbed.microBatches() + 2);
            assertThat(client.send("POST", Client.NATIVE + "/jobs/" + id + "/resume")
                            .statusCode())
                    .isEqualTo(409);
        }
    }

    @Test
    void aJobWhoseWorkersAreAllKilledAndThenItsAgentGoesOnFromItsCheckpoints(@TempDir Path folder) {
        try (Platform platform = Platform.start(folder.resolve("platform"), 2)) {
            Client client = platform.administrator();
            String id = submit(client, "--msd-env CONCERTINA_CHECKPOINT_SECONDS=0 ");
            JsonNode before = client.awaitJob(
                    "the third epoch", id, LIMIT, job -> job.get("step").asLong() > 3 * 32);
            Elastic.livingProcesses(before).forEach(Elastic::kill);
            client.awaitJob(
                    "training to go on",
                    id,
                    LIMIT,
                    job -> job.get("switches").size() > 1 && job.get("step").asLong() > 6 * 32);
            Waiting.until(
                    "a checkpoint at the server",
                    LIMIT,
                    () -> !checkpoints(platform, client, id).isEmpty());

            platform.killAgent("node1");
            platform.startAgent("node2", 2);

            client.awaitState(id, "FINISHED", LIMIT);
            assertThat(client.job(id).get("weightsSha256").asString())
                    .isEqualTo(undisturbed(folder).weightsSha256());
            assertThat(client.log(id, "outlog").lines().filter(line -> line.startsWith("Resumed from the checkpoint")))
                    .as(() -> client.job(id) + "\n" + platform.logs())
                    .hasSize(2);
        }
    }

    @Test
    void aPlatformThatIsShutDownGoesOnFromTheLastStep(@TempDir Path folder) {
        try (Platform platform = Platform.start(folder.resolve("platform"), 2)) {
            Client client = platform.administrator();
            String id = submit(client, "");
            client.awaitJob("the third epoch", id, LIMIT, job -> job.get("step").asLong() > 3 * 32);

            platform.endAgent("node1");
            platform.killServer();
            platform.startServer();
            platform.startAgent("node1", 2);

            client.awaitState(id, "FINISHED", LIMIT);
            Elastic.Undisturbed undisturbed = undisturbed(folder);
            assertThat(client.job(id).get("weightsSha256").asString()).isEqualTo(undisturbed.weightsSha256());
            assertThat(client.log(id, "outlog")).containsPattern("Resumed from the checkpoint of step \\d{3}");
            assertThat(Elastic.shippedMicroBatches(platform, client.user(), id))
                    .as("no finished step is computed again; the one in flight has two micro-batches")
                    .isBetween(undisturbed.microBatches(), undisturbed.microBatches() + 2);
        }
    }
}
