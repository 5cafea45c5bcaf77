package concertina.it;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;

/** Searches whose trials are real jobs. */
class SearchTest {
    private static final Duration LIMIT = Duration.ofSeconds(90);
    private static final Path SCRIPTS = Platform.home().resolve("it/src/test/resources/search");
    private static final String SEARCHES = Client.EXEC + "/hypersearch";

    private static final String RATE =
            "'hyperParams': [{'name': 'rate', 'type': 'Range', 'dataType': 'DOUBLE', 'minDbVal': 0.001, 'maxDbVal': 0.1}]";

    /** Tells that it runs, waits for the gate, and reports the rate it was given as its loss. */
    private static final String SCRIPT = """
            import json, os, time
            config = json.load(open("config.json"))
            gate = os.environ["DATA_DIR"]
            with open(os.path.join(gate, "runs"), "a") as runs:
                runs.write(os.environ["DLI_EXECID"] + "\\n")
            while not os.path.exists(os.path.join(gate, "open")):
                time.sleep(0.02)
            kind = config.get("kind", "good")
            if kind == "raises":
                raise SystemExit(3)
            text = json.dumps([{"steps": 1, "loss": config["rate"] + 1}, {"steps": 2, "loss": config["rate"]}])
            text = {"half": text[:25], "text": '{"loss": "low"}', "nan": '{"loss": NaN}', "other": '{"accuracy": 1}'}.get(kind, text)
            if kind != "silent":
                with open(os.path.join(os.environ["RESULT_DIR"], "val_dict_list.json"), "w") as file:
                    file.write(text)
            """;

    /** The good one reports until the gate opens, the others begin once it is ahead, and would never end. */
    private static final String REPORTING = """
            import itertools, json, os, time
            from concertina import report
            rate = json.load(open("config.json"))["rate"]
            ahead, end = (os.path.join(os.environ["DATA_DIR"], name) for name in ("runs", "open"))
            good = rate < 0.2
            while not good and not os.path.exists(ahead):
                time.sleep(0.05)
            for step in itertools.count(1):
                report(step, loss=rate + 1 / step)
                if good and step == 30:
                    open(ahead, "w").close()
                if good and os.path.exists(end):
                    break
                time.sleep(0.05)
            """;

    /** Counts the epochs of its whole line of trials; one that goes on trains only what is missing. */
    private static final String CONTINUED = """
            import json, os
            from concertina import report
            epochs, done = json.load(open("config.json"))["epochs"], 0
            parent = os.environ.get("CONCERTINA_PARENT_RESULT")
            if parent:
                with open(os.path.join(parent, "model", "state")) as file:
                    done = int(file.read())
                assert done == 1 and epochs == 3, (done, epochs)
                assert not os.path.exists(os.path.join(parent, "_submitted_code"))
            for step in range(done + 1, epochs + 1):
                report(step, loss=-step)
            with open(os.path.join(os.environ["RESULT_DIR"], "model", "state"), "w") as file:
                file.write(str(epochs))
            """;

    private static final String ELASTIC = """
            import json, os
            import torch
            from torch import nn
            from torch.utils.data import TensorDataset
            from fabric_model import FabricModel
            rate = json.load(open("config.json"))["rate"]
            torch.manual_seed(1)
            data = TensorDataset(torch.randn(32, 4), torch.randint(0, 2, (32,)))
            model = nn.Linear(4, 2)
            FabricModel(model, lambda: (data, data), nn.CrossEntropyLoss(), torch.optim.SGD(model.parameters(), lr=rate)).train(2, 4, 2)
            path = os.path.join(os.environ["RESULT_DIR"], "val_dict_list.json")
            with open(path + str(os.getpid()), "w") as file:
                json.dump({"loss": rate}, file)
            os.replace(path + str(os.getpid()), path)
            """;

    @TempDir
    static Path folder;

    private static Platform platform;
    private static Client client;

    @BeforeAll
    static void start() throws IOException {
        platform = Platform.start(folder.resolve("platform"), 2);
        client = platform.administrator();
        Files.createDirectories(gate());
    }

    @AfterAll
    static void stop() {
        platform.close();
    }

