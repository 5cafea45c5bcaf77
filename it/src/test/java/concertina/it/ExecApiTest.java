package concertina.it;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.zip.ZipEntry;
import java.util.zip.ZipInputStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

/** Every call of the exec API's second generation, with one finished job to look at from all sides. */
class ExecApiTest {
    private static final Duration LIMIT = Duration.ofSeconds(60);
    private static final String SCRIPT = """
            import os, sys
            print("training began")
            print("something to worry about", file=sys.stderr)
            with open(os.path.join(os.environ["RESULT_DIR"], "model", "weights.txt"), "w") as file:
                file.write("1 2 3")
            os.makedirs(os.path.join(os.environ["SAVED_MODEL_DIR"], "deep", "er"))
            with open(os.path.join(os.environ["SAVED_MODEL_DIR"], "deep", "er", "more.txt"), "w") as file:
                file.write("four")
            print("training ended")
            """;

    private static Platform platform;
    private static Client client;
    private static JsonNode submitted;
    private static String id;

    @BeforeAll
    static void start(@TempDir Path folder) {
        platform = Platform.start(folder, 2);
        client = platform.administrator();
        submitted = client.submit(
                "--exec-start PyTorch    --cs-datastore-meta type=fs  --workerDeviceNum 1   --model-main main.py",
                Upload.file("main.py", SCRIPT));
        id = submitted.get("id").asString();
        client.awaitState(id, "FINISHED", LIMIT);
    }

    @AfterAll
    static void stop() {
        platform.close();
    }

    @Test
    void logonGivesATokenForABasicHeaderAndIgnoresABody() {
        HttpResponse<String> answer = client.text(
                "GET",
                "/auth/v1/logon",
                Map.of("Authorization", client.basic(), "Content-Type", "application/json"),
                "{\"username\":\"somebody\",\"password\":\"else\"}".getBytes(StandardCharsets.UTF_8));

        assertThat(answer.statusCode()).isEqualTo(200);
        assertThat(Client.parse(answer.body()).get("accessToken").asString()).isNotBlank();
    }

    @Test
    void tokensAreTakenFromEitherHeaderAndBasicWorksToo() {
        for (Map<String, String> headers : List.of(
                Map.of("X-Auth-Token", client.token()),
                Map.of("Authorization", "Bearer " + client.token()),
                Map.of("Authorization", client.basic()))) {
            assertThat(client.text("GET", Client.EXEC + "/conf", headers, new byte[0])
                            .statusCode())
                    .as(headers.keySet().toString())
                    .isEqualTo(200);
        }
    }

    @Test
    void aTokenIsWorthlessAfterLogoff() {
        Client other = new Client(platform, client.user(), client.password());
        Map<String, String> bearer = Map.of("Authorization", "Bearer " + other.token());

        assertThat(other.text("POST", "/auth/v1/logoff", bearer, new byte[0]).statusCode())
                .isBetween(200, 204);
        assertThat(other.text("GET", Client.EXEC + "/conf", bearer, new byte[0]).statusCode())
                .isEqualTo(401);
    }

    @Test
    void confIsAFlatMapOfStringsThatNamesKubernetes() {
        JsonNode conf = Client.json(client.get(Client.EXEC + "/conf"));

        assertThat(conf.isObject()).isTrue();
        conf.forEach(value -> assertThat(value.isString()).isTrue());
        assertThat(conf.has("MSD_ENABLED")).isTrue();
    }

    @Test
    void statusIsJson() {
        assertThat(Client.json(client.get(Client.EXEC + "/status")).isContainer())
                .isTrue();
    }

    @Test
    void frameworksAreListedWithTheirRecordedKeys() {
        List<String> names = new ArrayList<>();
        for (JsonNode framework : Client.json(client.get(Client.EXEC + "/execs/frameworks"))) {
            names.add(framework.get("name").asString());
            assertThat(framework.get("desc").isArray()).isTrue();
            for (String key : List.of("description", "frameworkVersion", "deployMode", "execMode", "appName")) {
                assertThat(framework.has(key)).as(key).isTrue();
            }
        }
        assertThat(names)
                .contains("PyTorch", "distPyTorch", "tensorflow", "disttensorflow", "edtPyTorch", "edtTensorflow");
    }

