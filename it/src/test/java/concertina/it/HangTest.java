package concertina.it;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

/** Workers that stop stepping without dying, or are much slower than the others, are named and replaced; the weights are those of the undisturbed run. */
class HangTest {
    private static final Duration LIMIT = Duration.ofSeconds(120);
    private static final int EPOCHS = 8;

    @TempDir
    private static Path folder;

    private static Platform platform;
    private static Client client;
    private static Elastic.Undisturbed undisturbed;

    @BeforeAll
    static void start() {
        platform = Platform.start(folder.resolve("platform"), 4, "hang-seconds: 4", "straggler-seconds: 3");
        client = platform.administrator();
        undisturbed = Elastic.undisturbed(
                folder.resolve("undisturbed"), 4, "--epochs", Integer.toString(EPOCHS), "--pause-ms", "0");
    }

    @AfterAll
    static void stop() {
        platform.close();
    }

    private static String submit(String rest) {
        return client.submit(Elastic.arguments(4, "--epochs " + EPOCHS + " " + rest), Elastic.upload())
                .get("id")
                .asString();
    }

    private static List<String> reasons(String job) {
        return client.job(job)
                .get("switches")
                .valueStream()
                .map(each -> each.get("reason").asString())
                .toList();
    }

    @Test
    void aStoppedProcessIsReplaced() throws IOException, InterruptedException {
        String job = submit("--pause-ms 6");
        JsonNode before = client.awaitJob(
                "ten steps on four workers",
                job,
                LIMIT,
                view -> Elastic.size(view) == 4 && view.get("step").asLong() >= 10);
        long stopped = Elastic.livingProcesses(before).get(2);
        assertThat(new ProcessBuilder("kill", "-STOP", Long.toString(stopped))
                        .inheritIO()
                        .start()
                        .waitFor())
                .isZero();

        client.awaitState(job, "FINISHED", LIMIT);

        assertThat(client.job(job).get("weightsSha256").asString()).isEqualTo(undisturbed.weightsSha256());
        assertThat(reasons(job))
                .anySatisfy(reason ->
                        assertThat(reason).contains("did not finish step").contains("nothing was heard of it for"));
    }

    @Test
    void aScriptThatSleepsInOneWorkerIsNamedWithTheLine() {
        String job = submit("--pause-ms 6 --hang-at 9 --only 2");

        client.awaitState(job, "FINISHED", LIMIT);

        assertThat(client.job(job).get("weightsSha256").asString()).isEqualTo(undisturbed.weightsSha256());
        assertThat(reasons(job))
                .anySatisfy(reason -> assertThat(reason)
                        .contains("worker " + job + ".2 on node1 did not finish step")
                        .containsPattern("computing for \\d+ s, at main.py:\\d+ in forward"));
    }

    @Test
    void aWorkerThatIsMuchSlowerThanTheOthersIsNamedAndReplacedWithoutARepeatedStep() {
        String job = submit("--pause-ms 10 --slow-ms 150 --only 2");
        String sentence = "worker " + job + ".2 on node1 takes ";

        client.awaitState(job, "FINISHED", LIMIT);

        assertThat(client.job(job).get("weightsSha256").asString()).isEqualTo(undisturbed.weightsSha256());
        assertThat(Elastic.shippedMicroBatches(platform, client.user(), job)).isEqualTo(undisturbed.microBatches());
        assertThat(reasons(job))
                .anySatisfy(reason -> assertThat(reason)
                        .contains(" → 3 workers: " + sentence)
                        .contains(" ms per micro-batch, ")
                        .endsWith("; it is replaced"));
        assertThat(client.log(job, "outlog")).containsOnlyOnce("W" + sentence.substring(1));
        assertThat(client.job(job).get("workers").get(1).get("slow").asString()).endsWith("; it is replaced");
    }

    @Test
    void aScriptThatSleepsInEveryWorkerFailsWithStepAndLine() {
        String job = submit("--pause-ms 1 --hang-at 3 --workers 1");

        client.awaitState(job, "ERROR", LIMIT);

        assertThat(client.job(job).get("reason").asString())
                .startsWith("5 deaths of workers without a completed step in between; the last: worker " + job)
                .containsPattern("did not finish step \\d+: computing for \\d+ s, at main.py:\\d+ in forward");
        assertThat(Elastic.livingProcesses(client.job(job))).isEmpty();
    }

    @Test
    void aScriptGetsNoMoreWorkersThanItAsksFor() {
        String job = submit("--pause-ms 10 --ask 2");
        client.awaitJob("four workers", job, LIMIT, view -> Elastic.size(view) == 4);
        JsonNode bounded = client.awaitJob("two workers", job, LIMIT, view -> Elastic.size(view) == 2);
        assertThat(bounded.get("reason").asString()).contains("its scaleup_function asks for at most 2 workers");

        client.awaitState(job, "FINISHED", LIMIT);

        assertThat(client.job(job).get("weightsSha256").asString()).isEqualTo(undisturbed.weightsSha256());
    }
}