    @AfterEach
    void tidy() throws IOException {
        assertThat(client.send("DELETE", SEARCHES).statusCode()).isEqualTo(204);
        assertThat(client.send("DELETE", Client.EXEC + "/execs").statusCode()).isEqualTo(204);
        Files.deleteIfExists(gate().resolve("open"));
        Files.deleteIfExists(gate().resolve("runs"));
    }

    private static Path gate() {
        return folder.resolve("platform/data");
    }

    private static void open() throws IOException {
        Files.writeString(gate().resolve("open"), "");
    }

    private static List<String> runs() {
        try {
            Path runs = gate().resolve("runs");
            return Files.exists(runs) ? Files.readAllLines(runs) : List.of();
        } catch (IOException failed) {
            throw new UncheckedIOException(failed);
        }
    }

    private static String create(String name, String framework, String algorithm, String block, String script) {
        String data = "{'hpoName': '" + name + "', 'modelSpec': {'args': '--exec-start " + framework
                + " --cs-datastore-meta type=fs --model-dir code --model-main main.py'}, 'algoDef': {"
                + "'objectiveMetric': 'loss', 'objective': 'minimize', 'maxParalleJobNum': 2, " + algorithm + "}, "
                + block
                + "}";
        byte[] code =
                Archives.gzippedTar(Map.of("code/main.py", script.getBytes(java.nio.charset.StandardCharsets.UTF_8)));
        HttpResponse<String> answer =
                client.upload(SEARCHES, Upload.field("data", data), Upload.file("code.modelDir.tar", code));
        assertThat(answer.statusCode()).as(answer.body()).isEqualTo(200);
        assertThat(Client.parse(answer.body()).get("href").asString()).isEqualTo(SEARCHES + "/" + name);
        return name;
    }

    private static String random(String name, int trials) {
        return create(
                name,
                "PyTorch",
                "'algorithm': 'Random', 'maxJobNum': " + trials
                        + ", 'algoParams': [{'name': 'RandomSeed', 'value': '2'}]",
                RATE,
                SCRIPT);
    }

    private static JsonNode task(String name) {
        return Client.json(client.get(SEARCHES + "/" + name));
    }

    private static JsonNode await(String awaited, String name, Predicate<JsonNode> condition) {
        return Waiting.until(awaited, LIMIT, () -> task(name), condition, () -> task(name) + "\n" + platform.logs());
    }

    private static JsonNode awaitEnd(String name) {
        return await(
                "the end of " + name,
                name,
                task -> !List.of("SUBMITTED", "RUNNING")
                        .contains(task.get("state").asString()));
    }

    private static HttpResponse<String> put(String name, String action) {
        return client.send("PUT", SEARCHES + "/" + name + action);
    }

    private static List<String> jobs(JsonNode task) {
        List<String> jobs = new ArrayList<>();
        task.get("experiments").forEach(each -> jobs.add(each.get("appId").asString()));
        return jobs;
    }

    @Test
    void aKilledServerLosesNoTrialAndRepeatsNone() throws IOException {
        random("killed", 6);
        Waiting.until("two trials to run", LIMIT, SearchTest::runs, runs -> runs.size() == 2, platform::logs);

        platform.killServer();
        open();
        platform.startServer();

        JsonNode task = awaitEnd("killed");
        assertThat(task.get("state").asString()).as(task.toString()).isEqualTo("FINISHED");
        assertThat(task.get("progress").asString()).isEqualTo("6/6");
        assertThat(task.get("failed").asInt()).isZero();
        assertThat(runs()).hasSize(6).containsExactlyInAnyOrderElementsOf(jobs(task));
        double best = Double.POSITIVE_INFINITY;
        for (JsonNode experiment : task.get("experiments")) {
            double rate = Double.parseDouble(
                    experiment.get("hyperParams").get(0).get("fixedVal").asString());
            assertThat(experiment.get("metricVal").asDouble()).isEqualTo(rate);
            best = Math.min(best, rate);
            assertThat(client.state(experiment.get("appId").asString())).isEqualTo("FINISHED");
        }
        assertThat(task.get("best").get("metricVal").asDouble()).isEqualTo(best);
    }

