package concertina.it;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

/** Elastic jobs grow, shrink and share, while the processes that stay know nothing of it and the weights come out the same. */
class ElasticTest {
    private static final Duration LIMIT = Duration.ofSeconds(90);
    private static final int LOGICAL_WORKERS = 4;

    @TempDir
    private static Path folder;

    private static Platform platform;
    private static Client client;

    @BeforeAll
    static void start() {
        platform = Platform.start(folder.resolve("platform"), 4);
        client = platform.administrator();
    }

    @AfterAll
    static void stop() {
        platform.close();
    }

    @Test
    void twoJobsShareTheSlotsAndNoSurvivorRestarts() {
        String first = submit("--epochs 60 --pause-ms 4");
        JsonNode wide = client.awaitJob("four workers", first, LIMIT, job -> Elastic.size(job) == 4);
        List<Long> atFirst = Elastic.livingProcesses(wide);
        assertThat(atFirst).hasSize(4);

        String second = submit("--epochs 12 --pause-ms 4");
        JsonNode narrow = client.awaitJob("the first to give two back", first, LIMIT, job -> Elastic.size(job) == 2);
        List<Long> survivors = Elastic.livingProcesses(client.awaitJob(
                "two workers to have left",
                first,
                LIMIT,
                job -> Elastic.livingProcesses(job).size() == 2));
        assertThat(atFirst).containsAll(survivors);
        client.awaitJob("the second to have its half", second, LIMIT, job -> Elastic.size(job) == 2);

        client.awaitState(second, "FINISHED", LIMIT);
        JsonNode again = client.awaitJob(
                "the first to grow again",
                first,
                LIMIT,
                job -> job.get("generation").asInt() > narrow.get("generation").asInt() && Elastic.size(job) == 4);
        assertThat(Elastic.livingProcesses(again)).containsAll(survivors);
        client.awaitState(first, "FINISHED", LIMIT);

        JsonNode ended = client.job(first);
        assertThat(ended.get("step").asLong()).isEqualTo(ended.get("steps").asLong());
        assertThat(outcome(first))
                .as(() -> client.explain(first))
                .isEqualTo(Elastic.undisturbed(folder.resolve("first"), 4, "--epochs", "60", "--pause-ms", "0"));
        assertThat(outcome(second))
                .as(() -> client.explain(second))
                .isEqualTo(Elastic.undisturbed(folder.resolve("second"), 4, "--epochs", "12", "--pause-ms", "0"));
    }

    @Test
    void theReportedDigestIsThatOfTheDeliveredModel() {
        String job = submit("--epochs 3 --pause-ms 1");
        client.awaitState(job, "FINISHED", LIMIT);
        JsonNode ended = client.job(job);

        Path model = platform.resultFolder(client.user(), job).resolve("model/train/model_epoch_final.pth");

        assertThat(Elastic.digest(folder.resolve("digest"), model))
                .isEqualTo(ended.get("weightsSha256").asString());
        assertThat(platform.resultFolder(client.user(), job)
                        .resolve(ended.get("model").asString()))
                .exists();
        assertThat(client.exec(job).get("elastic").asBoolean()).isTrue();
        assertThat(client.exec(job).get("appName").asString()).isEqualTo("ElasticPyTorchTrain");
    }

    @Test
    void theTrainingLogHoldsOnlyLinesThatNotebooksCanRead() {
        String job = submit("--epochs 3 --pause-ms 1");
        client.awaitState(job, "FINISHED", LIMIT);

        List<String> lines = client.log(job, "").lines().toList();

        String train = "\\[\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d] Train,\\tTimestamp: \\d+,\\tGlobal steps: \\d+,"
                + "\\tIteration: \\d+,\\tLoss: [-+.e\\d]+,\\tAccuracy: [.\\d]+";
        assertThat(lines).isNotEmpty();
        assertThat(lines.getFirst()).matches(train);
        assertThat(lines)
                .allMatch(line -> line.matches(train)
                        || line.matches("\\[[^]]+] Test,\\tTimestamp: \\d+,\\tLoss: [-+.e\\d]+,\\tAccuracy: [.\\d]+"));
    }

    @Test
    void aScriptThatAsksForMoreWorkersThanWereSubmittedGetsTheSubmittedMaximum() {
        String job = client.submit(Elastic.arguments(2, "--epochs 4 --pause-ms 1 --workers 16"), Elastic.upload())
                .get("id")
                .asString();
        client.awaitState(job, "FINISHED", LIMIT);

        assertThat(client.job(job).get("logicalWorkers").asInt()).isEqualTo(2);
        assertThat(outcome(job))
                .isEqualTo(Elastic.undisturbed(
                        folder.resolve("clamped"), 4, "--epochs", "4", "--pause-ms", "0", "--workers", "2"));
    }

    @Test
    void aScriptThatRaisesFailsItsJobWithTheLastLineOfItsTraceback() {
        String job = submit("--epochs 3 --pause-ms 1 --fail-at 5");

        client.awaitState(job, "ERROR", LIMIT);

        assertThat(client.job(job).get("reason").asString()).contains("the script fails here");
        assertThat(Elastic.livingProcesses(client.job(job))).isEmpty();
    }

    private static String submit(String arguments) {
        return client.submit(Elastic.arguments(LOGICAL_WORKERS, arguments), Elastic.upload())
                .get("id")
                .asString();
    }

    /** What the job reached, and by how many micro-batches: more than the undisturbed run's would mean a repeated step. */
    private static Elastic.Undisturbed outcome(String job) {
        return new Elastic.Undisturbed(
                client.job(job).get("weightsSha256").asString(),
                Elastic.shippedMicroBatches(platform, client.user(), job));
    }
}
