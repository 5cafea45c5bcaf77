package concertina.api.wmla;

import static org.assertj.core.api.Assertions.assertThat;

import concertina.api.TestServer;
import concertina.model.JobState;
import java.io.IOException;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** Downloads the command-line client from the server and runs it as a user would. */
class CommandLineClientTest {
    @TempDir
    Path folder;

    private TestServer server;
    private Path home;
    private Path program;

    private record Ended(int code, String output, String errors) {}

    @BeforeEach
    void start() throws IOException, InterruptedException {
        server = new TestServer(folder.resolve("server"));
        home = Files.createDirectories(folder.resolve("home"));
        program = home.resolve("dlicmd.py");
        HttpResponse<Path> download = server.client.send(
                HttpRequest.newBuilder(server.secureUri("/ui/tools/dlicmd.py")).build(),
                HttpResponse.BodyHandlers.ofFile(program));
        assertThat(download.statusCode()).isEqualTo(200);
    }

    @AfterEach
    void stop() {
        server.close();
    }

    private Ended run(int port, String... arguments) throws IOException, InterruptedException {
        List<String> command = new ArrayList<>(
                List.of(Optional.ofNullable(System.getenv("CONCERTINA_PYTHON")).orElse("python3"), program.toString()));
        command.addAll(List.of(arguments));
        int separator = command.indexOf("--");
        command.addAll(
                separator < 0 ? command.size() : separator,
                List.of("--rest-host", "127.0.0.1", "--rest-port", Integer.toString(port)));
        Path output = folder.resolve("output");
        Path errors = folder.resolve("errors");
        ProcessBuilder builder = new ProcessBuilder(command)
                .directory(home.toFile())
                .redirectOutput(output.toFile())
                .redirectError(errors.toFile());
        builder.environment().put("HOME", home.toString());
        builder.environment().remove("CONCERTINA_CERTIFICATE");
        Process process = builder.start();
        process.getOutputStream().close();
        if (!process.waitFor(60, TimeUnit.SECONDS)) {
            process.destroyForcibly();
            throw new AssertionError("still running: " + command);
        }
        return new Ended(
                process.exitValue(),
                Files.readString(output, StandardCharsets.UTF_8),
                Files.readString(errors, StandardCharsets.UTF_8));
    }

    private String succeed(String... arguments) throws IOException, InterruptedException {
        Ended ended = run(server.api.httpsPort(), arguments);
        assertThat(ended.code()).as(ended.output() + ended.errors()).isZero();
        return ended.output();
    }

    private void logon() throws IOException, InterruptedException {
        assertThat(succeed("--logon", "--username", "bob", "--password", "secret"))
                .contains("\"accessToken\"");
    }

