package concertina.server;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import concertina.model.UserName;
import concertina.trials.Plugin;
import concertina.trials.PluginHost;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** With real Python processes, which need nothing but the standard library. */
class PluginProcessesTest {
    private static final Duration PATIENCE = Duration.ofMinutes(2);

    @TempDir
    private Path folder;

    private Path home = Path.of("");
    private Path python = Path.of("");

    @BeforeEach
    void find() {
        home = Path.of("").toAbsolutePath().getParent();
        python = Path.of(Objects.requireNonNullElse(System.getenv("CONCERTINA_PYTHON"), "/usr/bin/python3"));
    }

    private Plugin plugin(String body) throws IOException {
        Files.writeString(folder.resolve("optimizer.py"), """
                import os, time
                from plugins.core.base_plugin_opt import BasePluginOptimizer
                class PluginOptimizer(BasePluginOptimizer):
                    def search(self, number_samples, last_exp_results):
                """ + body.indent(8));
        return new Plugin("mine", folder, "", "", "INFO", new UserName("ann"), Instant.EPOCH);
    }

    private PluginHost start(Plugin plugin, Duration limit) throws IOException {
        PluginHost host = new PluginProcesses(
                        home, () -> python, limit, Map.of("PATH", "/usr/bin:/bin", "CONCERTINA_SECRET", "hush"))
                .start(plugin);
        host.call("{\"call\": \"start\", \"name\": \"mine\", \"folder\": \"" + folder
                + "\", \"hyperParameters\": [], \"arguments\": {}, \"logLevel\": \"INFO\", \"state\": null}");
        return host;
    }

    private static final String SEARCH = "{\"call\": \"search\", \"count\": 1, \"results\": null}";

    @Test
    void aPluginAnswersAndKnowsNothingOfTheServer() throws IOException {
        try (PluginHost host = start(plugin("return [{name: 1 for name in os.environ}]"), PATIENCE)) {
            JsonNode point = JsonMapper.shared()
                    .readTree(host.call(SEARCH))
                    .path("points")
                    .path(0);
            // Python adds the second by itself where no language is set.
            assertThat(point.propertyNames()).contains("PATH").isSubsetOf("PATH", "LC_CTYPE");
        }
    }

    @Test
    void whatAPluginSaysIsKeptInBounds() throws IOException {
        String floods = "print('x' * (1 << 20), flush=True)\n"
                + "for stream in range(3, 20):\n"
                + "    try:\n"
                + "        os.write(stream, b'y' * (33 << 20))\n"
                + "    except OSError:\n"
                + "        pass";
        try (PluginHost host = start(plugin(floods), PATIENCE)) {
            assertThatThrownBy(() -> host.call(SEARCH))
                    .hasMessage("its process ended: an answer of more than 33554432 characters");
            assertThat(host.log()).contains("xxx").hasSizeLessThanOrEqualTo(1 << 16);
        }
    }

    @Test
    void aPluginHasASessionOfItsOwnAndEndsWithWhatItStartedWhenTheServerCloses() throws Exception {
        PluginProcesses processes = new PluginProcesses(home, () -> python, PATIENCE, Map.of("PATH", "/usr/bin:/bin"));
        Plugin plugin = plugin("""
                import subprocess
                child = subprocess.Popen(['sleep', '1000'])
                return [{'me': os.getpid(), 'session': os.getsid(0), 'child': child.pid}]""");
        PluginHost host = processes.start(plugin);
        host.call("{\"call\": \"start\", \"name\": \"mine\", \"folder\": \"" + folder
                + "\", \"hyperParameters\": [], \"arguments\": {}, \"logLevel\": \"INFO\", \"state\": null}");
        JsonNode point =
                JsonMapper.shared().readTree(host.call(SEARCH)).get("points").get(0);
        assertThat(point.get("session")).isEqualTo(point.get("me"));

        processes.close();

        for (String name : List.of("me", "child")) {
            assertEnds(point.get(name).asLong());
        }
        assertThatThrownBy(() -> host.call(SEARCH)).isInstanceOf(IOException.class);
        assertThatThrownBy(() -> processes.start(plugin)).hasMessage("the server is closing");
    }

    @Test
    void whatAPluginLeftBehindEndsWithIt() throws Exception {
        // The shell has ended when the answer comes, so that nothing leads from the plug-in to what it started.
        String leave = """
                import subprocess
                shell = subprocess.run(['sh', '-c', 'sleep 1000 & echo $!'], stdout=open('child', 'w'))
                """;
        try (PluginHost host = start(plugin(leave + "return [{'x': 1}]"), PATIENCE)) {
            host.call(SEARCH);
        }
        assertEnds(Long.parseLong(Files.readString(folder.resolve("child")).strip()));

        try (PluginHost host = start(plugin(leave + "os._exit(3)"), PATIENCE)) {
            assertThatThrownBy(() -> host.call(SEARCH)).hasMessageContaining("its process ended");
        }
        assertEnds(Long.parseLong(Files.readString(folder.resolve("child")).strip()));
    }

    private static void assertEnds(long process) {
        ProcessHandle.of(process)
                .ifPresent(left -> left.onExit().orTimeout(10, TimeUnit.SECONDS).join());
    }

    @Test
    void whoDoesNotAnswerIsEnded() throws IOException {
        // A process needs longer to start than this.
        PluginHost host = new PluginProcesses(home, () -> python, Duration.ofMillis(1), Map.of())
                .start(plugin("time.sleep(1000)"));
        assertThatThrownBy(() -> host.call(SEARCH)).hasMessage("it did not answer within 0 s");
        assertThatThrownBy(() -> host.call(SEARCH)).isInstanceOf(IOException.class);
    }

    @Test
    void aProcessThatEndsSaysSo() throws IOException {
        try (PluginHost host = start(plugin("print('last words', flush=True)\nos._exit(3)"), PATIENCE)) {
            assertThatThrownBy(() -> host.call(SEARCH))
                    .isInstanceOf(IOException.class)
                    .hasMessageContaining("its process ended");
            assertThat(host.log()).contains("last words");
        }
    }

    @Test
    void allThatAPluginPrintedIsInItsLogOnceItIsClosed() throws IOException {
        Plugin talkative =
                plugin("for line in range(300):\n    print('x' * 10000)\nprint('last words')\nraise KeyError(3)");
        for (int round = 0; round < 3; round++) {
            PluginHost host = start(talkative, PATIENCE);
            assertThat(host.call(SEARCH)).contains("KeyError: 3");
            host.close();
            assertThat(host.log()).endsWith("last words\n");
        }
    }

    @Test
    void anEnvironmentThatIsNotThereIsNamed() {
        assertThatThrownBy(() -> new PluginProcesses(home, () -> python, PATIENCE, Map.of())
                        .start(new Plugin(
                                "mine", folder, "/nowhere", "deep", "INFO", new UserName("ann"), Instant.EPOCH)))
                .hasMessage("there is no Python at /nowhere/envs/deep/bin/python");
    }
}
