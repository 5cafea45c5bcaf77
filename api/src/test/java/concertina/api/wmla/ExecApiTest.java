package concertina.api.wmla;

import static concertina.api.TestServer.EXECS;
import static concertina.api.TestServer.execs;
import static org.assertj.core.api.Assertions.assertThat;

import concertina.api.Multipart;
import concertina.api.ServedTest;
import concertina.model.JobState;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.zip.ZipEntry;
import java.util.zip.ZipInputStream;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class ExecApiTest extends ServedTest {
    private static final String ARGS = "--exec-start PyTorch --model-main main.py";

    @Test
    void logonTurnsBasicCredentialsIntoATokenThatWorksInBothHeaders() {
        HttpResponse<String> logon = server.get("bob", "/auth/v1/logon");
        assertThat(logon.statusCode()).isEqualTo(200);
        String token =
                JsonMapper.shared().readTree(logon.body()).get("accessToken").asString();
        for (String[] header : new String[][] {{"X-Auth-Token", token}, {"Authorization", "Bearer " + token}}) {
            HttpResponse<String> conf =
                    server.send(HttpRequest.newBuilder(server.uri("/platform/rest/deeplearning/v1/conf"))
                            .header(header[0], header[1]));
            assertThat(conf.statusCode()).isEqualTo(200);
            assertThat(JsonMapper.shared()
                            .readTree(conf.body())
                            .get("MSD_ENABLED")
                            .isString())
                    .isTrue();
        }
        HttpRequest.Builder logoff = HttpRequest.newBuilder(server.uri("/auth/v1/logoff"))
                .header("Authorization", "Bearer " + token)
                .POST(HttpRequest.BodyPublishers.noBody());
        assertThat(server.send(logoff).statusCode()).isEqualTo(200);
        HttpResponse<String> after =
                server.send(HttpRequest.newBuilder(server.uri(EXECS)).header("X-Auth-Token", token));
        assertThat(after.statusCode()).isEqualTo(401);
        assertThat(after.headers().allValues("WWW-Authenticate")).hasSize(2);
        assertThat(after.body()).isEqualTo("Error 401: the token is not valid, log on again\n");
    }

    @Test
    void theExecObjectIsFlatInTheRecordedOrderAndEchoesTheArgumentsWithOneMoreSpace() {
        String args = "--exec-start edtPyTorch      --cs-datastore-meta type=fs     --numWorker 2 "
                + " --model-main main.py   --epochs  -1";
        String id = server.submitted("bob", args);
        JsonNode exec = server.json("bob", EXECS + "/" + id);
        assertThat(exec.propertyNames())
                .containsExactly(
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
                        "framework",
                        "reason");
        assertThat(exec.values()).allMatch(JsonNode::isValueNode);
        assertThat(exec.get("args").asString()).isEqualTo(args + " ");
        assertThat(exec.get("state").asString()).isEqualTo("PENDING_CRD_SCHEDULER");
        assertThat(exec.get("createTime").asString()).isEqualTo("2026-03-08T03:24:40Z");
        assertThat(exec.get("workDir").asString()).endsWith("bob/batchworkdir/" + id + "/_submitted_code");
        assertThat(exec.get("numWorker").asInt()).isEqualTo(2);
        assertThat(exec.get("elastic").asBoolean()).isTrue();
        assertThat(exec.get("reason").asString()).isEqualTo("waits for a free slot");
        assertThat(server.jobs.list().getFirst().spec().scriptArguments()).containsExactly("--epochs", "-1");
    }

    @Test
    void aLivingJobShowsOnlyStatesThatPollersTolerate() {
        String id = server.submitted("bob", ARGS);
        for (JobState state : JobState.values()) {
            server.jobs.move(id, state, 1);
            String word = server.json("bob", EXECS + "/" + id).get("state").asString();
            if (!state.finalState()) {
                assertThat(word).isIn("PENDING_CRD_SCHEDULER", "SUBMITTED", "RUNNING");
            } else {
                assertThat(word).isEqualTo(state.name());
            }
        }
    }

    @Test
    void theWorkFolderNamesTheArchivesOwnTopFolderWhateverModelDirSays() {
        HttpResponse<String> response = server.submit(
                "bob",
                "--exec-start PyTorch --model-dir /home/bob/other/ --model-main train.py",
                "digits.modelDir.tar",
                "digits/train.py\ndigits/data.csv");
        assertThat(response.statusCode()).as(response.body()).isEqualTo(200);
        assertThat(JsonMapper.shared().readTree(response.body()).get("workDir").asString())
                .endsWith("/_submitted_code/digits");
        assertThat(server.jobs.list().getFirst().spec().modelDirectory()).isEqualTo("digits");
    }

    @Test
    void theFilePartMayHaveAnyNameAndSeveralMayCome() {
        Multipart form = new Multipart()
                .file("WMLA_HPO_pytorch.py", "main.py", "print(1)")
                .file("file", "environment.yaml", "name: x");
        HttpResponse<String> response = server.send(server.as("bob", execs(ARGS))
                .header("Content-Type", form.contentType())
                .POST(form.publisher()));
        assertThat(response.statusCode()).as(response.body()).isEqualTo(200);
        assertThat(server.jobs.list().getFirst().spec().modelMain()).isEqualTo("main.py");
    }

    @Test
    void everythingMayComeInTheDataField() {
        Multipart form = new Multipart().field("data", """
                        {"args":"--exec-start distPyTorch --msd-env HF_HOME=/tmp --user-cmd -- bash run.sh train.py --x y",
                         "hardwareSpec":{"nodes":{"num_nodes":4,"mem":{"size":"16g"},"gpu":{"num_gpu":1},"cpu":{"units":"0.25"}}},
                         "dataSource":[{"type":"fs","location":{"paths":"mnist/train"}}]}
                        """).file("file", "x.modelDir.tar", "run.sh\ntrain.py");
        HttpResponse<String> response = server.send(server.as("bob", EXECS)
                .header("Content-Type", form.contentType())
                .POST(form.publisher()));
        assertThat(response.statusCode()).as(response.body()).isEqualTo(200);
        var spec = server.jobs.list().getFirst().spec();
        assertThat(spec.workers()).isEqualTo(4);
        assertThat(spec.userCommand()).containsExactly("bash", "run.sh", "train.py", "--x", "y");
        assertThat(spec.dataPath()).isEqualTo("mnist/train");
        assertThat(spec.environment()).containsEntry("HF_HOME", "/tmp");
    }

    @Test
    void aScriptThatLiesOnTheServerNeedsNoUploadWhenItsFolderIsAllowed() throws IOException {
        Path script = Files.writeString(folder.resolve("shared/train.py"), "print(1)");
        HttpResponse<String> allowed = server.post("bob", execs("--exec-start PyTorch --model-main " + script));
        assertThat(allowed.statusCode()).as(allowed.body()).isEqualTo(200);
        assertThat(server.jobs.list().getFirst().hasCode()).isFalse();
        Path outside = Files.writeString(folder.resolve("outside.py"), "print(1)");
        Files.createSymbolicLink(folder.resolve("shared/link.py"), outside);
        for (Object refused :
                List.of(outside, folder.resolve("shared/link.py"), "main.py", folder.resolve("shared/none.py"))) {
            HttpResponse<String> response = server.post("bob", execs("--exec-start PyTorch --model-main " + refused));
            assertThat(response.statusCode()).isEqualTo(400);
            assertThat(response.body()).startsWith("Error 400: --model-main is '" + refused + "', accepted: ");
        }
        assertThat(server.jobs.list()).hasSize(1);
    }

    @Test
    void aFullDiskIsToldAndTakesNothing() throws IOException {
        server.jobs.failNextSubmit =
                new UncheckedIOException(new FileSystemException("/secret/place", null, "No space left on device"));

        HttpResponse<String> answer = server.submit("bob", ARGS, "main.py", "print(1)\n");

        assertThat(answer.statusCode()).isEqualTo(507);
        assertThat(answer.body())
                .isEqualTo("Error 507: the disk of the server's files is full; free some and try again\n");
        assertThat(server.jobs.list()).isEmpty();
        assertThat(server.files.everything()).isEmpty();
    }

    @Test
    void aRefusedSubmissionLeavesNothingBehind() throws IOException {
        record Case(String args, String fileName, String content, String start) {}
        List<Case> cases = List.of(
                new Case(
                        "--exec-start PyTorch --model-main none.py",
                        "x.tar",
                        "x/main.py",
                        "Error 400: --model-main is 'none.py'"),
                new Case(
                        "--exec-start PyTorch --model-main main.py", "x.tar", "BROKEN", "Error 400: x.tar is 'BROKEN'"),
                new Case(
                        "--exec-start caffe --model-main main.py",
                        "x.tar",
                        "x/main.py",
                        "Error 400: --exec-start is 'caffe'"),
                new Case("--exec-start PyTorch", "x.tar", "x/main.py", "Error 400: --model-main is ''"),
                new Case("--exec-start PyTorch --model-main main.py", "x.tar", "y".repeat(2 << 20), "Error 413: "));
        for (Case refused : cases) {
            HttpResponse<String> response = server.submit("bob", refused.args(), refused.fileName(), refused.content());
            assertThat(response.body())
                    .startsWith(refused.start())
                    .endsWith("\n")
                    .hasLineCount(1);
        }
        server.jobs.failNextSubmit = new IllegalStateException("secret detail");
        HttpResponse<String> broken = server.submit("bob", ARGS, "main.py", "print(1)");
        assertThat(broken.statusCode()).isEqualTo(500);
        assertThat(broken.body()).startsWith("Error 500: the server failed").doesNotContain("secret detail");
        assertThat(server.jobs.list()).isEmpty();
        assertThat(server.files.everything()).isEmpty();
        try (var left = Files.list(folder.resolve("tmp"))) {
            assertThat(left).isEmpty();
        }
    }

    @Test
    void aUserOverTheQuotaIsTold() {
        server.jobs.quota = 1;
        server.submitted("bob", ARGS);
        HttpResponse<String> second = server.submit("bob", ARGS, "main.py", "print(1)");
        assertThat(second.statusCode()).isEqualTo(429);
        assertThat(second.body()).startsWith("Error 429: user bob has 1 jobs");
        assertThat(server.submit("eve", ARGS, "main.py", "print(1)").statusCode())
                .isEqualTo(200);
    }

    @Test
    void theListHoldsTheCallersJobsFilteredSortedAndLimited() {
        for (int index = 0; index < 11; index++) {
            server.submitted("bob", ARGS);
        }
        server.submitted("eve", ARGS);
        server.jobs.move("concertina-3", JobState.FINISHED, 1);
        server.jobs.move("concertina-10", JobState.FINISHED, 1);
        assertThat(ids(server.json("bob", EXECS + "/"))).hasSize(11).doesNotContain("concertina-12");
        assertThat(ids(server.json("bob", EXECS + "?limit=10&state=FINISHED&sort_by=id:desc")))
                .containsExactly("concertina-10", "concertina-3");
        assertThat(ids(server.json("bob", EXECS + "?limit=2&sort_by=id:desc")))
                .containsExactly("concertina-11", "concertina-10");
        for (String wrong : List.of("limit=x", "limit=-1", "state=SLEEPING", "sort_by=id:up", "sort_by=password:asc")) {
            HttpResponse<String> response = server.get("bob", EXECS + "?" + wrong);
            assertThat(response.statusCode()).as(wrong).isEqualTo(400);
            assertThat(response.body()).startsWith("Error 400: " + wrong.substring(0, wrong.indexOf('=')) + " is '");
        }
        assertThat(server.send(server.as("bob", EXECS).DELETE()).statusCode()).isEqualTo(204);
        assertThat(server.json("bob", EXECS)).isEmpty();
        assertThat(server.json("eve", EXECS)).hasSize(1);
    }

    @Test
    void aStrangersJobLooksLikeOneThatDoesNotExist() {
        String id = server.submitted("bob", ARGS);
        String unknown = "Error 400: cannot find task ";
        for (String path : List.of("", "/log", "/result")) {
            assertThat(server.get("eve", EXECS + "/" + id + path).body()).isEqualTo(unknown + id + "\n");
            assertThat(server.get("bob", EXECS + "/none-1" + path).body()).isEqualTo(unknown + "none-1\n");
        }
        assertThat(server.post("eve", EXECS + "/" + id + "/stop").body()).isEqualTo(unknown + id + "\n");
        assertThat(server.send(server.as("eve", EXECS + "/" + id).DELETE()).statusCode())
                .isEqualTo(400);
        assertThat(server.get("ada", EXECS + "/" + id).statusCode()).isEqualTo(200);
        assertThat(server.jobs.list()).hasSize(1);
    }

    @Test
    void stopAndDeleteAnswerNoContent() throws IOException {
        String id = server.submitted("bob", ARGS);
        assertThat(server.post("bob", EXECS + "/" + id + "/stop").statusCode()).isEqualTo(204);
        assertThat(server.json("bob", EXECS + "/" + id).get("state").asString()).isEqualTo("KILLED");
        assertThat(server.send(server.as("bob", EXECS + "/" + id).DELETE()).statusCode())
                .isEqualTo(204);
        assertThat(server.files.everything()).isEmpty();
        assertThat(server.get("bob", EXECS + "/" + id).statusCode()).isEqualTo(400);
    }

    @Test
    void logsComeAsTextOrAsOneJsonString() throws IOException {
        String id = server.submitted("bob", "--exec-start distPyTorch --numWorker 2 --model-main main.py");
        server.files.put(id, "bob", "log/task10.node1/stdout", "tenth\n");
        server.files.put(id, "bob", "log/task2.node1/stdout", "zwölf \"two\"\n");
        server.files.put(id, "bob", "log/task2.node1/stderr", "warning\n");
        String log = EXECS + "/" + id + "/log";
        HttpResponse<String> text = server.send(server.as("bob", log).header("Accept", "text/plain"));
        assertThat(text.body()).isEqualTo("zwölf \"two\"\ntenth\n");
        HttpResponse<String> json = server.send(server.as("bob", log).header("Accept", "application/json"));
        assertThat(json.headers().firstValue("Content-Type").orElse("")).startsWith("application/json");
        assertThat(JsonMapper.shared().readValue(json.body(), String.class)).isEqualTo(text.body());
        assertThat(server.get("bob", log + "?logType=errlog").body()).isEqualTo("warning\n");
        assertThat(server.get("bob", log + "?logType=outerrlog").body()).isEqualTo("zwölf \"two\"\ntenth\nwarning\n");
        assertThat(server.get("bob", log + "?logType=all").body()).startsWith("Error 400: logType is 'all', accepted:");
    }

    @Test
    void anElasticJobsDefaultLogHoldsOnlyItsTrainingLog() throws IOException {
        String id = server.submitted("bob", "--exec-start edtPyTorch --model-main main.py");
        server.files.put(id, "bob", "log/task1.node1/stdout", "[2026] Train\n");
        server.files.put(id, "bob", "log/task1.node1/output", "START TRAINING\n");
        assertThat(server.get("bob", EXECS + "/" + id + "/log").body()).isEqualTo("[2026] Train\n");
        assertThat(server.get("bob", EXECS + "/" + id + "/log?logType=outlog").body())
                .isEqualTo("START TRAINING\n");
    }

    @Test
    void theResultIsAZipWithTheExactHeaderThatClientsCutApart() throws Exception {
        String id = server.submitted("bob", ARGS);
        server.files.put(id, "bob", "model/train/model_epoch_final.pth", "weights");
        HttpResponse<byte[]> response = server.client.send(
                server.as("bob", EXECS + "/" + id + "/result?args=x")
                        .header("Accept", "application/json")
                        .build(),
                HttpResponse.BodyHandlers.ofByteArray());
        assertThat(response.headers().firstValue("Content-Disposition"))
                .contains("attachment;filename=dlpd-model-concertina-1-result.zip;size=" + response.body().length);
        List<String> names = new ArrayList<>();
        try (ZipInputStream zip = new ZipInputStream(new java.io.ByteArrayInputStream(response.body()))) {
            ZipEntry entry = zip.getNextEntry();
            while (entry != null) {
                names.add(entry.getName());
                entry = zip.getNextEntry();
            }
        }
        assertThat(names).containsExactly("train/model_epoch_final.pth");
        assertThat(server.files.everything()).noneMatch(file -> file.endsWith(".zip"));
    }

    @Test
    void frameworksAreListedWithEveryRecordedKey() {
        JsonNode frameworks = server.json("bob", EXECS + "/frameworks");
        assertThat(frameworks.values().stream().map(entry -> entry.get("name").asString()))
                .containsExactly(
                        "PyTorch", "tensorflow", "distPyTorch", "disttensorflow", "edtPyTorch", "edtTensorflow");
        for (JsonNode entry : frameworks) {
            assertThat(entry.propertyNames())
                    .contains("description", "desc", "deployMode", "execMode", "appName", "maxWorkers", "exports");
        }
    }

    @Test
    void deploymentIsRefusedPlainly() {
        String id = server.submitted("bob", ARGS);
        assertThat(server.post("bob", EXECS + "/" + id + "/deploy").body())
                .startsWith("Error 400: deploy is not available");
    }

    @Test
    void aBodyThatIsNoFormOrEndsEarlyIsRefused() {
        for (byte[] body : List.of(
                "not a form".getBytes(StandardCharsets.UTF_8),
                new Multipart().file("file", "main.py", "print(1)").unfinished())) {
            HttpResponse<String> response = server.send(server.as("bob", execs(ARGS))
                    .header("Content-Type", new Multipart().contentType())
                    .POST(HttpRequest.BodyPublishers.ofByteArray(body)));
            assertThat(response.statusCode()).isEqualTo(400);
            assertThat(response.body()).startsWith("Error 400: the body is not a multipart form");
        }
        assertThat(server.jobs.list()).isEmpty();
    }

    private static List<String> ids(JsonNode execs) {
        return execs.values().stream().map(exec -> exec.get("id").asString()).toList();
    }
}
