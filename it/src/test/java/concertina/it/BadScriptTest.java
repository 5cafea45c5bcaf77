package concertina.it;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;

/**
 * Scripts that are wrong end their own job with the reason and give the slots back; another job trains on all the time on the same two
 * workers.
 */
class BadScriptTest {
    private static final Duration LIMIT = Duration.ofSeconds(120);

    @TempDir
    private static Path folder;

    private static Platform platform;
    private static Client client;
    private static String other;
    private static int generation;

    @BeforeAll
    static void start() {
        platform = Platform.start(folder.resolve("platform"), 4, "log-first-megabytes: 1", "log-last-megabytes: 1");
        client = platform.administrator();
        other = submit("--epochs 100000 --pause-ms 20 --workers 2");
        generation = client.awaitJob("two workers", other, LIMIT, job -> Elastic.size(job) == 2)
                .get("generation")
                .asInt();
    }

    @AfterAll
    static void stop() {
        platform.close();
    }

    private static String submit(String rest) {
        return client.submit(Elastic.arguments(2, rest), Elastic.upload())
                .get("id")
                .asString();
    }

    private static String wrong(int workers, String name, String environment) {
        return client.submit(
                        Elastic.arguments(workers, environment + name).replace("main.py", "wrong.py"), Elastic.upload())
                .get("id")
                .asString();
    }

    private static JsonNode fails(String job) {
        client.awaitState(job, "ERROR", LIMIT);
        return over(job);
    }

    private static JsonNode over(String job) {
        JsonNode ended = client.job(job);
        assertThat(Elastic.livingProcesses(ended)).isEmpty();
        assertThat(ended.get("slotsHeld").asInt()).isZero();
        othersTrainOn();
        return ended;
    }

    private static void othersTrainOn() {
        long step = client.job(other).get("step").asLong();
        JsonNode later = client.awaitJob(
                "the other job's next steps",
                other,
                LIMIT,
                job -> job.get("step").asLong() > step + 1);
        assertThat(Elastic.size(later)).isEqualTo(2);
        assertThat(later.get("generation").asInt()).isEqualTo(generation);
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', textBlock = """
            --fail-at 5 --only 2            | the script fails here
            --exit-at 5 --exit-code 3       | ended with exit code 3
            --exit-at 5                     | ended with exit code 0 in the middle of training
            --exit-at 5 --only 2            | ended with exit code 0 in the middle of training
            --uneven                        | the script must give every worker the same data set
            """)
    void theJobFailsWithItsReason(String rest, String reason) {
        String job = submit("--epochs 6 --pause-ms 6 --workers 2 " + rest);

        assertThat(fails(job).get("reason").asString()).contains(reason);
    }

    @ParameterizedTest
    @ValueSource(strings = {"callback", "logger"})
    void anErrorInWhatTheUserHandsOverIsShownAsTheUsersOwn(String name) {
        String job = wrong(2, name, "");
        String error = "RuntimeError: the " + name + " fails here";

        assertThat(fails(job).get("reason").asString()).startsWith(error);

        List<String> errors = client.log(job, "errlog").lines().toList();
        int traceback = errors.indexOf("Traceback (most recent call last):");
        int last = errors.indexOf(error);
        assertThat(traceback).as(errors.toString()).isBetween(0, last);
        assertThat(errors.subList(traceback, last))
                .filteredOn(line -> line.startsWith("  File "))
                .as("only the script's own lines")
                .isNotEmpty()
                .allMatch(line -> line.contains("/wrong.py\""));
    }

    @Test
    void aScriptThatNeverTrainsIsTold() {
        String job = wrong(2, "no-training", "");

        assertThat(fails(job).get("reason").asString())
                .contains(
                        "ended with exit code 0 without training: the script of an elastic job calls train of a FabricModel");
        assertThat(client.log(job, "outlog")).contains("nothing to train");
    }

    @ParameterizedTest
    @ValueSource(strings = {"fork-and-return", "fork-and-stay", "fork-in-a-step"})
    void aProcessThatTheScriptForksIsNoWorkerAndDoesNotStay(String name) throws IOException {
        String job = wrong(2, name, "");

        client.awaitState(job, "FINISHED", LIMIT);

        JsonNode ended = over(job);
        assertThat(ended.get("step").asLong()).isEqualTo(ended.get("steps").asLong());
        assertThat(client.log(job, "outlog")).containsOnlyOnce("the script goes on after training");
        if (!name.equals("fork-and-stay")) {
            assertThat(client.log(job, "errlog")).contains("accepted is the worker's own process");
        }
        long child = Long.parseLong(
                Files.readString(platform.resultFolder(client.user(), job).resolve("child")));
        assertThat(Elastic.runs(child)).isFalse();
    }

    @Test
    void aDiskThatIsFullForCheckpointsCostsALine() {
        String job = wrong(2, "checkpoint-disk", "--msd-env CONCERTINA_CHECKPOINT_SECONDS=0 ");

        client.awaitState(job, "FINISHED", LIMIT);

        over(job);
        assertThat(client.log(job, "outlog"))
                .containsPattern("Checkpoint .*\\.state could not be written: File too large; .*training goes on");
    }

    @Test
    void aDiskThatIsFullForTheModelFailsTheJob() {
        String job = wrong(2, "model-disk", "");

        assertThat(fails(job).get("reason").asString())
                .startsWith("OSError: [Errno 27] File too large, a model file could not be written: ")
                .contains("/model/train/model_epoch_1.pth");
    }

    @Test
    void aDataSetThatBlocksIsNamedWithItsLine() {
        String job = wrong(2, "deadlock", "--msd-env CONCERTINA_HANG_SECONDS=2 ");

        client.awaitState(job, "FINISHED", LIMIT);

        assertThat(over(job)
                        .get("switches")
                        .valueStream()
                        .map(each -> each.get("reason").asString())
                        .toList())
                .anySatisfy(reason -> assertThat(reason)
                        .contains("worker " + job + ".2 on node1 did not finish step")
                        .containsPattern("at wrong.py:\\d+ in __getitem__"));
    }

    @Test
    void aStoppedOnlyWorkerIsReplacedAndOneThatIsDeafToSigtermIsKilled() {
        String deaf = wrong(1, "deaf", "");
        client.awaitJob("training", deaf, LIMIT, job -> job.get("step").asLong() > 0);
        client.stop(deaf);
        String stopped = wrong(1, "stop", "--msd-env CONCERTINA_HANG_SECONDS=1 ");

        client.awaitState(deaf, "KILLED", LIMIT);
        client.awaitState(stopped, "FINISHED", LIMIT);

        over(deaf);
        List<String> reasons = new ArrayList<>();
        over(stopped)
                .get("switches")
                .valueStream()
                .forEach(each -> reasons.add(each.get("reason").asString()));
        assertThat(client.log(stopped, "outlog")).contains("the script goes on after training");
        assertThat(reasons).hasSize(2);
    }

    @Test
    void aLogWithoutEndKeepsItsBeginningAndItsEnd() throws IOException {
        String job = wrong(1, "print", "");

        client.awaitState(job, "FINISHED", LIMIT);

        over(job);
        String log = client.log(job, "outlog");
        assertThat(log)
                .startsWith("line 0 ")
                .contains(" bytes are left out here: the first 1 MB and the last 1 MB of a log are kept]\n")
                .contains("\nline 199999 ")
                .endsWith("the script goes on after training\n");
        assertThat(log.length()).isBetween(2 << 20, (3 << 20) + 10_000);
        assertThat(client.job(job).get("workers")).isNotEmpty();
    }
}
