package concertina.it;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

/** Who waits, who goes first, and that everybody is told why. */
class QueueTest {
    private static final Duration LIMIT = Duration.ofSeconds(60);
    private static final String ENDLESS = """
            import os, time
            print("began", os.environ.get("RANK", ""), flush=True)
            time.sleep(3600)
            """;

    private static Platform platform;
    private static Client client;
    private final List<String> submitted = new ArrayList<>();

    @BeforeAll
    static void start(@TempDir Path folder) {
        platform = Platform.start(folder, 3);
        client = platform.administrator();
    }

    @AfterAll
    static void stop() {
        platform.close();
    }

    @AfterEach
    void leaveNothingBehind() {
        submitted.forEach(client::stop);
        Waiting.until("all slots to be free", LIMIT, () -> {
            for (JsonNode agent : client.cluster().get("agents")) {
                for (JsonNode slot : agent.get("slots")) {
                    if (!slot.path("job").isNull() && !slot.path("job").isMissingNode()) {
                        return false;
                    }
                }
            }
            return true;
        });
    }

    @Test
    void aGangWaitsUntilItCanStartWholeAndSaysWhy() {
        String one = endless("PyTorch", "");
        String other = endless("PyTorch", "");
        awaitSlots(one, 1);
        awaitSlots(other, 1);

        String gang = endless("distPyTorch", "--numWorker 2");
        JsonNode waiting = client.awaitJob(
                "the gang to be told why",
                gang,
                LIMIT,
                job -> !job.get("reason").asString().isBlank());
        assertThat(waiting.get("slotsHeld").asInt()).isZero();
        assertThat(client.state(gang)).isIn("PENDING_CRD_SCHEDULER", "SUBMITTED");

        client.stop(one);

        JsonNode whole = awaitSlots(gang, 2);
        assertThat(whole.get("reason").asString()).isNotBlank();
        client.awaitJob("both to begin", gang, LIMIT, job -> {
            String output = client.log(gang, "outlog");
            return output.contains("began 0") && output.contains("began 1");
        });
        assertThat(client.job(other).get("slotsHeld").asInt()).isEqualTo(1);
    }

    @Test
    void higherPriorityGoesFirst() {
        List<String> holders = List.of(endless("PyTorch", ""), endless("PyTorch", ""), endless("PyTorch", ""));
        holders.forEach(holder -> awaitSlots(holder, 1));
        String low = endless("PyTorch", "--msd-priority 10");
        String high = endless("PyTorch", "--msd-priority 9000");

        client.stop(holders.getFirst());

        awaitSlots(high, 1);
        JsonNode passed = client.job(low);
        assertThat(passed.get("slotsHeld").asInt()).isZero();
        assertThat(passed.get("reason").asString()).isNotBlank();

        client.stop(holders.getLast());

        awaitSlots(low, 1);
    }

    @Test
    void anElasticJobGivesSlotsBackBeforeAGangHasToWait() {
        String elastic = client.submit(Elastic.arguments(3, "--epochs 100000 --workers 3"), Elastic.upload())
                .get("id")
                .asString();
        submitted.add(elastic);
        client.awaitJob("three workers", elastic, LIMIT, job -> Elastic.size(job) == 3);

        String gang = endless("distPyTorch", "--numWorker 2");

        awaitSlots(gang, 2);
        JsonNode shrunk = client.awaitJob("one worker left", elastic, LIMIT, job -> Elastic.size(job) == 1);
        assertThat(shrunk.get("reason").asString()).isNotBlank();
        assertThat(shrunk.get("state").asString()).isEqualTo("RUNNING");
    }

    @Test
    void aGangLargerThanTheClusterWaitsWithoutHarmToOthers() {
        String impossible = endless("distPyTorch", "--numWorker 64");

        String small = endless("PyTorch", "");

        awaitSlots(small, 1);
        assertThat(client.job(impossible).get("slotsHeld").asInt()).isZero();
        assertThat(client.job(impossible).get("reason").asString()).isNotBlank();
    }

    @Test
    void aJobThatWaitedLongerThanItMaySaysSo() {
        List<String> holders = List.of(endless("PyTorch", ""), endless("PyTorch", ""), endless("PyTorch", ""));
        holders.forEach(holder -> awaitSlots(holder, 1));

        String impatient = endless("PyTorch", "--msd-pending-timeout 1");

        client.awaitState(impatient, "ERROR", LIMIT);
        assertThat(client.job(impatient).get("reason").asString()).contains("1");
    }

    private String endless(String framework, String arguments) {
        String id = client.submit(
                        "--exec-start " + framework + " --model-main main.py " + arguments,
                        Upload.file("main.py", ENDLESS))
                .get("id")
                .asString();
        submitted.add(id);
        return id;
    }

    private static JsonNode awaitSlots(String id, int slots) {
        return client.awaitJob(
                id + " to hold " + slots,
                id,
                LIMIT,
                job -> job.get("slotsHeld").asInt() == slots
                        && Elastic.livingProcesses(job).size() == slots);
    }
}
