package concertina.it;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

/** The agent is killed: its workers go with it, and the job goes on from its checkpoint once there is an agent again. */
class AgentDeathTest {
    private static final Duration LIMIT = Duration.ofSeconds(120);
    private static final Duration ORPHANS = Duration.ofSeconds(15);

    @Test
    void noWorkerOutlivesItsAgentAndTheJobRecovers(@TempDir Path folder) {
        try (Platform platform = Platform.start(folder.resolve("platform"), 2)) {
            Client client = platform.administrator();
            String id = client.submit(Elastic.arguments(2, "--epochs 30 --pause-ms 8 --workers 2"), Elastic.upload())
                    .get("id")
                    .asString();
            JsonNode before = client.awaitJob(
                    "the third epoch", id, LIMIT, job -> job.get("step").asLong() > 3 * 32);
            List<Long> processes = Elastic.livingProcesses(before);
            assertThat(processes).isNotEmpty();

            platform.killAgent("node1");

            Waiting.until(
                    "workers to be gone",
                    ORPHANS,
                    () -> processes.stream().filter(Elastic::runs).toList(),
                    List::isEmpty);
            platform.startAgent("node1", 2);

            client.awaitState(id, "FINISHED", LIMIT);
            assertThat(client.job(id).get("weightsSha256").asString())
                    .isEqualTo(Elastic.undisturbed(
                                    folder.resolve("undisturbed"),
                                    2,
                                    "--epochs",
                                    "30",
                                    "--pause-ms",
                                    "0",
                                    "--workers",
                                    "2")
                            .weightsSha256());
        }
    }

    @Test
    void aJobMovesToAnotherAgentWhenItsOwnIsLost(@TempDir Path folder) {
        try (Platform platform = Platform.start(folder.resolve("platform"), 2)) {
            Client client = platform.administrator();
            String id = client.submit(Elastic.arguments(2, "--epochs 30 --pause-ms 8 --workers 2"), Elastic.upload())
                    .get("id")
                    .asString();
            client.awaitJob("the third epoch", id, LIMIT, job -> job.get("step").asLong() > 3 * 32);

            // First the kill: on a slow machine the job would end while another agent starts.
            platform.killAgent("node1");
            platform.startAgent("node2", 2);

            client.awaitState(id, "FINISHED", LIMIT);
            assertThat(client.job(id).get("weightsSha256").asString())
                    .isEqualTo(Elastic.undisturbed(
                                    folder.resolve("undisturbed"),
                                    2,
                                    "--epochs",
                                    "30",
                                    "--pause-ms",
                                    "0",
                                    "--workers",
                                    "2")
                            .weightsSha256());
        }
    }
}
