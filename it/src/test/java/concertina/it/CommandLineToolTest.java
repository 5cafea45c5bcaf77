package concertina.it;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

/** The command-line client that the server hands out, as somebody uses it who has nothing else. */
class CommandLineToolTest {
    private static final Duration LIMIT = Duration.ofSeconds(60);

    @TempDir
    private static Path folder;

    private static Platform platform;
    private static Client client;
    private static Path tool;

    @BeforeAll
    static void start() throws IOException {
        platform = Platform.start(folder.resolve("platform"), 2);
        client = platform.administrator();
        tool = folder.resolve("dlicmd.py");
        assertThat(client.text("GET", "/ui/tools/dlicmd.py", Map.of(), new byte[0])
                        .statusCode())
                .isEqualTo(200);
        Files.writeString(
                tool,
                client.text("GET", "/ui/tools/dlicmd.py", Map.of(), new byte[0]).body());
        run("--logon", "--username", client.user(), "--password", client.password());
    }

    @AfterAll
    static void stop() {
        platform.close();
    }

    @Test
    void aJobGoesFromTheFolderToItsResult() throws IOException {
        Path code = Files.createDirectories(folder.resolve("code"));
        Files.writeString(code.resolve("main.py"), """
                import os, sys
                print("given", sys.argv[1:])
                with open(os.path.join(os.environ["RESULT_DIR"], "model", "weights.txt"), "w") as file:
                    file.write("1")
                """);

        String submitted = run(
                "--exec-start",
                "PyTorch",
                "--cs-datastore-meta",
                "type=fs",
                "--model-dir",
                code.toString(),
                "--model-main",
                "main.py",
                "--epochs",
                "2");
        assertThat(submitted).contains("Copying files and directories", "Content size:", "execId", "appId");
        JsonNode answer = Client.parse(submitted.substring(submitted.indexOf('{'), submitted.lastIndexOf('}') + 1));
        String id = answer.get("execId").asString();
        client.awaitState(id, "FINISHED", LIMIT);

        assertThat(run("--exec-get", id)).contains(id, "FINISHED");
        assertThat(run("--exec-get-all")).contains(id, "PyTorch");
        assertThat(run("--exec-get-all", "--query-args", "limit=1&state=FINISHED&sort_by=id:desc"))
                .contains("FINISHED");
        assertThat(run("--exec-trainoutlogs", id)).contains("given ['--epochs', '2']");
        assertThat(run("--exec-trainlogs", id)).contains("given");
        assertThat(run("--exec-launcherlogs", id)).contains("main.py");
        assertThat(run("--exec-outlogs", id)).contains("given");
        run("--exec-errlogs", id);
        run("--exec-trainerrlogs", id);
        assertThat(run("--exec-trainresult", id)).contains("Train result is saved to dlpd-model");
        try (Stream<Path> files = Files.list(folder)) {
            assertThat(files.map(file -> file.getFileName().toString()))
                    .anyMatch(name -> name.startsWith("dlpd-model") && name.endsWith(".zip"));
        }
        run("--exec-delete", id);
        assertThat(client.get(Client.EXEC + "/execs/" + id).statusCode()).isEqualTo(400);
    }

    @Test
    void whatTheServerSaysIsPrinted() throws IOException {
        assertThat(run("--dl-frameworks")).contains("edtPyTorch", "distPyTorch");
        assertThat(run("--app-get-all")).isNotNull();
        run("--status");
        assertThat(invoke(List.of("--exec-get", "concertina-987654")).output()).contains("concertina-987654");
    }

    @Test
    void aRunningJobIsStopped() throws IOException {
        Path script = folder.resolve("endless.py");
        Files.writeString(script, "import time\ntime.sleep(600)\n");
        String submitted = run("--exec-start", "PyTorch", "--model-main", script.toString());
        String id = Client.parse(submitted.substring(submitted.indexOf('{'), submitted.lastIndexOf('}') + 1))
                .get("execId")
                .asString();

        run("--exec-stop", id);

        client.awaitState(id, "KILLED", LIMIT);
    }

    private static String run(String... arguments) throws IOException {
        Outcome outcome = invoke(List.of(arguments));
        assertThat(outcome.code()).as(outcome.output()).isZero();
        return outcome.output();
    }

    private static Outcome invoke(List<String> arguments) throws IOException {
        List<String> command = new ArrayList<>(List.of(Platform.python(), tool.toString()));
        command.addAll(arguments);
        command.addAll(List.of("--rest-host", "127.0.0.1", "--rest-port", Integer.toString(platform.port())));
        ProcessBuilder builder =
                new ProcessBuilder(command).directory(folder.toFile()).redirectErrorStream(true);
        builder.environment().put("HOME", folder.toString());
        Process process = builder.start();
        process.getOutputStream().close();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        try {
            return new Outcome(process.waitFor(), output);
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(interrupted);
        }
    }

    private record Outcome(int code, String output) {}
}