    @Test
    void logonKeepsATokenThatOnlyTheOwnerReadsAndLogoffRemovesIt() throws Exception {
        logon();
        Path token = home.resolve(".dlicmd/token");
        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(token)))
                .isEqualTo("rw-------");
        assertThat(succeed("--status")).contains("\"status\": \"OK\"");
        succeed("--logoff");
        assertThat(token).doesNotExist();
        Ended after = run(server.api.httpsPort(), "--exec-get-all");
        assertThat(after.code()).isEqualTo(1);
        assertThat(after.errors()).contains("Error 401").contains("Log on again");
        Ended wrong = run(server.api.httpsPort(), "--logon", "--username", "bob", "--password", "guess");
        assertThat(wrong.code()).isEqualTo(1);
        assertThat(wrong.errors()).contains("authentication failed").doesNotContain("Traceback");
    }

    @Test
    void plainHttpIsTriedWhereTheServerSpeaksNoTls() throws Exception {
        assertThat(run(server.api.httpPort(), "--logon", "--username", "bob", "--password", "secret")
                        .code())
                .isZero();
        assertThat(run(server.api.httpPort(), "--exec-get-all").code()).isZero();
    }

    @Test
    void aSubmissionPacksTheFolderAndKeepsEveryArgumentInOrder() throws Exception {
        logon();
        Path code = Files.createDirectories(home.resolve("digits"));
        Files.writeString(code.resolve("main.py"), "print(1)");
        Ended packed = run(
                server.api.httpsPort(),
                "--exec-start",
                "edtPyTorch",
                "--numWorker=2",
                "--model-dir",
                code.toString(),
                "--model-main",
                "main.py",
                "--name",
                "two words",
                "-o",
                "it's.txt",
                "--lr",
                "-0.5");
        assertThat(packed.code()).as(packed.errors()).isZero();
        assertThat(packed.output()).startsWith("Copying files and directories ...\nContent size: ");
        assertThat(server.jobs.list().getLast().spec().modelDirectory()).isEqualTo("digits");

        String submitted = succeed(
                "--exec-start",
                "PyTorch",
                "--model-main",
                code.resolve("main.py").toString(),
                "--name",
                "two words",
                "-o",
                "it's.txt",
                "--lr",
                "-0.5",
                "--data-source",
                "[{\"type\":\"fs\",\"location\":{\"paths\":\"mnist\"}}]");
        assertThat(submitted).contains("Content size: 8\n");
        JsonNode answer = JsonMapper.shared().readTree(submitted.substring(submitted.indexOf('{')));
        assertThat(answer.get("execId").asString())
                .isEqualTo(answer.get("appId").asString());
        var spec = server.jobs.list().getLast().spec();
        assertThat(spec.scriptArguments()).containsExactly("--name", "two words", "-o", "it's.txt", "--lr", "-0.5");
        assertThat(spec.modelMain()).isEqualTo("main.py");
        assertThat(spec.dataPath()).isEqualTo("mnist");
        assertThat(spec.arguments()).doesNotContain("--rest-port");
    }

    @Test
    void aCommandOfTheUsersOwnIsSentWhole() throws Exception {
        logon();
        Path code = Files.createDirectories(home.resolve("digits"));
        Files.writeString(code.resolve("run.sh"), "exec true");
        succeed("--exec-start", "distPyTorch", "--numWorker", "2", "--user-cmd", "--", "bash", "run.sh", "-o", "json");
        assertThat(server.jobs.list().getFirst().spec().userCommand()).containsExactly("bash", "run.sh", "-o", "json");
    }

    @Test
    void jobsAreListedShownStoppedAndDeleted() throws Exception {
        String id = server.submitted("bob", "--exec-start edtPyTorch --model-main main.py --numWorker 3");
        server.submitted("bob", "--exec-start PyTorch --model-main main.py");
        server.jobs.move(id, JobState.RUNNING, 2);
        logon();
        List<String> table = succeed("--exec-get-all", "--query-args", "sort_by=id:asc")
                .lines()
                .toList();
        assertThat(table.getFirst().split(" +"))
                .containsExactly(
                        "id", "submit_user", "name", "framework", "type", "state", "num", "submit_time", "age");
        assertThat(table.get(1)).startsWith(id).contains("ELASTIC").contains("RUNNING");
        assertThat(table.get(2)).contains("PARALLEL").contains("PENDING_CRD_SCHEDULER");
        assertThat(succeed("--exec-get-all", "-o", "custom-columns=id,state").lines())
                .contains(id + "  RUNNING");
        assertThat(JsonMapper.shared().readTree(succeed("--exec-get-all", "-o", "json")))
                .hasSize(2);
        JsonNode job = JsonMapper.shared().readTree(succeed("--exec-get", id));
        assertThat(job.at("/parallelJobInfo/task12n_num").asInt()).isEqualTo(2);
        assertThat(job.has("pendingDuration")).isTrue();
        assertThat(succeed("--app-get-all")).contains(id);
        assertThat(succeed("--exec-stop", id)).isEqualTo("204\n");
        assertThat(run(server.api.httpsPort(), "--app-wait", id).output()).isEqualTo("KILLED\n");
        assertThat(succeed("--app-history-get-all")).contains(id);
        assertThat(succeed("--app-analyze", "1000000")).contains("KILLED");
        assertThat(succeed("--exec-delete", id)).isEqualTo("204\n");
        Ended gone = run(server.api.httpsPort(), "--exec-get", id);
        assertThat(gone.code()).isEqualTo(1);
        assertThat(gone.errors()).isEqualTo("Error 400: cannot find task " + id + "\n");
        assertThat(succeed("--exec-delete-all")).isEqualTo("204\n");
        assertThat(server.jobs.list()).isEmpty();
    }

    @Test
    void logsAndTheResultAreFetched() throws Exception {
        String id = server.submitted("bob", "--exec-start PyTorch --model-main main.py");
        server.jobs.move(id, JobState.FINISHED, 1);
        server.files.put(id, "bob", "log/task1.node1/stdout", "grüße\n");
        server.files.put(id, "bob", "log/task1.node1/stderr", "oops\n");
        server.files.put(id, "bob", "log/task1.node1/launcher", "Exposed\n");
        server.files.put(id, "bob", "model/final.pth", "weights");
        logon();
        assertThat(succeed("--exec-trainlogs", id)).isEqualTo("grüße\noops\n");
        assertThat(succeed("--exec-trainoutlogs", id)).isEqualTo("grüße\n");
        assertThat(succeed("--exec-trainerrlogs", id)).isEqualTo("oops\n");
        assertThat(succeed("--exec-launcherlogs", id))
                .contains("executor 1 launcherlog")
                .contains("Exposed");
        assertThat(succeed("--app-outlogs", id)).contains("grüße");
        assertThat(succeed("--exec-trainresult", id))
                .isEqualTo("Train result is saved to dlpd-model-" + id + "-result.zip\n");
        assertThat(home.resolve("dlpd-model-" + id + "-result.zip")).isNotEmptyFile();
    }

    @Test
    void plansKubernetesAndFrameworksAnswerAndWhatIsNotThereIsToldInOneLine() throws Exception {
        logon();
        assertThat(succeed("--dl-frameworks")).contains("edtPyTorch (ElasticPyTorchTrain)");
        assertThat(succeed("--rp-get-all")).contains("childTreeDto");
        assertThat(succeed("--rp-get", "root")).contains("\"root\"");
        assertThat(succeed("--pj-get-all")).isEqualTo("[]\n");
        assertThat(succeed("--k8s-obj-get-all", "pod")).isEqualTo("[]\n");
        for (String[] command : new String[][] {
            {"--hpo-get", "none"},
            {"--rp-delete", "root"},
            {"--rp-get", "none"},
            {"--exec-get"},
            {"--k8s-obj-get-all", "x"}
        }) {
            Ended refused = run(server.api.httpsPort(), command);
            assertThat(refused.code()).isEqualTo(1);
            assertThat(refused.errors()).doesNotContain("Traceback").isNotEmpty();
        }
        assertThat(run(server.api.httpsPort(), "--nonsense").code()).isEqualTo(2);
    }

    @Test
    void aSearchIsStartedWatchedStoppedAndDeleted() throws Exception {
        logon();
        assertThat(succeed("--hpo-get-all")).isEqualTo("[]\n");
        Files.createDirectories(home.resolve("code"));
        Files.writeString(home.resolve("code/main.py"), "print(1)\n");
        Files.writeString(home.resolve("task.json"), """
                {"hpoName": "mine",
                 "modelSpec": {"args": "--exec-start PyTorch --model-dir code --model-main main.py"},
                 "algoDef": {"algorithm": "Random", "maxJobNum": 2, "objectiveMetric": "loss"},
                 "hyperParams": [{"name": "n", "type": "Range", "dataType": "INT", "minIntVal": 1, "maxIntVal": 9}]}
                """);

        assertThat(succeed(
                        "--hpo-start",
                        home.resolve("task.json").toString(),
                        "--model-dir",
                        home.resolve("code").toString()))
                .contains("/hypersearch/mine");
        assertThat(succeed("--hpo-get", "mine")).contains("\"experiments\"");
        succeed("--hpo-stop", "mine");
        succeed("--hpo-restart", "mine");
        succeed("--hpo-delete", "mine");
        assertThat(succeed("--hpo-get-all")).isEqualTo("[]\n");
        assertThat(succeed("--hpo-algorithm-get", "random")).contains("BUILD_IN");
    }

    @Test
    void aServerThatIsNotThereIsToldInOneLine() throws Exception {
        int port = server.api.httpsPort();
        logon();
        server.close();
        Ended ended = run(port, "--exec-get-all");
        assertThat(ended.code()).isEqualTo(1);
        assertThat(ended.errors())
                .startsWith("dlicmd: https://127.0.0.1:" + port + " cannot be reached")
                .hasLineCount(1);
    }
}
