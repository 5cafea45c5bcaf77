package concertina.api.wmla;

import static org.assertj.core.api.Assertions.assertThat;

import concertina.api.Multipart;
import concertina.api.ServedTest;
import concertina.api.TestServer;
import concertina.model.JobId;
import concertina.model.JobState;
import java.io.IOException;
import java.net.URLEncoder;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Predicate;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class HyperSearchApiTest extends ServedTest {
    private static final String SEARCHES = "/platform/rest/deeplearning/v1/hypersearch";
    private static final String MODEL = "'modelSpec': {'args': '--exec-start PyTorch --model-main main.py'}";
    private static final String RATE =
            "'hyperParams': [{'name': 'rate', 'type': 'Range', 'dataType': 'DOUBLE', 'minDbVal': 0.001, 'maxDbVal': 0.1,"
                    + " 'minIntVal': 0, 'maxIntVal': 0, 'discreteDbVal': [], 'step': '0.002'}]";

    private static String algorithm(String more) {
        return "'algoDef': {'algorithm': 'random', 'objectiveMetric': 'loss', 'objective': 'Minimize'" + more + "}";
    }

    private static String when(String condition) {
        return "{'name': 'x', 'type': 'Range', 'dataType': 'INT', 'minIntVal': 1, 'maxIntVal': 4},"
                + " {'name': 'z', 'type': 'Range', 'dataType': 'INT', 'minIntVal': 1, 'maxIntVal': 4, 'when': "
                + condition + "}";
    }

    private static String goals(String members) {
        return "'algoDef': {'algorithm': 'random', " + members + "}";
    }

    private static String data(String... members) {
        return "{" + String.join(", ", members) + "}";
    }

    private static String usual(String name, int trials) {
        return data("'hpoName': '" + name + "'", MODEL, algorithm(", 'maxJobNum': " + trials), RATE);
    }

    private HttpResponse<String> post(String user, String data) {
        return post(server.as(user, SEARCHES), data);
    }

    private HttpResponse<String> post(HttpRequest.Builder request, String data) {
        Multipart form = new Multipart().field("data", data).file("main.py", "main.py", "print(1)\n");
        return server.send(request.header("Content-Type", form.contentType()).POST(form.publisher()));
    }

    private String created(String user, String data) {
        HttpResponse<String> answer = post(user, data);
        assertThat(answer.statusCode()).as(answer.body()).isEqualTo(200);
        return JsonMapper.shared().readTree(answer.body()).get("uid").asString();
    }

    private JsonNode task(String user, String name) {
        return server.json(user, SEARCHES + "/" + name);
    }

    private JsonNode awaitTask(String name, String member, String value) {
        return until(
                () -> task("bob", name), task -> task.get(member).asString().equals(value));
    }

    private JsonNode awaitExperiments(String name, int count) {
        return until(() -> task("bob", name), task -> task.get("experiments").size() == count);
    }

    private static <T> T until(Supplier<T> probe, Predicate<T> condition) {
        long deadline = System.nanoTime() + Duration.ofSeconds(30).toNanos();
        T latest = probe.get();
        while (!condition.test(latest)) {
            assertThat(System.nanoTime()).as("waiting, there was %s", latest).isLessThan(deadline);
            LockSupport.parkNanos(5_000_000);
            latest = probe.get();
        }
        return latest;
    }

    private void finish(String job, String metrics) throws IOException {
        until(() -> server.jobs.find(new JobId(job)).isPresent(), found -> found);
        server.jobs.move(job, JobState.RUNNING, 1);
        Path result = folder.resolve("results/bob/batchworkdir").resolve(job);
        Files.createDirectories(result);
        Files.writeString(result.resolve("val_dict_list.json"), metrics);
        server.jobs.move(job, JobState.FINISHED, 1);
    }

    @Test
    void aSearchIsShownToTheLetter() throws IOException {
        String name = created("bob", usual("", 2).replace("'hpoName': '', ", ""));
        assertThat(name).matches("bob-hpo-\\d+");
        String first =
                awaitExperiments(name, 1).get("experiments").get(0).get("appId").asString();
        finish(first, "[{\"steps\": 1, \"loss\": 0.5}, {\"steps\": 2, \"loss\": 0.25}]");
        String second =
                awaitExperiments(name, 2).get("experiments").get(1).get("appId").asString();
        finish(second, "{\"loss\": \"none\"}");

        JsonNode task = awaitTask(name, "state", "FINISHED");

        assertThat(task.propertyNames())
                .containsExactly(
                        "hpoName",
                        "state",
                        "progress",
                        "running",
                        "complete",
                        "failed",
                        "duration",
                        "createtime",
                        "creator",
                        "best",
                        "experiments",
                        "algoDef",
                        "hyperParams",
                        "reason");
        assertThat(task.get("progress").asString()).isEqualTo("2/2");
        assertThat(task.get("complete").asInt()).isEqualTo(2);
        assertThat(task.get("failed").asInt()).isEqualTo(1);
        assertThat(task.get("running").asInt()).isZero();
        assertThat(task.get("duration").asString()).matches("\\d\\d:\\d\\d:\\d\\d");
        assertThat(task.get("createtime").asString()).matches("\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d");
        assertThat(task.get("best")).isEqualTo(task.get("experiments").get(0));
        JsonNode experiment = task.get("experiments").get(0);
        assertThat(experiment.propertyNames())
                .containsExactly(
                        "id",
                        "state",
                        "metricVal",
                        "hyperParams",
                        "appId",
                        "startTime",
                        "endTime",
                        "metrics",
                        "reason");
        assertThat(experiment.get("id").asInt()).isZero();
        assertThat(experiment.get("state").asString()).isEqualTo("FINISHED");
        assertThat(experiment.get("metricVal").asDouble()).isEqualTo(0.25);
        JsonNode value = experiment.get("hyperParams").get(0);
        assertThat(value.propertyNames()).containsExactly("name", "dataType", "userDefined", "fixedVal");
        assertThat(value.get("dataType").asString()).isEqualTo("double");
        assertThat(value.get("fixedVal").isString()).isTrue();
        assertThat(value.get("fixedVal").asString()).as("on the grid").matches("0\\.\\d{1,3}");
        assertThat(task.get("experiments").get(1).get("state").asString()).isEqualTo("FAILED");
        assertThat(task.get("experiments").get(1).get("metricVal").asDouble()).isEqualTo(9999.99);
        assertThat(task.get("algoDef").toString())
                .isEqualTo("{\"algorithm\":\"random\",\"maxJobNum\":2,\"maxParalleJobNum\":1,\"maxRunTime\":-1,"
                        + "\"objective\":\"Minimize\",\"objectiveMetric\":\"loss\"}");
        JsonNode parameter = task.get("hyperParams").get(0);
        assertThat(parameter.get("type").asString()).isEqualTo("range");
        assertThat(parameter.get("dataType").asString()).isEqualTo("double");
        assertThat(parameter.get("userDefined").asBoolean(true)).isFalse();
        JsonNode exec = server.json("bob", TestServer.EXECS + "/" + first);
        assertThat(exec.get("state").asString()).isEqualTo("FINISHED");
    }

    @Test
    void theFirstGenerationGetsTheNameAsAString() {
        String data = usual("of-the-first", 1).replace("{'args'", "{'sigName': 'dli', 'args'");
        assertThat(post("bob", data).body()).isEqualTo("\"of-the-first\"");
        JsonNode experiment =
                awaitExperiments("of-the-first", 1).get("experiments").get(0);
        assertThat(experiment.get("driverId").asString())
                .isEqualTo(experiment.get("appId").asString());
        assertThat(experiment.get("maxiteration").asInt()).isZero();

        String token = JsonMapper.shared()
                .readTree(server.get("bob", "/auth/v1/logon").body())
                .get("accessToken")
                .asString();
        HttpRequest.Builder second =
                HttpRequest.newBuilder(server.uri(SEARCHES)).header("X-Auth-Token", token);
        assertThat(post(second, data.replace("of-the-first", "of-the-second")).body())
                .isEqualTo("{\"uid\":\"of-the-second\",\"href\":\"" + SEARCHES + "/of-the-second\"}");
    }

    @Test
    void theRequestMayComeInEveryShape() {
        String json = usual("", 1).replace('\'', '"').replace("\"hpoName\": \"\"", "\"hpoName\": \"%s\"");
        Multipart twice = new Multipart()
                .file("data", "data", json.formatted("as-part"))
                .file("WMLA_HPO_pytorch.py", "main.py", "print(1)\n");
        assertThat(server.send(server.as("bob", SEARCHES)
                                .header("Content-Type", twice.contentType())
                                .POST(twice.publisher()))
                        .body())
                .contains("as-part");
        String onServer =
                json.replace("main.py", folder.resolve("shared/train.py").toString());
        assertThat(send("application/x-www-form-urlencoded", "data=" + encoded(onServer.formatted("no-script")))
                        .body())
                .startsWith("Error 400: modelSpec.args: --model-main is '");
        script("shared/train.py");
        assertThat(send("application/x-www-form-urlencoded", "data=" + encoded(onServer.formatted("urlencoded")))
                        .body())
                .contains("urlencoded");
        assertThat(send("application/json", onServer.formatted("as-body")).body())
                .contains("as-body");
        assertThat(send("application/json", "").body())
                .isEqualTo("Error 400: data is '', accepted: a JSON object or a Python dict in the form field data\n");
        assertThat(server.json("bob", SEARCHES)).hasSize(3);
    }

    private void script(String path) {
        try {
            Files.writeString(folder.resolve(path), "print(1)\n");
        } catch (IOException failed) {
            throw new AssertionError(failed);
        }
    }

    private static String encoded(String text) {
        return URLEncoder.encode(text, StandardCharsets.UTF_8);
    }

    private HttpResponse<String> send(String type, String body) {
        return server.send(server.as("bob", SEARCHES)
                .header("Content-Type", type)
                .POST(HttpRequest.BodyPublishers.ofString(body)));
    }

    @Test
    void stoppingTwiceIsToldInTheRecordedWords() {
        String name = created("bob", usual("hpo-1", 5));
        awaitExperiments(name, 1);

        assertThat(put(name, "").statusCode()).isEqualTo(204);

        JsonNode task = task("bob", name);
        assertThat(task.get("state").asString()).isEqualTo("STOPPED");
        assertThat(task.get("running").asInt()).isZero();
        HttpResponse<String> again = put(name, "");
        assertThat(again.statusCode()).isEqualTo(400);
        assertThat(again.body()).isEqualTo("Error 400: Model tuning hpo-1 is already stopped.\n");
        assertThat(put(name, "/force").body()).isEqualTo("Error 400: Model tuning hpo-1 is already stopped.\n");
        HttpResponse<String> restarted = put(name, "/restart");
        assertThat(restarted.statusCode()).isEqualTo(200);
        assertThat(put(name, "/restart").statusCode()).isEqualTo(409);
        assertThat(put(name, "/force").statusCode()).isEqualTo(204);
    }

    private HttpResponse<String> put(String name, String action) {
        return server.send(server.as("bob", SEARCHES + "/" + name + action).PUT(HttpRequest.BodyPublishers.noBody()));
    }

    private HttpResponse<String> delete(String user, String path) {
        return server.send(server.as(user, path).DELETE());
    }

    @Test
    void anothersSearchLooksLikeNoneAndAnAdministratorSeesAll() {
        created("bob", usual("mine", 2));
        for (String path : List.of("", "/force", "/restart")) {
            for (String name : List.of("mine", "none")) {
                HttpResponse<String> answer = server.send(
                        server.as("eve", SEARCHES + "/" + name + path).PUT(HttpRequest.BodyPublishers.noBody()));
                assertThat(answer.statusCode()).isEqualTo(404);
                assertThat(answer.body()).isEqualTo("Error 404: cannot find model tuning " + name + "\n");
            }
        }
        assertThat(server.get("eve", SEARCHES + "/mine").statusCode()).isEqualTo(404);
        assertThat(delete("eve", SEARCHES + "/mine").statusCode()).isEqualTo(404);
        assertThat(delete("eve", SEARCHES).statusCode()).isEqualTo(204);
        assertThat(server.json("eve", SEARCHES)).isEmpty();
        assertThat(server.json("ada", SEARCHES)).hasSize(1);
        assertThat(task("ada", "mine").get("creator").asString()).isEqualTo("bob");
        assertThat(post("eve", usual("mine", 2)).statusCode()).isEqualTo(409);
    }

    @Test
    void deletingSearchesLeavesTheirJobs() {
        created("bob", usual("one", 1));
        created("bob", usual("two", 1));
        awaitExperiments("one", 1);
        awaitExperiments("two", 1);

        assertThat(delete("bob", SEARCHES + "/one").statusCode()).isEqualTo(204);
        assertThat(server.get("bob", SEARCHES + "/one").statusCode()).isEqualTo(404);
        assertThat(delete("bob", SEARCHES).statusCode()).isEqualTo(204);

        assertThat(server.json("bob", SEARCHES)).isEmpty();
        assertThat(server.json("bob", TestServer.EXECS)).hasSize(2);
    }

    @Test
    void aPostedListIsTriedInItsOrderUnderItsNumbers() throws IOException {
        String data = data(
                "'hpoName': 'list'",
                MODEL,
                "'algoDef': {'algorithm': 'ExperimentGridSearch', 'objectiveMetric': 'loss', 'maxParalleJob': 2}",
                "'experiments': [{'id': 7, 'hyperParams': [{'name': 'z', 'dataType': 'STR', 'fixedVal': 'adam'},"
                        + " {'name': 'a', 'dataType': 'INT', 'fixedVal': '3'}]},"
                        + " {'id': 3, 'hyperParams': [{'name': 'z', 'dataType': 'STR', 'fixedVal': 'sgd'},"
                        + " {'name': 'a', 'dataType': 'INT', 'fixedVal': 5}]},]");
        created("bob", data);
        JsonNode experiments = awaitExperiments("list", 2).get("experiments");
        assertThat(experiments.get(0).get("id").asInt()).isEqualTo(7);
        assertThat(experiments.get(1).get("id").asInt()).isEqualTo(3);
        assertThat(experiments.get(0).get("hyperParams").toString())
                .isEqualTo(
                        "[{\"name\":\"z\",\"dataType\":\"str\",\"userDefined\":false,\"fixedVal\":\"adam\",\"type\":\"fix\"},"
                                + "{\"name\":\"a\",\"dataType\":\"int\",\"userDefined\":false,\"fixedVal\":\"3\",\"type\":\"fix\"}]");
        finish(experiments.get(0).get("appId").asString(), "{\"loss\": 2}");
        finish(experiments.get(1).get("appId").asString(), "{\"loss\": 1}");
        JsonNode over = awaitTask("list", "state", "FINISHED");
        assertThat(over.get("progress").asString()).isEqualTo("2/2");
        assertThat(over.get("best").get("id").asInt()).isEqualTo(3);
        assertThat(over.has("hyperParams")).isFalse();
        String configuration = Objects.requireNonNull(server.jobs
                        .find(new JobId(experiments.get(0).get("appId").asString()))
                        .orElseThrow()
                        .spec()
                        .trial())
                .configuration();
        assertThat(configuration).isEqualTo("{\"z\":\"adam\",\"a\":3}\n");
    }

    @Test
    void hyperbandGivesItsResourceAsOneMoreHyperparameter() throws IOException {
        String data = data(
                "'hpoName': 'bands'",
                MODEL,
                "'algoDef': {'algorithm': 'Hyperband', 'objectiveMetric': 'loss', 'maxJobNum': 8, 'algoParams': ["
                        + "{'name': 'eta', 'value': '3'}, {'name': 'ResourceName', 'value': 'epochs'},"
                        + " {'name': 'ResourceValue', 'value': '81'}]}",
                RATE);
        created("bob", data);
        JsonNode experiment = awaitExperiments("bands", 1).get("experiments").get(0);
        assertThat(experiment.get("hyperParams").get(1).toString())
                .isEqualTo("{\"name\":\"epochs\",\"dataType\":\"str\",\"userDefined\":false,\"fixedVal\":\"1\"}");
        assertThat(enqueue("bob", "bands", "{\"rate\": 0.005}").statusCode()).isEqualTo(204);
        finish(experiment.get("appId").asString(), "{\"loss\": 1}");
        JsonNode own = awaitExperiments("bands", 2).get("experiments").get(1).get("hyperParams");
        assertThat(own.get(0).get("fixedVal").asString()).isEqualTo("0.005");
        assertThat(own.get(1).get("fixedVal").asString())
                .as("a point of one's own gets all")
                .isEqualTo("81");
    }

    @Test
    void anEtaBesideAnAlgorithmWithoutOneIsIgnored() {
        created("bob", data("'hpoName': 'even'", MODEL, algorithm(", 'hyperbandEta': 0"), RATE));
        HttpResponse<String> bands = post(
                "bob",
                data(
                        MODEL,
                        "'algoDef': {'algorithm': 'Hyperband', 'objectiveMetric': 'loss', 'hyperbandEta': 1, 'algoParams':"
                                + " {'ResourceName': 'epochs', 'ResourceValue': '81'}}",
                        RATE));
        assertThat(bands.statusCode()).isEqualTo(400);
        assertThat(bands.body()).contains("eta of Hyperband is '1', accepted: a number above 1");
    }

    @Test
    void aPartThatIsNotUtf8IsNamed() {
        byte[] data = usual("odd", 1).getBytes(StandardCharsets.UTF_8);
        data[13] = (byte) 0xff;
        Multipart form = new Multipart().file("data", "data", data).file("main.py", "main.py", "print(1)\n");
        for (HttpRequest.Builder request : List.of(
                server.as("bob", SEARCHES)
                        .header("Content-Type", form.contentType())
                        .POST(form.publisher()),
                server.as("bob", SEARCHES)
                        .header("Content-Type", "application/json")
                        .POST(HttpRequest.BodyPublishers.ofByteArray(data)),
                server.as("bob", SEARCHES)
                        .header("Content-Type", "application/x-www-form-urlencoded")
                        .POST(HttpRequest.BodyPublishers.ofString("data=%7B%27hpoName%27:%27%ff")))) {
            HttpResponse<String> answer = server.send(request);
            assertThat(answer.statusCode()).as(answer.body()).isEqualTo(400);
            assertThat(answer.body())
                    .matches("Error 400: (part data|the body|data) is 'a byte 0xff at 1[0-9]', accepted: UTF-8\n");
        }
    }

    @Test
    void aPopulationTakesNoPointOfOnesOwn() {
        created(
                "bob",
                data(
                        "'hpoName': 'members'",
                        MODEL,
                        "'algoDef': {'algorithm': 'pbt', 'objectiveMetric': 'loss', 'algoParams': {'ResourceName': 'epochs'}}",
                        RATE));
        HttpResponse<String> answer = enqueue("bob", "members", "{\"rate\": 0.005}");
        assertThat(answer.statusCode()).isEqualTo(409);
        assertThat(answer.body()).contains("trains a population");
    }

    @Test
    void algorithmsAreListedInTheContractsOrder() {
        JsonNode all = server.json("bob", SEARCHES + "/algorithm");
        assertThat(all.get(0).toString()).isEqualTo("{\"name\":\"Random\",\"type\":\"BUILD_IN\",\"remoteExec\":false}");
        assertThat(server.json("bob", SEARCHES + "/algorithm?type=BUILD_IN")).isEqualTo(all);
        assertThat(server.json("bob", SEARCHES + "/algorithm?type=USER_PLUGIN")).isEmpty();
        assertThat(server.get("bob", SEARCHES + "/algorithm?type=OTHER").statusCode())
                .isEqualTo(400);
        assertThat(server.get("bob", SEARCHES + "/algorithm/hyperband").body())
                .isEqualTo("{\"name\":\"Hyperband\",\"type\":\"BUILD_IN\",\"remoteExec\":false}");
        assertThat(server.get("bob", SEARCHES + "/algorithm/unknown").body()).isEqualTo("{}");
        assertThat(delete("bob", SEARCHES + "/algorithm/Random").statusCode()).isEqualTo(400);
        assertThat(delete("bob", SEARCHES + "/algorithm/unknown").statusCode()).isEqualTo(404);
        assertThat(server.post("ada", SEARCHES + "/algorithm/install").statusCode())
                .isEqualTo(400);
    }

    static Stream<Arguments> mistakes() {
        String range = "{'name': 'x', 'type': 'Range', 'dataType': 'DOUBLE', 'minDbVal': 0, 'maxDbVal': 1%s}";
        return Stream.of(
                Arguments.of("[1]", "data is '[1]', accepted: a JSON object or a Python dict"),
                Arguments.of("{'a': __import__('os')}", "data has '__import__('os')}' at character 7"),
                Arguments.of(data(algorithm(""), RATE), "modelSpec is '', accepted: an object"),
                Arguments.of(data(MODEL, RATE), "algoDef is '', accepted: an object"),
                Arguments.of(data(MODEL, algorithm("")), "exactly one of the blocks hyperParams and experiments"),
                Arguments.of(
                        data(MODEL, algorithm(""), RATE, "'experiments': [{'id': 0}]"),
                        "'1 hyperParams and 1 experiments', accepted: exactly one"),
                Arguments.of(data(MODEL, algorithm(""), "'experiments': [{'id': 0}]"), "the block hyperParams"),
                Arguments.of(
                        data(MODEL, "'algoDef': {'algorithm': 'Guess', 'objectiveMetric': 'loss'}", RATE),
                        "algoDef.algorithm is 'Guess', accepted: one of Random"),
                Arguments.of(data(MODEL, "'algoDef': {'algorithm': 'random'}", RATE), "algoDef.objectiveMetric is ''"),
                Arguments.of(
                        data(MODEL, algorithm(", 'maxJobNum': 0"), RATE),
                        "algoDef.maxJobNum is '0', accepted: a whole number from 1 to 2147483647, or -1 for no limit"),
                Arguments.of(
                        data(MODEL, algorithm(", 'earlyStopping': 'asha'"), RATE),
                        "algoDef.earlyStopping is 'asha', accepted: an object"),
                Arguments.of(
                        data(MODEL, algorithm(", 'earlyStopping': {'rule': 'best'}"), RATE),
                        "algoDef.earlyStopping.rule is 'best', accepted: asha or median"),
                Arguments.of(
                        data(MODEL, algorithm(", 'earlyStopping': {'rule': 'asha'}"), RATE),
                        "algoDef.earlyStopping.maxSteps is '', accepted: a number above 0"),
                Arguments.of(
                        data(
                                MODEL,
                                algorithm(", 'earlyStopping': {'rule': 'asha', 'minSteps': 9, 'maxSteps': 3}"),
                                RATE),
                        "algoDef.earlyStopping.maxSteps is '3', accepted: no less than minSteps"),
                Arguments.of(
                        data(MODEL, algorithm(", 'earlyStopping': {'rule': 'asha', 'maxSteps': 9, 'eta': 1}"), RATE),
                        "algoDef.earlyStopping.eta is '1', accepted: a number above 1"),
                Arguments.of(
                        data(MODEL, algorithm(", 'earlyStopping': {'rule': 'asha', 'maxSteps': 1e300}"), RATE),
                        "algoDef.earlyStopping.eta is '3.0', accepted: a number with which 100 steps lead from 1.0 to"),
                Arguments.of(
                        data(MODEL, algorithm(", 'earlyStopping': {'rule': 'median', 'eta': 2}"), RATE),
                        "algoDef.earlyStopping is 'eta', accepted: rule, minSteps, trials"),
                Arguments.of(
                        data(MODEL, algorithm(", 'earlyStopping': {'rule': 'median', 'trials': 0}"), RATE),
                        "algoDef.earlyStopping.trials is '0', accepted: a whole number from 1 to 1000"),
                Arguments.of(
                        data(MODEL, algorithm(", 'stopWhenConverged': {}"), RATE),
                        "algoDef.stopWhenConverged.patience is '', accepted: a whole number from 1 to 1000"),
                Arguments.of(
                        data(MODEL, algorithm(", 'stopWhenConverged': {'patience': 3, 'tolerance': -1}"), RATE),
                        "algoDef.stopWhenConverged.tolerance is '-1', accepted: a number from 0"),
                Arguments.of(
                        data(MODEL, algorithm(", 'objectives': [{'metric': 'loss'}]"), RATE),
                        "algoDef.objectiveMetric is 'loss', accepted: nothing beside objectives"),
                Arguments.of(
                        data(MODEL, goals("'objectives': [{'metric': 'a'}], 'objective': 'minimize'"), RATE),
                        "algoDef.objective is 'minimize', accepted: nothing beside objectives"),
                Arguments.of(
                        data(MODEL, goals("'objectives': {'metric': 'a'}"), RATE),
                        "algoDef.objectives is '{\"metric\":\"a\"}', accepted: a list"),
                Arguments.of(
                        data(MODEL, goals("'objectives': ['a', 'b']"), RATE),
                        "algoDef.objectives[0] is 'a', accepted: an object with metric, objective"),
                Arguments.of(
                        data(MODEL, goals("'objectives': [{'metric': 'a'}, {'metric': 'a'}]"), RATE),
                        "algoDef.objectives[1].metric is 'a', accepted: metrics that differ"),
                Arguments.of(
                        data(MODEL, goals("'objectives': [{'metric': 'a', 'objective': 'less'}]"), RATE),
                        "algoDef.objectives[0].objective is 'less', accepted: minimize or maximize"),
                Arguments.of(
                        data(MODEL, goals("'objectives': [{'metric': 'a', 'weight': 2}]"), RATE),
                        "algoDef.objectives[0] is 'weight', accepted: metric, objective"),
                Arguments.of(
                        data(
                                MODEL,
                                goals("'objectives': [{'metric': 'a'}, {'metric': 'b'}],"
                                        + " 'stopWhenConverged': {'patience': 3}"),
                                RATE),
                        "accepted: nothing where a search has several objectives"),
                Arguments.of(
                        data(MODEL, algorithm(", 'constraints': [{'metric': 'memory'}]"), RATE),
                        "accepted: exactly one of atMost and atLeast"),
                Arguments.of(
                        data(MODEL, algorithm(", 'constraints': [{'metric': 'memory', 'atMost': 'much'}]"), RATE),
                        "algoDef.constraints[0].atMost is 'much', accepted: a number"),
                Arguments.of(
                        data(MODEL, algorithm(", 'constraints': [{'atMost': 1}]"), RATE),
                        "algoDef.constraints[0].metric is '', accepted: a key of val_dict_list.json"),
                Arguments.of(
                        data(MODEL, algorithm(", 'warmStart': ['a']"), RATE),
                        "algoDef.warmStart is '[\"a\"]', accepted: an object"),
                Arguments.of(
                        data(MODEL, algorithm(", 'warmStart': {'search': ['a']}"), RATE),
                        "algoDef.warmStart is 'search', accepted: searches"),
                Arguments.of(
                        data(MODEL, algorithm(", 'warmStart': {'searches': []}"), RATE),
                        "algoDef.warmStart.searches is '[]', accepted: the names of 1 to 100 searches"),
                Arguments.of(
                        data(MODEL, algorithm(", 'warmStart': {'searches': ['a', 'a']}"), RATE),
                        "algoDef.warmStart.searches is 'a', accepted: names that differ"),
                Arguments.of(
                        data(MODEL, algorithm(""), "'hyperParams': [" + when("{'name': 'y', 'values': ['a']}") + "]"),
                        "hyperParams[1].when.name is 'y', accepted: a hyperparameter listed before"),
                Arguments.of(
                        data(MODEL, algorithm(""), "'hyperParams': [" + when("{'name': 'x', 'values': ['a']}") + "]"),
                        "hyperParams[1].when.values is 'a', accepted: values that x can take"),
                Arguments.of(
                        data(MODEL, algorithm(""), "'hyperParams': [" + when("{'name': 'x', 'values': []}") + "]"),
                        "hyperParams[1].when.values is '[]', accepted: at least one value of x"),
                Arguments.of(
                        data(MODEL, algorithm(""), "'hyperParams': [" + when("'x'") + "]"),
                        "hyperParams[1].when is 'x', accepted: an object"),
                Arguments.of(
                        data(MODEL, algorithm(""), "'hyperParams': [" + when("{'name': 'x', 'value': 1}") + "]"),
                        "hyperParams[1].when is 'value', accepted: name, values"),
                Arguments.of(data(MODEL, algorithm(", 'maxRunTime': 'long'"), RATE), "algoDef.maxRunTime is 'long'"),
                Arguments.of(
                        data(MODEL, algorithm(", 'maxRunTime': 2147483648"), RATE),
                        "algoDef.maxRunTime is '2147483648', accepted: a whole number from 1 to 2147483647, or -1"),
                Arguments.of(
                        data(MODEL, algorithm(", 'maxParalleJobNum': 0"), RATE), "algoDef.maxParalleJobNum is '0'"),
                Arguments.of(
                        data(MODEL, algorithm(", 'objective': 'best'"), RATE),
                        "algoDef.objective is 'best', accepted: minimize or maximize"),
                Arguments.of(
                        data(MODEL, algorithm(", 'algoParams': [{'name': 'Sed', 'value': '1'}]"), RATE),
                        "parameter of algorithm random is 'Sed', accepted: RandomSeed"),
                Arguments.of(
                        data(MODEL, algorithm(", 'algoParams': [{'name': 'RandomSeed', 'value': 'x'}]"), RATE),
                        "algoParams RandomSeed of random is 'x', accepted: a whole number"),
                Arguments.of(
                        data(
                                MODEL,
                                algorithm(""),
                                "'hyperParams': [{'name': 'x', 'type': 'Range', 'dataType': 'INT', 'minIntVal': 5, 'maxIntVal': 2}]"),
                        "hyperParams[0].minIntVal is '5', accepted: at most maxIntVal, which is 2"),
                Arguments.of(
                        data(MODEL, algorithm(""), "'hyperParams': [" + range.formatted(", 'step': 0") + "]"),
                        "hyperParams[0].step is '0', accepted: a number above 0"),
                Arguments.of(
                        data(MODEL, algorithm(""), "'hyperParams': [" + range.formatted(", 'power': '0'") + "]"),
                        "hyperParams[0].power is '0', accepted: a base above 0"),
                Arguments.of(
                        data(
                                MODEL,
                                algorithm(""),
                                "'hyperParams': [{'name': 'x', 'type': 'Range', 'dataType': 'INT', 'minIntVal': -3, 'maxIntVal': -1, 'power': 10}]"),
                        "hyperParams[0].power is '10', accepted: for INT a base whose powers from -3 to -1 are all at least 1"),
                Arguments.of(
                        data(
                                MODEL,
                                algorithm(""),
                                "'hyperParams': [" + range.formatted("") + ", " + range.formatted("") + "]"),
                        "name of a hyperparameter is 'x', accepted: names that differ"),
                Arguments.of(
                        data(MODEL, algorithm(""), RATE.replace("rate", "n".repeat(1001))),
                        "hyperParams[0].name is 'nnn"),
                Arguments.of(
                        data(MODEL, algorithm(", 'additionalMetrics': {'" + "m".repeat(1001) + "': 'latest'}"), RATE),
                        "algoDef.additionalMetrics is 'mmm"),
                Arguments.of(
                        data(MODEL, algorithm(", 'algoParams': {'" + "p".repeat(1001) + "': '1'}"), RATE),
                        "algoDef.algoParams is 'ppp"),
                Arguments.of(
                        data(MODEL, algorithm(", 'objectiveMetric': '" + "o".repeat(1001) + "'"), RATE),
                        "accepted: a name of at most 1000 characters"),
                Arguments.of(
                        data(
                                MODEL,
                                algorithm(""),
                                "'hyperParams': [{'name': 'x', 'type': 'Normal', 'dataType': 'INT'}]"),
                        "hyperParams[0].type is 'Normal', accepted: Range, Discrete or Fix"),
                Arguments.of(
                        data(
                                MODEL,
                                algorithm(""),
                                "'hyperParams': [{'name': 'x', 'type': 'range', 'dataType': 'DATE'}]"),
                        "hyperParams[0].dataType is 'DATE', accepted: INT, DOUBLE or STR"),
                Arguments.of(
                        data(
                                MODEL,
                                algorithm(""),
                                "'hyperParams': [{'name': 'x', 'type': 'Discrete', 'dataType': 'STR', 'discreateStrVal': []}]"),
                        "hyperParams[0].discreateStrVal is '[]', accepted: a list of at least one value"),
                Arguments.of(
                        data("'hpoName': 'a/b'", MODEL, algorithm(""), RATE), "hpoName is 'a/b', accepted: 1 to 200"),
                Arguments.of(
                        data("'modelSpec': {'args': '--exec-start Torch'}", algorithm(""), RATE),
                        "modelSpec.args: --exec-start is 'Torch'"),
                Arguments.of(
                        data(
                                "'modelSpec': {'args': '--exec-start PyTorch --model-main other.py'}",
                                algorithm(""),
                                RATE),
                        "Error 400: "),
                Arguments.of(
                        data(MODEL, "'algoDef': {'algorithm': 'Hyperband', 'objectiveMetric': 'loss'}", RATE),
                        "algoParams ResourceName of Hyperband is ''"),
                Arguments.of(
                        data(
                                MODEL,
                                algorithm(""),
                                "'hyperParams': [" + range.formatted(", 'step': '1e999999999'") + "]"),
                        "hyperParams[0].step is '1e999999999', accepted: a number"),
                Arguments.of(
                        data(MODEL, algorithm(""), "'hyperParams': [" + range.formatted(", 'step': '1e-9999'") + "]"),
                        "hyperParams[0].step is '1e-9999', accepted: a number"),
                Arguments.of(
                        data(MODEL, algorithm(""), "'hyperParams': [" + range.formatted(", 'step': 1e9999") + "]"),
                        "accepted: 0, or a number of a size from 4.9E-324"),
                Arguments.of(
                        data(
                                MODEL,
                                algorithm(""),
                                "'hyperParams': [{'name': 'x', 'type': 'Discrete', 'dataType': 'INT', 'discreteIntVal': [9223372036854775808]}]"),
                        "hyperParams[0].discreteIntVal[0] is '9223372036854775808', accepted: a whole number"),
                Arguments.of(
                        data(
                                MODEL,
                                "'algoDef': {'algorithm': 'Random', 'objectiveMetric': 'loss', 'maxJobNum': 501}",
                                "'hyperParams': ["
                                        + IntStream.range(0, 999)
                                                .mapToObj(i -> words("x" + i, 1))
                                                .collect(Collectors.joining(", "))
                                        + ", " + words("y", 2) + "]"),
                        "algoDef.maxJobNum is '501', accepted: at most 500 with 1000 hyperparameters"),
                Arguments.of(
                        data(MODEL, algorithm(""), "'hyperParams': [" + words("x", 10_001) + "]"),
                        "hyperParams[0].discreateStrVal is '10001 values', accepted: at most 10000"),
                Arguments.of(
                        data(
                                MODEL,
                                algorithm(""),
                                "'hyperParams': ["
                                        + IntStream.range(0, 11)
                                                .mapToObj(i -> words("x" + i, 9_500))
                                                .collect(Collectors.joining(", "))
                                        + "]"),
                        "hyperParams is '104500 values in all', accepted: at most 100000"),
                Arguments.of(
                        data(
                                MODEL,
                                algorithm(""),
                                "'hyperParams': ["
                                        + IntStream.range(0, 1_001)
                                                .mapToObj(i -> words("x" + i, 1))
                                                .collect(Collectors.joining(", "))
                                        + "]"),
                        "hyperParams is '1001 hyperparameters', accepted: at most 1000"),
                Arguments.of(
                        data(
                                MODEL,
                                algorithm(""),
                                "'hyperParams': [" + range.formatted(", 'step': '0.0001', 'power': 10") + "]"),
                        "hyperParams[0].step is '0.0001', accepted: a step that makes at most 10000 values"),
                Arguments.of(
                        data(
                                MODEL,
                                "'algoDef': {'algorithm': 'Grid', 'objectiveMetric': 'loss', 'algoParams': "
                                        + "[{'name': 'Resolution', 'value': 2147483647}]}",
                                RATE),
                        "algoParams Resolution of Grid is '2147483647', accepted: a whole number from 1 to 10000"),
                Arguments.of(
                        data(
                                MODEL,
                                "'algoDef': {'algorithm': 'Random', 'objectiveMetric': 'loss', 'additionalMetrics': {"
                                        + IntStream.range(0, 101)
                                                .mapToObj(i -> "'m" + i + "': 'latest'")
                                                .collect(Collectors.joining(", "))
                                        + "}}",
                                RATE),
                        "algoDef.additionalMetrics is '101 metrics', accepted: at most 100"),
                Arguments.of(
                        data(
                                MODEL,
                                "'algoDef': {'algorithm': 'Bayesian', 'objectiveMetric': 'loss', 'algoParams': "
                                        + "{'Noiseless': False, 'InitPoints': 0}}",
                                RATE),
                        "algoParams InitPoints of Bayesian is '0', accepted: a whole number from 1"));
    }

    private static String words(String name, int count) {
        return "{'name': '" + name + "', 'type': 'Discrete', 'dataType': 'STR', 'discreateStrVal': ["
                + IntStream.range(0, count)
                        .mapToObj(i -> "'" + Integer.toString(i, 36) + "'")
                        .collect(Collectors.joining(","))
                + "]}";
    }

    @ParameterizedTest(name = "{1}")
    @MethodSource("mistakes")
    void aMistakeIsNamedAndLeavesNothing(String data, String message) throws IOException {
        HttpResponse<String> answer = post("bob", data);

        assertThat(answer.body()).startsWith("Error 400: ").contains(message);
        assertThat(answer.statusCode()).isEqualTo(400);
        assertThat(server.json("bob", SEARCHES)).isEmpty();
        try (Stream<Path> left = Files.walk(folder.resolve("results"))) {
            assertThat(left.filter(Files::isRegularFile)).isEmpty();
        }
        try (Stream<Path> left =
                Files.exists(folder.resolve("tmp")) ? Files.list(folder.resolve("tmp")) : Stream.of()) {
            assertThat(left).isEmpty();
        }
    }

    @Test
    void aRequestThatIsOnlyCheckedLeavesNothing() throws IOException {
        String check = SEARCHES + "?checkOnly=true";
        String taken = created("bob", data(MODEL, algorithm(""), RATE));

        assertThat(post(server.as("bob", check), data(MODEL, algorithm(""), RATE))
                        .statusCode())
                .isEqualTo(204);
        assertThat(server.json("bob", SEARCHES)).hasSize(1);

        for (String more : List.of(", 'algoParams': {'Seed': 1}", ", 'maxParalleJobNum': 0")) {
            assertThat(post(server.as("bob", check), data(MODEL, algorithm(more), RATE))
                            .statusCode())
                    .isEqualTo(400);
        }
        assertThat(post(server.as("bob", check), data("'hpoName': '" + taken + "'", MODEL, algorithm(""), RATE))
                        .statusCode())
                .isEqualTo(409);
        assertThat(post(server.as("bob", SEARCHES + "?checkOnly=maybe"), data(MODEL, algorithm(""), RATE))
                        .body())
                .isEqualTo("Error 400: checkOnly is 'maybe', accepted: one of true, false\n");
    }

    @Test
    void aPointInLineIsTriedNext() throws IOException {
        String search = data(
                "'hpoName': 'line'",
                MODEL,
                algorithm(""),
                "'hyperParams': [{'name': 'rate', 'type': 'Range', 'dataType': 'DOUBLE', 'minDbVal': 0, 'maxDbVal': 1},"
                        + " {'name': 'n', 'type': 'Range', 'dataType': 'INT', 'minIntVal': 1, 'maxIntVal': 9},"
                        + " {'name': 'size', 'type': 'Discrete', 'dataType': 'INT', 'discreteIntVal': [16, 32]}]");
        created("bob", search);
        String first = awaitExperiments("line", 1)
                .get("experiments")
                .get(0)
                .get("appId")
                .asString();
        assertThat(enqueue("bob", "{\"rate\": 0.25, \"n\": 3, \"size\": 32}").statusCode())
                .isEqualTo(204);
        assertThat(enqueue("eve", "{}").statusCode()).isEqualTo(404);
        assertThat(enqueue("bob", "{\"rate\": 0.25, \"n\": 3.5, \"size\": 32}").body())
                .contains("n is '3.5', accepted: a whole number");
        assertThat(enqueue("bob", "{\"rate\": 0.25, \"n\": 3, \"size\": 48}").body())
                .contains("size is '48', accepted: one of 16, 32");
        assertThat(enqueue("bob", "{\"rate\": 0.25, \"m\": 3}").body()).contains("is 'm', accepted: rate, n, size");
        assertThat(enqueue("bob", "[]").statusCode()).isEqualTo(400);
        for (String number : new String[] {"1e999999999", "1e9999", "-1e9999", "\"NaN\"", "9".repeat(60_000)}) {
            assertThat(enqueue("bob", "{\"rate\": " + number + ", \"n\": 3, \"size\": 32}")
                            .statusCode())
                    .as(number.substring(0, 3))
                    .isEqualTo(400);
        }
        assertThat(enqueue("bob", "{\"rate\": 0.5, \"n\": 1e999999999, \"size\": 32}")
                        .statusCode())
                .isEqualTo(400);
        assertThat(enqueue("bob", "{\"rate\": 0.5, \"n\": 3, \"size\": 1e999999999}")
                        .statusCode())
                .isEqualTo(400);
        finish(first, "{\"loss\": 1}");

        JsonNode values = awaitExperiments("line", 2).get("experiments").get(1).get("hyperParams");

        assertThat(values.get(0).get("fixedVal").asString()).isEqualTo("0.25");
        assertThat(values.get(1).get("fixedVal").asString()).isEqualTo("3");
        assertThat(values.get(2).get("fixedVal").asString()).isEqualTo("32");
    }

    private HttpResponse<String> enqueue(String user, String point) {
        return enqueue(user, "line", point);
    }

    private HttpResponse<String> enqueue(String user, String name, String point) {
        return server.send(server.as(user, "/concertina/v1/searches/" + name + "/points")
                .POST(HttpRequest.BodyPublishers.ofString(point)));
    }

    @Test
    void aSearchBeginsWithWhatEarlierOnesOfTheUserFound() throws IOException {
        created("bob", usual("before", 1));
        finish(
                awaitExperiments("before", 1)
                        .get("experiments")
                        .get(0)
                        .get("appId")
                        .asString(),
                "{\"loss\": 0.5}");
        awaitTask("before", "state", "FINISHED");
        String warm = ", 'warmStart': {'searches': ['before']}";
        created("bob", data("'hpoName': 'after'", MODEL, algorithm(warm), RATE));

        assertThat(server.json("bob", "/concertina/v1/searches/after")
                        .get("warmStart")
                        .toString())
                .isEqualTo("{\"searches\":[\"before\"],\"trials\":1,\"leftOut\":0}");
        assertThat(task("bob", "after").at("/algoDef/warmStart/searches/0").asString())
                .isEqualTo("before");

        for (String name : List.of("before", "never")) {
            HttpResponse<String> answer =
                    post("eve", data("'hpoName': 'hers'", MODEL, algorithm(warm.replace("before", name)), RATE));
            assertThat(answer.statusCode()).isEqualTo(404);
            assertThat(answer.body()).isEqualTo("Error 404: cannot find model tuning " + name + "\n");
        }
        assertThat(post("bob", data(MODEL, algorithm(warm).replace("'loss'", "'error'"), RATE))
                        .body())
                .isEqualTo(
                        "Error 400: algoDef.warmStart is 'before, which is to minimize loss', accepted: a search that"
                                + " is to minimize error\n");
        assertThat(post(
                                "bob",
                                data(
                                        MODEL,
                                        "'algoDef': {'algorithm': 'asha', 'objectiveMetric': 'loss'" + warm
                                                + ", 'algoParams': {'ResourceName': 'epochs', 'ResourceValue': 9}}",
                                        RATE))
                        .body())
                .contains("accepted: nothing for algorithm asha, which gives trials a resource");
    }

    @Test
    void whoeverNamesNoAlgorithmGetsTheAutomaticOne() {
        created(
                "bob",
                data("'hpoName': 'auto'", MODEL, "'algoDef': {'objectiveMetric': 'loss', 'maxJobNum': 2}", RATE));
        assertThat(task("bob", "auto").get("algoDef").get("algorithm").asString())
                .isEqualTo("Auto");
    }

    @Test
    void aLongConditionOnALongListIsReadInOneGo() {
        String list = IntStream.range(0, 9_000).mapToObj(Integer::toString).collect(Collectors.joining(","));
        String parent = "{'name': 'n', 'type': 'Discrete', 'dataType': 'DOUBLE', 'discreteDbVal': [" + list + "]}";
        String child = ", {'name': 'x%d', 'type': 'Range', 'dataType': 'DOUBLE', 'minDbVal': 0, 'maxDbVal': 1,"
                + " 'when': {'name': 'n', 'values': [" + list + "]}}";
        created(
                "bob",
                data(
                        "'hpoName': 'long'",
                        MODEL,
                        algorithm(""),
                        "'hyperParams': [" + parent
                                + IntStream.range(0, 10)
                                        .mapToObj(child::formatted)
                                        .collect(Collectors.joining())
                                + "]"));
        assertThat(awaitExperiments("long", 1).get("experiments").get(0).get("hyperParams"))
                .hasSize(11);
    }

    @Test
    void theLongestTimeIsAccepted() {
        created("bob", data("'hpoName': 'long'", MODEL, algorithm(", 'maxRunTime': 2147483647"), RATE));
        awaitExperiments("long", 1);
    }

    @Test
    void whoeverDeletesAllAtTheSameTimeAsSomebodyElseIsDoneToo() {
        for (int i = 0; i < 20; i++) {
            created("bob", usual("many-" + i, 1));
        }
        List<Integer> statuses = IntStream.range(0, 4)
                .parallel()
                .mapToObj(i -> server.send(server.as("bob", SEARCHES).DELETE()).statusCode())
                .toList();
        assertThat(statuses).containsOnly(204);
        assertThat(server.json("bob", SEARCHES)).isEmpty();
    }

    @Test
    void aHyperparameterExistsOnlyWhereItsConditionIsMet() {
        created(
                "bob",
                data(
                        "'hpoName': 'conditional'",
                        MODEL,
                        algorithm(", 'maxJobNum': 20, 'maxParalleJobNum': 20"),
                        "'hyperParams': [{'name': 'optimizer', 'type': 'Discrete', 'dataType': 'STR', 'discreateStrVal': ['sgd', 'adam']},"
                                + " {'name': 'layers', 'type': 'Range', 'dataType': 'INT', 'minIntVal': 1, 'maxIntVal': 3},"
                                + " {'name': 'momentum', 'type': 'Range', 'dataType': 'DOUBLE', 'minDbVal': 0, 'maxDbVal': 1,"
                                + " 'when': {'name': 'optimizer', 'values': ['sgd']}},"
                                + " {'name': 'width', 'type': 'Discrete', 'dataType': 'INT', 'discreteIntVal': [16, 32],"
                                + " 'when': {'name': 'layers', 'values': [2, '3']}}]"));
        awaitExperiments("conditional", 20);
        JsonNode search = server.json("bob", "/concertina/v1/searches/conditional");
        assertThat(search.at("/parameters/2/when").toString())
                .isEqualTo("{\"name\":\"optimizer\",\"values\":[\"sgd\"]}");
        assertThat(search.at("/parameters/3/when").toString()).isEqualTo("{\"name\":\"layers\",\"values\":[2,3]}");
        int with = 0;
        for (JsonNode trial : search.get("trials")) {
            JsonNode values = trial.get("parameters");
            assertThat(values.has("momentum"))
                    .isEqualTo(values.get("optimizer").asString().equals("sgd"));
            assertThat(values.has("width")).isEqualTo(values.get("layers").asInt() > 1);
            with += values.has("momentum") ? 1 : 0;
        }
        assertThat(with).isBetween(1, 19);
    }

    @Test
    void aNameIsUsedOnce() {
        created("bob", usual("same", 1));
        HttpResponse<String> again = post("bob", usual("same", 1));
        assertThat(again.statusCode()).isEqualTo(409);
        assertThat(again.body()).isEqualTo("Error 409: hpoName is 'same', which exists, accepted: a new name\n");
    }
}
