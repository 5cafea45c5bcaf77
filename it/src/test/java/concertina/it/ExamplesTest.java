package concertina.it;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

/** Every example runs and learns. */
class ExamplesTest {
    private static final Duration LIMIT = Duration.ofSeconds(120);
    private static final Duration LONG_LIMIT = Duration.ofSeconds(240);
    private static final String DATA = " --cs-datastore-meta type=fs,data_path=digits ";

    private static Platform platform;
    private static Client client;

    @BeforeAll
    static void start(@TempDir Path folder) throws IOException {
        platform = Platform.start(folder, 4);
        client = platform.administrator();
        Path data = Files.createDirectories(folder.resolve("data/digits"));
        Files.copy(Platform.home().resolve("examples/digits/digits.csv.gz"), data.resolve("digits.csv.gz"));
    }

    @AfterAll
    static void stop() {
        platform.close();
    }

    @Test
    void theElasticDigitsReachNinetyFivePercent() {
        String id = submit("edtPyTorch --numWorker 4 --epochs 6", "digits");
        client.awaitState(id, "FINISHED", LIMIT);

        JsonNode job = client.job(id);

        assertThat(job.get("testAccuracy").asDouble()).isGreaterThanOrEqualTo(95);
        assertThat(platform.resultFolder(client.user(), id).resolve("model/train/model_epoch_final.pth"))
                .exists();
        assertThat(client.log(id, "")).contains("Train,", "Test,");
    }

    @Test
    void theLoopOfItsOwnReachesNinetyFivePercent() {
        String id = submit("edtPyTorch --numWorker 4 --epochs 6" + DATA, "native");
        client.awaitState(id, "FINISHED", LIMIT);

        JsonNode job = client.job(id);

        assertThat(job.get("testAccuracy").asDouble()).isGreaterThanOrEqualTo(95);
        assertThat(client.log(id, "")).contains("Train,", "Test,");
        assertThat(client.log(id, "outlog")).containsOnlyOnce("trained in 138 steps");
    }

    @Test
    void theGangReducesOverBothOfItsProcesses() {
        String id = submit("distPyTorch --numWorker 2 --epochs 3" + DATA, "digits-gang");
        client.awaitState(id, "FINISHED", LIMIT);

        String output = client.log(id, "outlog");

        assertThat(output).contains("WORLD_SIZE=2, RANK=0", "WORLD_SIZE=2, RANK=1");
        for (String line :
                output.lines().filter(each -> each.contains("over the gang")).toList()) {
            String figure = line.substring(line.indexOf("epoch"));
            assertThat(output).as("both ranks see the same sum").contains("rank 0: " + figure, "rank 1: " + figure);
        }
        String accuracy = output.substring(output.indexOf("test accuracy ") + 14)
                .lines()
                .findFirst()
                .orElseThrow();
        assertThat(Double.parseDouble(accuracy)).isGreaterThan(90);
        assertThat(platform.resultFolder(client.user(), id).resolve("model/digits.pth"))
                .exists();
    }

    @Test
    void theSingleProcessRecordsItsMetricsAndSavesItsModel() throws IOException {
        String id = submit("PyTorch --epochs 4" + DATA, "single");
        client.awaitState(id, "FINISHED", LIMIT);

        Path results = platform.resultFolder(client.user(), id);
        JsonNode metrics = Client.parse(Files.readString(results.resolve("val_dict_list.json")));

        assertThat(metrics).hasSize(4);
        assertThat(metrics.get(3).get("steps").asInt()).isEqualTo(4);
        assertThat(metrics.get(3).get("accuracy").asDouble()).isGreaterThan(0.9);
        assertThat(results.resolve("model/digits.pth")).exists();
        assertThat(client.log(id, "").lines()).hasSize(4);
    }

    @Test
    void theElasticKerasDigitsReachNinetyFivePercent() {
        assumeTensorflow();
        String id = submit("edtTensorflow --numWorker 2 --epochs 6" + DATA, "keras-digits");
        client.awaitState(id, "FINISHED", LONG_LIMIT);

        JsonNode job = client.job(id);

        assertThat(job.get("testAccuracy").asDouble()).isGreaterThanOrEqualTo(95);
        assertThat(platform.resultFolder(client.user(), id).resolve("model/train/model_epoch_final.keras"))
                .exists();
        assertThat(client.log(id, "")).contains("Train,", "Test,");
    }

    @Test
    void theTensorflowGangTrainsOneModelOnBothOfItsProcesses() {
        assumeTensorflow();
        String id = submit("disttensorflow --numWorker 2 --epochs 3" + DATA, "disttensorflow");
        client.awaitState(id, "FINISHED", LONG_LIMIT);

        String output = client.log(id, "outlog");

        assertThat(output).contains("TF_CONFIG: worker 0 of 2", "TF_CONFIG: worker 1 of 2");
        for (String line :
                output.lines().filter(each -> each.contains("over the gang")).toList()) {
            String figure = line.substring(line.indexOf("epoch"));
            assertThat(output).as("both see the same sum").contains("worker 0: " + figure, "worker 1: " + figure);
        }
        assertThat(output).containsPattern("Test accuracy: 9[0-9]");
        assertThat(platform.resultFolder(client.user(), id).resolve("model/digits.index"))
                .exists();
    }

    /** Jobs on TensorFlow need a Python that has it; {@code ./concertina test} provides one. */
    private static void assumeTensorflow() {
        assumeThat(Platform.pythonFinds("tensorflow")).isTrue();
    }

    private static String submit(String start, String example) {
        byte[] archive = Archives.gzippedTar(
                Archives.folder(Platform.home().resolve("examples").resolve(example), example + "/"));
        return client.submit(
                        "--exec-start " + start + " --model-dir " + example + " --model-main main.py",
                        Upload.file(example + ".modelDir.tar", archive))
                .get("id")
                .asString();
    }
}