    @Test
    void trialsThatWereLostWithTheirAgentRunAgain() throws IOException {
        random("lost", 4);
        Waiting.until("two trials to run", LIMIT, SearchTest::runs, runs -> runs.size() == 2, platform::logs);

        platform.killAgent("node1");
        platform.startAgent("node1", 2);
        open();

        JsonNode task = awaitEnd("lost");
        assertThat(task.get("state").asString()).as(task.toString()).isEqualTo("FINISHED");
        assertThat(task.get("progress").asString()).isEqualTo("4/4");
        assertThat(task.get("failed").asInt()).isZero();
        assertThat(runs()).hasSize(6).containsAll(jobs(task));
        for (String first : runs().subList(0, 2)) {
            assertThat(client.state(first)).isEqualTo("ERROR");
        }
    }

    @Test
    void whatASearchBeganWithOutlivesAKilledServer() throws IOException {
        open();
        random("earlier", 3);
        awaitEnd("earlier");
        List<Double> warm = rates(awaitEnd(warm("undisturbed", 4, ", 'warmStart': {'searches': ['earlier']}")));
        assertThat(rates(awaitEnd(warm("cold", 1, "")))).doesNotContain(warm.getFirst());
        Files.delete(gate().resolve("open"));
        Files.delete(gate().resolve("runs"));
        warm("killed", 4, ", 'warmStart': {'searches': ['earlier']}");
        Waiting.until("a trial to run", LIMIT, SearchTest::runs, runs -> runs.size() == 1, platform::logs);
        assertThat(client.send("DELETE", SEARCHES + "/earlier").statusCode()).isEqualTo(204);

        platform.killServer();
        open();
        platform.startServer();

        JsonNode task = awaitEnd("killed");
        assertThat(rates(task)).as("the points of the undisturbed search").isEqualTo(warm);
        assertThat(runs()).containsExactlyElementsOf(jobs(task));
    }

    private static String warm(String name, int trials, String more) {
        return create(
                name,
                "PyTorch",
                "'algorithm': 'TPE', 'maxParalleJobNum': 1, 'maxJobNum': " + trials
                        + ", 'algoParams': {'RandomSeed': 5, 'WarmUp': 3}" + more,
                RATE,
                SCRIPT);
    }

    private static List<Double> rates(JsonNode task) {
        assertThat(task.get("state").asString()).as(task.toString()).isEqualTo("FINISHED");
        List<Double> rates = new ArrayList<>();
        task.get("experiments").forEach(each -> rates.add(each.get("metricVal").asDouble()));
        return rates;
    }

    @Test
    void aStoppedSearchGoesOnAfterARestart() throws IOException {
        random("stopped", 3);
        Waiting.until("two trials to run", LIMIT, SearchTest::runs, runs -> runs.size() == 2, platform::logs);
        List<String> first = jobs(task("stopped"));

        assertThat(put("stopped", "").statusCode()).isEqualTo(204);

        assertThat(task("stopped").get("state").asString()).isEqualTo("STOPPED");
        assertThat(put("stopped", "").body()).isEqualTo("Error 400: Model tuning stopped is already stopped.\n");
        for (String job : first) {
            client.awaitState(job, "KILLED", LIMIT);
        }
        open();
        assertThat(put("stopped", "/restart").statusCode()).isEqualTo(200);
        JsonNode task = awaitEnd("stopped");
        assertThat(task.get("state").asString()).as(task.toString()).isEqualTo("FINISHED");
        assertThat(task.get("progress").asString()).isEqualTo("3/3");
        assertThat(jobs(task)).doesNotContainAnyElementsOf(first);
        assertThat(runs()).hasSize(5);
    }

