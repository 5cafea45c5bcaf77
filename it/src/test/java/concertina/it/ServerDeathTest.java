package concertina.it;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The server is killed while a job trains: training goes on without it, and the next server takes the job up as it is. */
class ServerDeathTest {
    private static final Duration LIMIT = Duration.ofSeconds(90);
    private static final int LOGICAL_WORKERS = 4;

    @Test
    void workersTrainOnWhileTheServerIsGoneAndAreAdopted(@TempDir Path folder) {
        try (Platform platform = Platform.start(folder.resolve("platform"), 4)) {
            Client client = platform.administrator();
            String id = client.submit(Elastic.arguments(LOGICAL_WORKERS, "--epochs 60 --pause-ms 8"), Elastic.upload())
                    .get("id")
                    .asString();
            List<Long> processes =
                    Elastic.livingProcesses(client.awaitJob("four workers", id, LIMIT, job -> Elastic.size(job) == 4));
            String queued = client.submit(
                            "--exec-start PyTorch --model-main main.py --msd-priority 1",
                            Upload.file("main.py", "print('remembered')\n"))
                    .get("id")
                    .asString();

            platform.killServer();

            long atDeath = Elastic.microBatches(platform, "node1", client.user(), id);
            Waiting.until(
                    "training to go on without a server",
                    LIMIT,
                    () -> Elastic.microBatches(platform, "node1", client.user(), id),
                    count -> count > atDeath + 40L * LOGICAL_WORKERS);
            assertThat(processes.stream().filter(Elastic::runs)).hasSizeGreaterThanOrEqualTo(2);

            platform.startServer();

            client.awaitState(queued, "FINISHED", LIMIT);
            client.awaitState(id, "FINISHED", LIMIT);
            assertThat(client.log(queued, "")).isEqualTo("remembered\n");
            Elastic.Undisturbed undisturbed =
                    Elastic.undisturbed(folder.resolve("undisturbed"), 4, "--epochs", "60", "--pause-ms", "0");
            assertThat(client.job(id).get("weightsSha256").asString()).isEqualTo(undisturbed.weightsSha256());
            assertThat(Elastic.shippedMicroBatches(platform, client.user(), id))
                    .as("no step is computed again")
                    .isEqualTo(undisturbed.microBatches());
            client.job(id)
                    .get("workers")
                    .forEach(worker -> assertThat(worker.get("exitCode").asInt())
                            .as(worker.toString())
                            .isZero());
        }
    }

    @Test
    void whatWasAcknowledgedIsThereAfterTheServerDied(@TempDir Path folder) {
        try (Platform platform = Platform.serverOnly(folder)) {
            Client client = platform.administrator();
            for (int round = 1; round <= 3; round++) {
                String id = client.submit(
                                "--exec-start PyTorch --model-main main.py", Upload.file("main.py", "print('kept')\n"))
                        .get("id")
                        .asString();

                platform.killServer();
                platform.startServer();

                assertThat(client.exec(id).get("args").asString()).contains("--model-main main.py");
                assertThat(Client.json(client.get(Client.EXEC + "/execs"))).hasSize(round);
            }
        }
    }
}
