package concertina.api.platform;

import static org.assertj.core.api.Assertions.assertThat;

import concertina.api.Multipart;
import concertina.api.ServedTest;
import concertina.model.JobId;
import concertina.model.JobState;
import java.io.IOException;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class SearchAnalysisRoutesTest extends ServedTest {
    private static final String HYPERSEARCH = "/platform/rest/deeplearning/v1/hypersearch";
    private static final String SEARCHES = "/concertina/v1/searches";

    private void create(String name, int trials, int parallel) {
        String data = """
                {"hpoName": "%s", "modelSpec": {"args": "--exec-start PyTorch --model-main main.py"},
                 "algoDef": {"algorithm": "Random", "maxJobNum": %d, "maxParalleJobNum": %d, "objectiveMetric": "score",
                             "objective": "maximize", "algoParams": [{"name": "RandomSeed", "value": "3"}]},
                 "hyperParams": [
                   {"name": "rate", "type": "Range", "dataType": "DOUBLE", "minDbVal": -4, "maxDbVal": -1, "power": 10},
                   {"name": "layers", "type": "Range", "dataType": "INT", "minIntVal": 1, "maxIntVal": 4},
                   {"name": "kind", "type": "Discrete", "dataType": "STR", "discreateStrVal": ["=SUM(A1)", "a, \\"b\\""]}]}
                """.formatted(name, trials, parallel);
        Multipart form = new Multipart().field("data", data).file("main.py", "main.py", "print(1)\n");
        HttpResponse<String> answer = server.send(server.as("bob", HYPERSEARCH)
                .header("Content-Type", form.contentType())
                .POST(form.publisher()));
        assertThat(answer.statusCode()).as(answer.body()).isEqualTo(200);
        await(() -> trials(name).size() == parallel);
    }

    private JsonNode trials(String name) {
        return server.json("bob", SEARCHES + "/" + name).get("trials");
    }

    private static void await(BooleanSupplier condition) {
        long deadline = System.nanoTime() + Duration.ofSeconds(30).toNanos();
        while (!condition.getAsBoolean()) {
            assertThat(System.nanoTime()).as("waiting").isLessThan(deadline);
            LockSupport.parkNanos(5_000_000);
        }
    }

    /** Lets a trial end with a score that depends on the layers alone. */
    private void finish(JsonNode trial) throws IOException {
        String job = trial.get("job").asString();
        await(() -> server.jobs.find(new JobId(job)).isPresent());
        server.jobs.move(job, JobState.RUNNING, 1);
        Path result = folder.resolve("results/bob/batchworkdir").resolve(job);
        Files.createDirectories(result);
        Files.writeString(
                result.resolve("val_dict_list.json"),
                "[{\"score\": " + trial.at("/parameters/layers").asInt() + "}]");
        server.jobs.move(job, JobState.FINISHED, 1);
    }

    private void finished(String name, int trials) throws IOException {
        create(name, trials, trials);
        for (JsonNode trial : trials(name)) {
            finish(trial);
        }
        await(() -> server.json("bob", SEARCHES + "/" + name)
                .get("state")
                .asString()
                .equals("FINISHED"));
    }

    @Test
    void aSearchIsShownWithItsSpaceAndTheLatestTrials() throws IOException {
        finished("s", 12);
        JsonNode search = server.json("bob", SEARCHES + "/s?latest=5");
        assertThat(search.get("objectives").toString()).isEqualTo("[{\"metric\":\"score\",\"maximize\":true}]");
        assertThat(search.get("parameters")).hasSize(3);
        assertThat(search.at("/parameters/0/scale").asString()).isEqualTo("log");
        assertThat(search.at("/parameters/1/kind").asString()).isEqualTo("whole");
        assertThat(search.get("trialCount").asInt()).isEqualTo(12);
        assertThat(search.get("trials")).hasSize(5);
        assertThat(search.at("/trials/4/trial").asInt()).isEqualTo(11);
        assertThat(search.at("/best/value").asDouble())
                .isEqualTo(search.at("/best/parameters/layers").asDouble());
        JsonNode list = server.json("bob", SEARCHES).get("searches");
        assertThat(list).hasSize(1);
        assertThat(list.get(0).has("trials")).isFalse();
        assertThat(server.json("eve", SEARCHES).get("searches")).isEmpty();
    }

    @Test
    void analysisTellsWhatMattersInTheMetricsOwnDirection() throws IOException {
        finished("s", 40);
        JsonNode importance = server.json("bob", SEARCHES + "/s/importance");
        assertThat(importance.get("trials").asInt()).isEqualTo(40);
        assertThat(importance.at("/importance/0/parameter").asString()).isEqualTo("layers");
        assertThat(importance.at("/importance/0/share").asDouble()).isGreaterThan(0.9);

        JsonNode slice = server.json("bob", SEARCHES + "/s/slice?parameter=layers&metric=score");
        assertThat(slice.get("points")).hasSize(40);
        slice.get("points")
                .forEach(point -> assertThat(point.get("value").asDouble())
                        .isEqualTo(point.get("x").asDouble()));

        JsonNode contour = server.json("bob", SEARCHES + "/s/contour?first=layers&second=rate&grid=10");
        assertThat(contour.get("x").toString()).isEqualTo("[1,2,3,4]");
        assertThat(contour.get("y")).hasSize(10);
        assertThat(contour.at("/value/3/0").asDouble())
                .isGreaterThan(contour.at("/value/0/0").asDouble());

        JsonNode lines = server.json("bob", SEARCHES + "/s/parallel-coordinates");
        assertThat(lines.get("lines")).hasSize(40);
        assertThat(lines.at("/parameters/2/values/0").asString()).isEqualTo("=SUM(A1)");

        JsonNode improvements = server.json("bob", SEARCHES + "/s/improvements").get("improvements");
        double[] values = IntStream.range(0, improvements.size())
                .mapToDouble(i -> improvements.get(i).get("value").asDouble())
                .toArray();
        assertThat(values).isSorted().endsWith(4);

        JsonNode front = server.json("bob", SEARCHES + "/s/pareto-front").get("trials");
        assertThat(front).isNotEmpty();
        front.forEach(trial -> assertThat(trial.get("value").asDouble()).isEqualTo(4));
    }

    @Test
    void allTrialsAreExported() throws IOException {
        finished("s", 12);
        HttpResponse<String> json = server.get("bob", SEARCHES + "/s/trials");
        assertThat(JsonMapper.shared().readTree(json.body())).isEqualTo(trials("s"));
        HttpResponse<String> table = server.get("bob", SEARCHES + "/s/trials?format=csv");
        assertThat(table.headers().firstValue("Content-Type").orElseThrow()).startsWith("text/csv");
        assertThat(table.headers().firstValue("Content-Disposition")).contains("attachment;filename=s.csv");
        List<String> lines = List.of(table.body().split("\r\n"));
        assertThat(lines).hasSize(13);
        assertThat(table.body()).as("both kinds").contains("SUM(A1)").contains("\"\"b\"\"");
        assertThat(lines.getFirst())
                .isEqualTo(
                        "\"trial\",\"job\",\"state\",\"value\",\"parameter rate\",\"parameter layers\",\"parameter kind\","
                                + "\"least score\",\"greatest score\",\"latest score\",\"resource\",\"parent\",\"started at\",\"ended at\",\"reason\"");
        for (int i = 0; i < 12; i++) {
            JsonNode trial = trials("s").get(i);
            String kind =
                    trial.at("/parameters/kind").asString().startsWith("=") ? "\"'=SUM(A1)\"" : "\"a, \"\"b\"\"\"";
            String score = Double.toString(trial.get("value").asDouble());
            assertThat(lines.get(i + 1))
                    .startsWith(i + ",\"" + trial.get("job").asString() + "\",\"FINISHED\"," + score + ","
                            + trial.at("/parameters/rate").asDouble() + "," + trial.at("/parameters/layers") + ","
                            + kind
                            + "," + score + "," + score + "," + score + ",,,");
        }
    }

    @Test
    void aSearchWithoutResultsHasEmptyAnalysesOrSaysWhatIsMissing() {
        create("s", 4, 2);
        assertThat(server.json("bob", SEARCHES + "/s/slice?parameter=rate").get("points"))
                .isEmpty();
        assertThat(server.json("bob", SEARCHES + "/s/pareto-front").get("trials"))
                .isEmpty();
        HttpResponse<String> importance = server.get("bob", SEARCHES + "/s/importance");
        assertThat(importance.statusCode()).isEqualTo(400);
        assertThat(importance.body()).contains("completed trials is '0', accepted: 2 or more for an analysis");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "/s/slice | parameter is '', accepted: the name of a hyperparameter",
                "/s/slice?parameter=rat | parameter is 'rat', accepted: one of rate, layers, kind",
                "/s/contour?first=rate | second is '', accepted: the name of a hyperparameter",
                "/s/contour?first=rate&second=rate | second is 'rate', accepted: another parameter than the first",
                "/s/contour?first=rate&second=kind&grid=1 | grid is '1', accepted: a whole number from 2 to 200",
                "/s/importance?metric=loss | metric is 'loss', accepted: one of score",
                "/s/trials?format=xls | format is 'xls', accepted: one of csv, json",
                "/s?latest=-1 | latest is '-1', accepted: a whole number from 0",
            })
    void badQueriesAreAnsweredWithWhatIsAccepted(String path, String message) {
        create("s", 4, 1);
        HttpResponse<String> answer = server.get("bob", SEARCHES + path);
        assertThat(answer.statusCode()).isEqualTo(400);
        assertThat(JsonMapper.shared().readTree(answer.body()).get("error").asString())
                .startsWith(message);
    }

    @Test
    void anothersSearchLooksLikeNone() {
        create("s", 4, 1);
        for (String rest : List.of(
                "",
                "/trials",
                "/importance",
                "/slice?parameter=rate",
                "/contour?first=rate&second=kind",
                "/parallel-coordinates",
                "/improvements",
                "/pareto-front")) {
            HttpResponse<String> anothers = server.get("eve", SEARCHES + "/s" + rest);
            HttpResponse<String> nobodys = server.get("eve", SEARCHES + "/t" + rest);
            assertThat(anothers.statusCode()).as(rest).isEqualTo(404);
            assertThat(anothers.body()).isEqualTo(nobodys.body().replace("tuning t", "tuning s"));
            assertThat(server.get("ada", SEARCHES + "/s" + rest).statusCode())
                    .as("an administrator: %s", rest)
                    .isNotEqualTo(404);
        }
    }
}