    @Test
    void trialsThatFailAreToldAndTheSearchGoesOn() throws IOException {
        open();
        List<String> kinds = List.of("raises", "half", "text", "nan", "other", "silent", "good");
        StringBuilder experiments = new StringBuilder("'experiments': [");
        for (int i = 0; i < kinds.size(); i++) {
            experiments.append("{'id': " + (i + 1) + ", 'hyperParams': ["
                    + "{'name': 'rate', 'dataType': 'DOUBLE', 'fixedVal': '0.5'},"
                    + "{'name': 'kind', 'dataType': 'STR', 'fixedVal': '" + kinds.get(i) + "'}]},");
        }
        create("kinds", "PyTorch", "'algorithm': 'ExperimentGridSearch'", experiments + "]", SCRIPT);

        JsonNode task = awaitEnd("kinds");

        assertThat(task.get("state").asString()).as(task.toString()).isEqualTo("FINISHED");
        assertThat(task.get("progress").asString()).isEqualTo("7/7");
        assertThat(task.get("failed").asInt()).isEqualTo(6);
        assertThat(task.get("best").get("id").asInt()).isEqualTo(7);
        List<String> reasons = new ArrayList<>();
        task.get("experiments").forEach(each -> {
            if (each.get("state").asString().equals("FAILED")) {
                assertThat(each.get("metricVal").asDouble()).isEqualTo(9999.99);
                reasons.add(each.get("reason").asString());
            }
        });
        assertThat(reasons.get(0)).contains("exit code 3");
        assertThat(reasons.get(1)).contains("is not JSON");
        assertThat(reasons.get(2)).contains("accepted: a number");
        assertThat(reasons.get(3)).contains("never a finite number");
        assertThat(reasons.get(4)).contains("which holds accuracy");
        assertThat(reasons.get(5)).contains("it wrote no RESULT_DIR/val_dict_list.json");
    }

    @Test
    void trialsThatReportWorseThanOthersAreStoppedAndTheirSlotsGoToTheNext() throws IOException {
        StringBuilder experiments = new StringBuilder("'experiments': [");
        List<Double> rates = List.of(0.1, 0.5, 0.6, 0.7);
        for (int i = 0; i < rates.size(); i++) {
            experiments.append("{'id': " + i + ", 'hyperParams': [{'name': 'rate', 'dataType': 'DOUBLE', 'fixedVal': '"
                    + rates.get(i) + "'}]},");
        }
        create(
                "early",
                "PyTorch",
                "'algorithm': 'ExperimentGridSearch', 'earlyStopping': {'rule': 'asha', 'maxSteps': 4096, 'eta': 2}",
                experiments + "]",
                REPORTING);

        JsonNode running = await(
                "three stopped trials",
                "early",
                task -> states(task).equals(List.of("RUNNING", "STOPPED", "STOPPED", "STOPPED")));
        open();
        JsonNode task = awaitEnd("early");

        assertThat(task.get("state").asString()).as(task.toString()).isEqualTo("FINISHED");
        assertThat(task.get("progress").asString()).isEqualTo("4/4");
        assertThat(task.get("failed").asInt()).isZero();
        assertThat(states(task)).containsExactly("FINISHED", "STOPPED", "STOPPED", "STOPPED");
        assertThat(task.get("best").get("appId").asString())
                .isEqualTo(jobs(running).getFirst());
        for (JsonNode stopped : task.get("experiments")) {
            if (stopped.get("state").asString().equals("STOPPED")) {
                assertThat(stopped.get("reason").asString()).contains("go on");
                assertThat(stopped.get("metricVal").asDouble()).isBetween(0.5, 1.8);
                assertThat(client.state(stopped.get("appId").asString())).isEqualTo("KILLED");
            }
        }
    }

    private static List<String> states(JsonNode task) {
        List<String> states = new ArrayList<>();
        task.get("experiments").forEach(each -> states.add(each.get("state").asString()));
        return states;
    }

    @Test
    void aTrialThatIsPromotedFindsWhatItsParentLeft() {
        create(
                "promoted",
                "PyTorch",
                "'algorithm': 'ASHA', 'maxJobNum': 6, 'algoParams': [{'name': 'ResourceName', 'value': 'epochs'},"
                        + " {'name': 'ResourceValue', 'value': '3'}, {'name': 'GoOnFromParent', 'value': 'true'}]",
                RATE,
                CONTINUED);

        JsonNode task = awaitEnd("promoted");

        assertThat(task.get("state").asString())
                .as(() -> task + "\n" + platform.logs())
                .isEqualTo("FINISHED");
        assertThat(task.get("failed").asInt()).as(task.toString()).isZero();
        assertThat(task.get("best").get("metricVal").asDouble())
                .as("one epoch of the parent and two of its own")
                .isEqualTo(-3);
    }