    @Test
    void anExecIsFlatWithItsKeysInTheRecordedOrder() {
        JsonNode exec = client.exec(id);

        exec.forEach(value -> assertThat(value.isContainer()).isFalse());
        assertThat(exec.propertyNames())
                .startsWith(
                        "id",
                        "args",
                        "submissionId",
                        "creator",
                        "state",
                        "appId",
                        "schedulerUrl",
                        "modelFileOwnerName",
                        "workDir",
                        "appName",
                        "createTime",
                        "elastic",
                        "nameSpace",
                        "numWorker",
                        "framework");
        assertThat(exec.get("submissionId")).isEqualTo(exec.get("id"));
        assertThat(exec.get("appId")).isEqualTo(exec.get("id"));
        assertThat(exec.get("creator").asString()).isEqualTo(client.user());
        assertThat(exec.get("appName").asString()).isEqualTo("SingleNodePytorchTrain");
        assertThat(exec.get("elastic").asBoolean()).isFalse();
        assertThat(exec.get("numWorker").asInt()).isEqualTo(1);
        assertThat(exec.get("framework").asString()).isEqualTo("PyTorch");
        assertThat(exec.get("workDir").asString())
                .endsWith("/" + client.user() + "/batchworkdir/" + id + "/_submitted_code");
        assertThat(exec.get("createTime").asString()).endsWith("Z");
        assertThat(Instant.parse(exec.get("createTime").asString())).isBefore(Instant.now());
    }

    @Test
    void argumentsComeBackAsPostedWithOneTrailingSpace() {
        assertThat(submitted.get("args").asString())
                .isEqualTo(
                        "--exec-start PyTorch    --cs-datastore-meta type=fs  --workerDeviceNum 1   --model-main main.py ");
    }

    @Test
    void listsAreFilteredSortedAndCutByTheirArguments() {
        String second = client.submit(
                        "--exec-start PyTorch --model-main main.py", Upload.file("main.py", "raise SystemExit(3)"))
                .get("id")
                .asString();
        client.awaitState(second, "ERROR", LIMIT);

        assertThat(ids("/execs")).contains(id, second);
        assertThat(ids("/execs/")).contains(id, second);
        assertThat(ids("/execs?state=ERROR")).contains(second).doesNotContain(id);
        assertThat(ids("/execs?limit=1&sort_by=id:desc")).hasSize(1);
        List<String> ascending = ids("/execs?sort_by=id:asc");
        assertThat(ids("/execs?sort_by=id:desc")).isEqualTo(ascending.reversed());
        assertThat(ascending.indexOf(id)).isLessThan(ascending.indexOf(second));
    }

    @Test
    void theTrainingLogIsAJsonStringOrTextAsAsked() {
        HttpResponse<String> json = client.text(
                "GET",
                Client.EXEC + "/execs/" + id + "/log",
                Map.of("X-Auth-Token", client.token(), "Accept", "application/json"),
                new byte[0]);

        assertThat(json.headers().firstValue("Content-Type"))
                .hasValueSatisfying(type -> assertThat(type).startsWith("application/json"));
        assertThat(Client.parse(json.body()).asString()).isEqualTo("training began\ntraining ended\n");
        assertThat(client.log(id, "")).isEqualTo("training began\ntraining ended\n");
    }

    @Test
    void eachLogTypeHoldsItsOwnStream() {
        assertThat(client.log(id, "outlog")).contains("training began").doesNotContain("worry");
        assertThat(client.log(id, "errlog"))
                .contains("something to worry about")
                .doesNotContain("began");
        assertThat(client.log(id, "outerrlog")).contains("training began", "something to worry about");
    }

    @Test
    void executorAndDriverLogsCountFromOneAndAreCutToTheLastLines() {
        String application = Client.EXEC + "/scheduler/applications/" + id;

        assertThat(client.get(application + "/executor/1/logs/stdout?lastlines=1000")
                        .body())
                .contains("training began");
        assertThat(client.get(application + "/executor/1/logs/stdout?lastlines=1")
                        .body())
                .contains("training ended")
                .doesNotContain("training began");
        assertThat(client.get(application + "/executor/1/logs/stderr").body()).contains("worry");
        assertThat(client.get(application + "/executor/1/logs/launcherlog").body())
                .contains("RESULT_DIR", "main.py");
        for (String type : List.of("stdout", "stderr", "launcherlog")) {
            assertThat(client.get(application + "/driver/logs/" + type + "?lastlines=10")
                            .statusCode())
                    .as(type)
                    .isEqualTo(200);
            assertThat(client.get(application + "/executor/1/logs/" + type + "/download")
                            .statusCode())
                    .as(type)
                    .isEqualTo(200);
        }
        assertThat(client.get(application + "/executor/9/logs/stdout").statusCode())
                .isBetween(400, 416);
    }

    @Test
    void theResultIsAZipOfTheModelFolderUnderTheExactHeader() throws IOException {
        HttpResponse<byte[]> answer = client.bytes(Client.EXEC + "/execs/" + id + "/result");

        assertThat(answer.statusCode()).isEqualTo(200);
        assertThat(answer.headers().firstValue("Content-Disposition"))
                .hasValueSatisfying(header -> assertThat(header)
                        .matches("attachment;filename=dlpd-model[A-Za-z0-9._-]*\\.zip;size=" + answer.body().length));
        List<String> members = new ArrayList<>();
        try (ZipInputStream zip = new ZipInputStream(new ByteArrayInputStream(answer.body()))) {
            for (ZipEntry entry = zip.getNextEntry(); entry != null; entry = zip.getNextEntry()) {
                if (!entry.isDirectory()) {
                    members.add(entry.getName());
                }
                if (entry.getName().endsWith("weights.txt")) {
                    assertThat(new String(zip.readAllBytes(), StandardCharsets.UTF_8))
                            .isEqualTo("1 2 3");
                }
            }
        }
        assertThat(members).hasSize(2);
        assertThat(members).anyMatch(name -> name.endsWith("weights.txt"));
        assertThat(members).anyMatch(name -> name.endsWith("deep/er/more.txt"));
    }

    @Test
    void schedulerAndEngineShowTheApplication() {
        JsonNode application = Client.json(client.get(Client.EXEC + "/scheduler/applications?applicationid=" + id));
        assertThat(application).hasSize(1);
        assertThat(application.get(0).get("applicationid").asString()).isEqualTo(id);
        assertThat(application.get(0).get("task0").isArray()).isTrue();
        assertThat(application.get(0).get("task12n").isArray()).isTrue();

        JsonNode one = Client.json(client.get(Client.EXEC + "/scheduler/engine/applications/" + id));
        assertThat(one).hasSize(1);
        for (String key : List.of(
                "id",
                "consumer",
                "submit_user",
                "name",
                "priority",
                "type",
                "state",
                "task0_resreq",
                "task12n_resreq",
                "task12n_num",
                "used_gpu",
                "submit_time",
                "start_time",
                "end_time")) {
            assertThat(one.get(0).has(key)).as(key).isTrue();
        }
        List<String> found = new ArrayList<>();
        Client.json(client.get(Client.EXEC
                        + "/scheduler/engine/applications?start=0&length=50&sort=-submit_time&state=FINISHED"))
                .forEach(each -> found.add(each.get("id").asString()));
        assertThat(found).contains(id);
    }

    @Test
    void theDashboardsCallsAnswer() {
        for (String path : List.of(
                "/scheduler/instances",
                "/scheduler/applicationStatistic",
                "/scheduler/kubernetesobjects?type=pod",
                "/scheduler/kubernetesobjects?type=paralleljob")) {
            assertThat(client.get(Client.EXEC + path).statusCode()).as(path).isIn(200, 404);
        }
    }

    @Test
    void aRunningJobIsKilledByStop() {
        String endless = client.submit(
                        "--exec-start PyTorch --model-main main.py",
                        Upload.file("main.py", "import time\nprint('up', flush=True)\ntime.sleep(600)\n"))
                .get("id")
                .asString();
        client.awaitJob(
                "output of " + endless,
                endless,
                LIMIT,
                job -> client.log(endless, "").contains("up"));
        long process = Elastic.livingProcesses(client.job(endless)).getFirst();

        client.stop(endless);

        client.awaitState(endless, "KILLED", LIMIT);
        assertThat(ProcessHandle.of(process).filter(ProcessHandle::isAlive)).isEmpty();
        client.stop(endless);
        assertThat(client.state(endless)).isEqualTo("KILLED");
    }

    @Test
    void aQueuedOrRunningJobShowsOnlyWordsThatPollersTolerate() {
        String job = client.submit(
                        "--exec-start PyTorch --model-main main.py", Upload.file("main.py", "print('short')\n"))
                .get("id")
                .asString();
        List<String> seen = new ArrayList<>();
        Waiting.until("job " + job + " to end", LIMIT, () -> {
            seen.add(client.state(job));
            return seen.getLast().equals("FINISHED");
        });
        assertThat(seen).isSubsetOf("PENDING_CRD_SCHEDULER", "SUBMITTED", "RUNNING", "FINISHED");
    }

    @Test
    void aDeletedJobIsForgottenWithItsFiles() {
        String job = client.submit(
                        "--exec-start PyTorch --model-main main.py", Upload.file("main.py", "print('gone soon')\n"))
                .get("id")
                .asString();
        client.awaitState(job, "FINISHED", LIMIT);

        assertThat(client.send("DELETE", Client.EXEC + "/execs/" + job).statusCode())
                .isEqualTo(204);

        assertThat(client.get(Client.EXEC + "/execs/" + job).statusCode()).isEqualTo(400);
        assertThat(ids("/execs")).doesNotContain(job);
        assertThat(platform.resultFolder(client.user(), job)).doesNotExist();
    }

    @Test
    void theResourceTreeCanBeRead() {
        assertThat(client.get(Client.EXEC + "/resplans/resplantree").statusCode())
                .isEqualTo(200);
    }

    private static List<String> ids(String path) {
        List<String> ids = new ArrayList<>();
        Client.json(client.get(Client.EXEC + path))
                .forEach(exec -> ids.add(exec.get("id").asString()));
        return ids;
    }
}