    @Test
    void aPopulationGoesOnFromItsParentsInANewServer() throws IOException {
        create(
                "population",
                "PyTorch",
                "'algorithm': 'PBT', 'algoParams': [{'name': 'ResourceName', 'value': 'epochs'}, {'name': 'Rounds', 'value': '3'},"
                        + " {'name': 'PopulationSize', 'value': '4'}, {'name': 'RandomSeed', 'value': '5'}]",
                RATE,
                Files.readString(SCRIPTS.resolve("member.py")));
        Waiting.until("two second rounds to run", LIMIT, SearchTest::runs, runs -> runs.size() == 6, platform::logs);

        platform.killServer();
        open();
        platform.startServer();

        JsonNode task = awaitEnd("population");
        assertThat(task.get("state").asString())
                .as(() -> task + "\n" + platform.logs())
                .isEqualTo("FINISHED");
        assertThat(task.get("failed").asInt()).as(task.toString()).isZero();
        assertThat(runs()).containsExactlyInAnyOrderElementsOf(jobs(task));
        JsonNode trials =
                Client.json(client.get("/concertina/v1/searches/population")).get("trials");
        int changed = 0;
        int last = 0;
        for (JsonNode trial : trials) {
            double before = 0;
            last += trial.get("resource").asDouble() == 3 ? 1 : 0;
            if (trial.get("trial").asInt() >= 4) {
                JsonNode parent = trials.get(trial.get("parent").asInt());
                assertThat(parent.get("resource").asDouble())
                        .isEqualTo(trial.get("resource").asDouble() - 1);
                before = parent.get("value").asDouble();
                changed += trial.at("/parameters/rate").equals(parent.at("/parameters/rate")) ? 0 : 1;
            }
            assertThat(trial.get("value").asDouble())
                    .as("what the whole line counted, trial %s", trial)
                    .isCloseTo(before + trial.at("/parameters/rate").asDouble(), within(1e-9));
        }
        assertThat(last).as("members that came to their ends").isEqualTo(4);
        assertThat(changed)
                .as("members that took over from others and explored")
                .isPositive();
    }

    @Test
    void anElasticTrialTrainsOnSeveralWorkers() {
        create(
                "elastic",
                "edtPyTorch --numWorker 2",
                "'algorithm': 'Random', 'maxJobNum': 1",
                "'hyperParams': [{'name': 'rate', 'type': 'Discrete', 'dataType': 'DOUBLE', 'discreteDbVal': [0.25]}]",
                ELASTIC);

        JsonNode task = awaitEnd("elastic");

        assertThat(task.get("state").asString())
                .as(() -> task + "\n" + platform.logs())
                .isEqualTo("FINISHED");
        assertThat(task.get("best").get("metricVal").asDouble()).isEqualTo(0.25);
        assertThat(client.exec(jobs(task).getFirst()).get("elastic").asBoolean())
                .isTrue();
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void aPluginEndsWithItsServerAndGoesOnFromItsStateInANewOne(boolean killed) throws IOException {
        byte[] archive =
                Archives.gzippedTar(Map.of("optimizer.py", Files.readAllBytes(SCRIPTS.resolve("optimizer.py"))));
        HttpResponse<String> installed = client.upload(
                SEARCHES + "/algorithm/install",
                Upload.field("data", "{'name': 'counting', 'logLevel': 'INFO'}"),
                Upload.file("counting.tar", archive));
        assertThat(installed.statusCode()).as(installed.body()).isEqualTo(200);
        create(
                "counted",
                "PyTorch",
                "'algorithm': 'counting', 'algoParams': [{'name': 'first', 'value': '1'}]",
                RATE,
                SCRIPT);
        Waiting.until("two trials to run", LIMIT, SearchTest::runs, runs -> runs.size() == 2, platform::logs);

        Path about = folder.resolve("platform/shared/tools/tune/plugins/counting/process");
        long process = Long.parseLong(Files.readString(about).strip());
        assertThat(Elastic.runs(process)).isTrue();
        if (killed) {
            platform.killServer();
        } else {
            platform.endServer();
        }
        Waiting.until("the plug-in's process to end", LIMIT, () -> !Elastic.runs(process));
        open();
        platform.startServer();

        JsonNode task = awaitEnd("counted");
        assertThat(rates(task)).containsExactly(0.001, 0.002, 0.003, 0.004, 0.005, 0.006);
        assertThat(client.send("DELETE", SEARCHES + "/algorithm/counting").statusCode())
                .isEqualTo(204);
    }
}
