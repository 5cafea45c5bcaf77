package concertina.agent;

import static concertina.agent.TestingAgent.command;
import static concertina.agent.TestingAgent.spec;
import static concertina.agent.TestingAgent.start;
import static concertina.agent.TestingAgent.worker;
import static org.assertj.core.api.Assertions.assertThat;

import concertina.model.AgentCommand;
import concertina.model.AgentHello;
import concertina.model.AgentReport;
import concertina.model.Framework;
import concertina.model.WorkerId;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** One real agent against a server in memory, with real Python processes. */
@Timeout(120)
class AgentTest {
    @TempDir
    Path folder;

    private TestingServer server;
    private TestingAgent agent;

    @BeforeEach
    void openServer() throws IOException {
        server = new TestingServer(null);
    }

    @AfterEach
    void close() throws InterruptedException {
        if (agent != null) {
            agent.close();
        }
        server.close();
    }

    private void startAgent(String... more) throws IOException {
        agent = TestingAgent.start(folder, server, more);
    }

    @Test
    void aScriptRunsInItsFolderAndItsOutputArrivesBeforeItCountsAsShipped() throws Exception {
        startAgent();
        WorkerId worker = worker("concertina-1", 1);
        server.code("concertina-1", "digits.modelDir.zip", TestingAgent.zip("digits/main.py", """
                import os, sys
                print("arguments", sys.argv)
                print("here", os.getcwd())
                open(os.environ["RESULT_DIR"] + "/model/model.bin", "wb").write(b"weights")
                print("to stderr", file=sys.stderr)
                sys.exit(3)
                """));
        server.command(start(worker, spec(Framework.PYTORCH, "main.py", "digits", "--epochs", "3"), true));
        server.awaitReport(worker, AgentReport.Started.class);
        assertThat(server.awaitReport(worker, AgentReport.Exited.class))
                .isEqualTo(new AgentReport.Exited(worker, 3, 0, "to stderr"));
        server.awaitReport(worker, AgentReport.Shipped.class);
        assertThat(server.text("log/task1.node1/stdout"))
                .isEqualTo("arguments ['main.py', '--epochs', '3']\nhere "
                        + agent.result("concertina-1").toRealPath().resolve("_submitted_code/digits") + "\n");
        assertThat(server.text("log/task1.node1/stderr")).isEqualTo("to stderr\n");
        assertThat(server.text("model/model.bin")).isEqualTo("weights");
        assertThat(server.text("log/task1.node1/launcher"))
                .contains("Exposed the environment variable RESULT_DIR to: ")
                .contains("Command: ")
                .contains("exited with code 3")
                .doesNotContain("secret-of-the-job")
                .contains("CONCERTINA_WORKER_TOKEN to: (not shown)");
    }

    @Test
    void aWorkerFindsTheDocumentedEnvironmentAndNoneOfTheAgentsSecrets() throws Exception {
        startAgent();
        WorkerId worker = worker("concertina-2", 1);
        server.code("concertina-2", "main.py", """
                import os, zipimport
                for name, value in os.environ.items():
                    print(name + "=" + value)
                import concertina
                print("imported=" + os.path.dirname(os.path.dirname(concertina.__file__)))
                zipimport.zipimporter(os.environ["FABRIC_HOME"] + "/libs/fabric.zip").find_spec("concertina").origin
                """.getBytes(StandardCharsets.UTF_8));
        server.command(start(
                worker,
                TestingAgent.with(
                        spec(Framework.PYTORCH, "main.py", ""), Map.of("MINE", "yes", "RESULT_DIR", "/elsewhere")),
                true));
        server.awaitReport(worker, AgentReport.Shipped.class);
        assertThat(server.text("log/task1.node1/stderr")).isEmpty();
        Map<String, String> variables = TestingAgent.variables(server.text("log/task1.node1/stdout"));
        String result = agent.result("concertina-2").toRealPath().toString();
        assertThat(variables)
                .containsEntry("RESULT_DIR", result)
                .containsEntry("LOG_DIR", result + "/log/task1.node1")
                .containsEntry("SAVED_MODEL_DIR", result + "/model")
                .containsEntry("CHECKPOINT_DIR", result + "/checkpoint")
                .containsEntry("DLI_WORK_DIR", result + "/_submitted_code")
                .containsEntry("DATA_DIR", folder.toRealPath().resolve("data").toString())
                .containsEntry("DLI_EXECID", "concertina-2")
                .containsEntry("USER", "admin")
                .containsEntry("DLI_IS_ELASTIC", "false")
                .containsEntry("CUDA_VISIBLE_DEVICES", "")
                .containsEntry("CONCERTINA_WORKER", "concertina-2.1")
                .containsEntry("MINE", "yes")
                .containsEntry(
                        "imported",
                        TestingAgent.home().toRealPath().resolve("python").toString())
                .containsKeys("PATH", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "CONCERTINA_CONTROL", "FABRIC_HOME");
        assertThat(variables.get("DLI_RESULT_FS") + "/" + variables.get("USER") + "/batchworkdir/"
                        + variables.get("DLI_EXECID"))
                .isEqualTo(result);
        assertThat(server.text("log/task1.node1/stdout"))
                .doesNotContain(TestingServer.TOKEN)
                .doesNotContain("secret-agent-token")
                .doesNotContain(server.address().getAuthority());
    }

    @Test
    void workersThatStartTogetherShareOneCopyOfTheCode() throws Exception {
        startAgent();
        server.code(
                "concertina-3",
                "a.zip",
                TestingAgent.zip("main.py", "print(open('config.json').read())", "config.json", "{}"));
        for (int ordinal = 1; ordinal <= 4; ordinal++) {
            server.command(start(worker("concertina-3", ordinal), spec(Framework.PYTORCH, "main.py", ""), true));
        }
        for (int ordinal = 1; ordinal <= 4; ordinal++) {
            server.awaitReport(worker("concertina-3", ordinal), AgentReport.Shipped.class);
            assertThat(server.text("log/task" + ordinal + ".node1/stdout")).isEqualTo("{}\n");
        }
        assertThat(server.codeFetches).containsEntry("concertina-3", 1);
    }

    @Test
    void aScriptOfTheNodeRunsWithoutCode() throws Exception {
        startAgent();
        Path script = Files.writeString(folder.resolve("own.py"), "import os; print(os.getcwd())");
        WorkerId worker = worker("concertina-4", 1);
        server.command(start(worker, spec(Framework.PYTORCH, script.toString(), ""), false));
        assertThat(server.awaitReport(worker, AgentReport.Exited.class).exitCode())
                .isZero();
        server.awaitReport(worker, AgentReport.Shipped.class);
        assertThat(server.text("log/task1.node1/stdout"))
                .isEqualTo(agent.result("concertina-4").toRealPath().resolve("_submitted_code") + "\n");
    }

    @Test
    void aScriptThatIsNotThereEndsWithTheReason() throws Exception {
        startAgent();
        WorkerId worker = worker("concertina-5", 1);
        server.code("concertina-5", "a.zip", TestingAgent.zip("main.py", ""));
        server.command(start(worker, spec(Framework.PYTORCH, "other.py", ""), true));
        AgentReport.Exited exited = server.awaitReport(worker, AgentReport.Exited.class);
        assertThat(exited.exitCode()).isEqualTo(-1);
        assertThat(exited.signal()).isZero();
        assertThat(exited.message()).contains("--model-main").contains("other.py");
        server.awaitReport(worker, AgentReport.Shipped.class);
    }

    @Test
    void aStartThatArrivesTwiceStartsOneWorker() throws Exception {
        server.repeatCommands();
        startAgent();
        WorkerId worker = worker("concertina-6", 1);
        server.command(start(worker, command("bash", "-c", "echo started; sleep 0.5"), false));
        server.command(start(worker, command("bash", "-c", "echo started; sleep 0.5"), false));
        server.awaitReport(worker, AgentReport.Shipped.class);
        assertThat(server.text("log/task1.node1/stdout")).isEqualTo("started\n");
        assertThat(server.reports.stream().filter(AgentReport.Started.class::isInstance))
                .hasSize(1);
    }

    @Test
    void anAcknowledgementNamesTheHighestCommandThatWasExecuted() throws Exception {
        startAgent();
        server.command(new AgentCommand.Stop(worker("concertina-7", 1), 1));
        server.command(new AgentCommand.Stop(worker("concertina-7", 2), 1));
        server.await("acknowledgement", () -> server.acknowledgements().contains(2L) ? true : null);
        assertThat(server.acknowledgements().getFirst()).isZero();
        server.forgetSession();
        server.awaitHello(2);
        server.await("poll of the new session", () -> server.acknowledgements().getLast() == 0L ? true : null);
        assertThat(server.hellos.get(1).session())
                .isNotEqualTo(server.hellos.get(0).session());
    }

    @Test
    void portsOfferedAreDistinctAndFree() throws Exception {
        startAgent();
        List<Integer> ports = server.await("poll", () -> server.ports.isEmpty() ? null : server.ports.getFirst());
        assertThat(ports).doesNotHaveDuplicates().hasSizeGreaterThan(3).allMatch(port -> port > 1023);
    }

    @Test
    void aStopEndsAWorkerAndItsChildrenEvenWhenTheyIgnoreIt() throws Exception {
        startAgent();
        WorkerId worker = worker("concertina-8", 1);
        server.command(start(
                worker,
                command(
                        "bash",
                        "-c",
                        "trap '' TERM; sleep 600 & echo $!; (setsid sleep 600 & echo $!); while :; do wait; done"),
                false));
        List<Long> children = server.await("children", () -> numbers(server.text("log/task1.node1/stdout"), 2));
        server.command(new AgentCommand.Stop(worker, 1));
        AgentReport.Exited exited = server.awaitReport(worker, AgentReport.Exited.class);
        assertThat(exited.signal()).isEqualTo(9);
        assertThat(TestingAgent.survivors(children)).isEmpty();
        server.awaitReport(worker, AgentReport.Shipped.class);
    }

    @Test
    void aWorkerThatHeedsAStopIsNotKilled() throws Exception {
        startAgent();
        WorkerId worker = worker("concertina-9", 1);
        server.command(start(
                worker, command("bash", "-c", "trap 'exit 4' TERM; echo ready; while :; do sleep 0.05; done"), false));
        server.await("output", () -> server.text("log/task1.node1/stdout").isEmpty() ? null : true);
        server.command(new AgentCommand.Stop(worker, 60));
        assertThat(server.awaitReport(worker, AgentReport.Exited.class).exitCode())
                .isEqualTo(4);
    }

    @Test
    void aWorkerStoppedWhileItsCodeCannotBeFetchedNeverStarts() throws Exception {
        startAgent();
        server.awaitHello(1);
        WorkerId worker = worker("concertina-10", 1);
        server.codeAway("concertina-10");
        server.command(start(worker, spec(Framework.PYTORCH, "main.py", ""), true));
        server.await("attempt", () -> server.codeFetches.containsKey("concertina-10") ? true : null);
        server.command(new AgentCommand.Stop(worker, 5));
        assertThat(server.awaitReport(worker, AgentReport.Exited.class))
                .isEqualTo(new AgentReport.Exited(worker, -1, 15, "stopped before it was started"));
    }

    @Test
    void aServerThatComesBackWithoutMemoryLearnsEverythingFromTheHello() throws Exception {
        startAgent();
        WorkerId living = worker("concertina-11", 1);
        WorkerId ending = worker("concertina-11", 2);
        WorkerId ended = worker("concertina-11", 3);
        server.command(start(living, command("sleep", "600"), false));
        server.command(start(
                ending, command("bash", "-c", "until [ -e $RESULT_DIR/end ]; do sleep 0.05; done; exit 6"), false));
        server.command(start(ended, command("true"), false));
        server.awaitReport(living, AgentReport.Started.class);
        server.awaitReport(ending, AgentReport.Started.class);
        server.awaitReport(ended, AgentReport.Shipped.class);
        server.goAway();
        Files.createFile(agent.result("concertina-11").resolve("end"));
        server.comeBack();
        server.await("end", () -> server.heardOf(ending, AgentReport.Shipped.class) ? true : null);
        int hellos = server.hellos.size();
        server.forgetSession();
        AgentHello hello = server.awaitHello(hellos + 1);
        Map<WorkerId, List<String>> known = new TreeMap<>(Comparator.comparing(WorkerId::ordinal));
        hello.workers()
                .forEach(each -> known.put(
                        each.worker(),
                        each.reports().stream()
                                .map(report -> report.getClass().getSimpleName())
                                .toList()));
        assertThat(known)
                .containsEntry(living, List.of("Started"))
                .containsEntry(ending, List.of("Started", "Exited", "Shipped"))
                .containsEntry(ended, List.of("Started", "Exited", "Shipped"));
        server.command(new AgentCommand.Forget(living.job()));
        server.await("removal of the folder", () -> Files.exists(agent.result("concertina-11")) ? null : true);
        server.forgetSession();
        assertThat(server.awaitHello(hellos + 2).workers()).isEmpty();
    }

    @Test
    void reportsThatTheServerCouldNotTakeArriveLaterInOrder() throws Exception {
        startAgent();
        server.awaitHello(1);
        server.refuse(9);
        for (int ordinal = 1; ordinal <= 3; ordinal++) {
            server.command(start(worker("concertina-12", ordinal), command("true"), false));
        }
        for (int ordinal = 1; ordinal <= 3; ordinal++) {
            WorkerId worker = worker("concertina-12", ordinal);
            server.awaitReport(worker, AgentReport.Shipped.class);
            assertThat(server.reports.stream()
                            .filter(report -> report.worker().equals(worker))
                            .map(report -> report.getClass().getSimpleName())
                            .distinct())
                    .containsExactly("Started", "Exited", "Shipped");
        }
    }

    @Test
    void whenTheAgentIsKilledNoProcessOfAnyWorkerSurvives() throws Exception {
        startAgent();
        WorkerId forked = worker("concertina-13", 1);
        WorkerId program = worker("concertina-13", 2);
        Path script = Files.writeString(folder.resolve("own.py"), """
                import os, signal, subprocess, sys, time
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                children = [subprocess.Popen(["sleep", "600"]), subprocess.Popen(["sleep", "600"], start_new_session=True)]
                print(os.getpid(), *[child.pid for child in children], flush=True)
                time.sleep(600)
                """);
        server.command(start(forked, spec(Framework.PYTORCH, script.toString(), ""), false));
        server.command(start(
                program,
                command("bash", "-c", "trap '' TERM; echo $$; sleep 600 & echo $!; while :; do wait; done"),
                false));
        List<Long> processes =
                new ArrayList<>(server.await("children", () -> numbers(server.text("log/task1.node1/stdout"), 3)));
        processes.addAll(server.await("children", () -> numbers(server.text("log/task2.node1/stdout"), 2)));
        agent.handle().descendants().forEach(each -> processes.add(each.pid()));
        long began = System.nanoTime();
        agent.kill();
        assertThat(TestingAgent.survivors(processes)).isEmpty();
        System.out.printf(
                "kill of the agent to the last process gone: %d ms%n", (System.nanoTime() - began) / 1_000_000);
    }

    @Test
    void anAgentToldToEndTakesItsWorkersAlong() throws Exception {
        startAgent();
        WorkerId worker = worker("concertina-14", 1);
        server.command(start(worker, command("bash", "-c", "echo $$; sleep 600"), false));
        List<Long> processes = server.await("process", () -> numbers(server.text("log/task1.node1/stdout"), 1));
        assertThat(agent.end()).isTrue();
        assertThat(TestingAgent.survivors(processes)).isEmpty();
    }

    @Test
    void theDeathOfTheWarmPythonCostsItsWorkersAndNothingElse() throws Exception {
        startAgent();
        WorkerId first = worker("concertina-15", 1);
        Path script = Files.writeString(
                folder.resolve("own.py"), "import os, time; print(os.getppid(), flush=True); time.sleep(600)");
        server.command(start(first, spec(Framework.PYTORCH, script.toString(), ""), false));
        long warm = server.await("parent", () -> numbers(server.text("log/task1.node1/stdout"), 1))
                .getFirst();
        ProcessHandle.of(warm).orElseThrow().destroyForcibly();
        assertThat(server.awaitReport(first, AgentReport.Exited.class).signal()).isEqualTo(9);
        WorkerId second = worker("concertina-15", 2);
        server.command(start(second, spec(Framework.PYTORCH, script.toString(), ""), false));
        server.await("output", () -> numbers(server.text("log/task2.node1/stdout"), 1));
        server.command(new AgentCommand.Stop(second, 1));
        assertThat(server.awaitReport(second, AgentReport.Exited.class).signal())
                .isEqualTo(15);
    }

    @Test
    void anUnknownPythonEnvironmentIsSaidInTheLogAndAKnownOneIsUsed() throws Exception {
        Path environments = folder.resolve("envs");
        Path own = Files.createDirectories(environments.resolve("mine/bin")).resolve("python");
        Files.writeString(own, "#!/bin/sh\nOF=mine exec '" + TestingAgent.python() + "' \"$@\"\n");
        assertThat(own.toFile().setExecutable(true)).isTrue();
        startAgent("--environments", environments.toString());
        server.code(
                "concertina-16", "main.py", "import os; print(os.environ.get('OF'))".getBytes(StandardCharsets.UTF_8));
        WorkerId unknown = worker("concertina-16", 1);
        WorkerId known = worker("concertina-16", 2);
        server.command(
                start(unknown, TestingAgent.inEnvironment(spec(Framework.PYTORCH, "main.py", ""), "dlipy3"), true));
        server.command(start(known, TestingAgent.inEnvironment(spec(Framework.PYTORCH, "main.py", ""), "mine"), true));
        server.awaitReport(unknown, AgentReport.Shipped.class);
        server.awaitReport(known, AgentReport.Shipped.class);
        assertThat(server.text("log/task1.node1/launcher")).contains("no Python environment dlipy3");
        assertThat(server.text("log/task2.node1/launcher")).contains("Succeed to activate conda environment mine");
        assertThat(server.text("log/task2.node1/stdout")).isEqualTo("mine\n");
        assertThat(server.text("log/task1.node1/stdout")).isEqualTo("None\n");
    }

    @Test
    void aTensorflowScriptMakesItsOwnModelFolder() throws Exception {
        startAgent();
        server.code(
                "concertina-17",
                "main.py",
                "import os; os.mkdir(os.environ['RESULT_DIR'] + '/model'); print('made')"
                        .getBytes(StandardCharsets.UTF_8));
        WorkerId worker = worker("concertina-17", 1);
        server.command(start(worker, spec(Framework.TENSORFLOW, "main.py", ""), true));
        server.awaitReport(worker, AgentReport.Shipped.class);
        assertThat(server.text("log/task1.node1/stdout")).isEqualTo("made\n");
    }

    @Test
    void aHashSeedOfTheUserIsHonoured() throws Exception {
        startAgent();
        server.code(
                "concertina-18",
                "main.py",
                "import sys; print(sys.flags.hash_randomization)".getBytes(StandardCharsets.UTF_8));
        WorkerId worker = worker("concertina-18", 1);
        server.command(start(
                worker,
                TestingAgent.with(spec(Framework.PYTORCH, "main.py", ""), Map.of("PYTHONHASHSEED", "0")),
                true));
        server.awaitReport(worker, AgentReport.Shipped.class);
        assertThat(server.text("log/task1.node1/stdout")).isEqualTo("0\n");
    }

    @Test
    void anElasticWorkerTalksThroughTheAgentAndLeavesTheTrainingLogAlone() throws Exception {
        startAgent();
        server.code("concertina-19", "main.py", """
                import json, os, socket
                control = socket.socket(socket.AF_UNIX)
                control.connect(os.environ["CONCERTINA_CONTROL"])
                lines = control.makefile("rw")
                def say(**message):
                    lines.write(json.dumps(message) + "\\n")
                    lines.flush()
                say(type="hello", worker=os.environ["CONCERTINA_WORKER"], token=os.environ["CONCERTINA_WORKER_TOKEN"], pid=os.getpid())
                say(type="prepared", address="127.0.0.1:1", logicalWorkers=4)
                for step in range(500):
                    say(type="progress", step=step, loss=float("nan"), accuracy=None)
                lines.write("not a message\\n[1]\\n{}\\n")
                print("heard", lines.readline().strip(), flush=True)
                say(type="done", step=500)
                """.getBytes(StandardCharsets.UTF_8));
        WorkerId worker = worker("concertina-19", 1);
        server.command(start(worker, spec(Framework.EDT_PYTORCH, "main.py", ""), true));
        server.awaitReport(
                worker,
                AgentReport.Message.class,
                message -> message.message().get("type").equals("prepared"));
        server.command(new AgentCommand.Send(worker, Map.of("type", "generation", "generation", 1)));
        server.awaitReport(worker, AgentReport.Shipped.class);
        List<Map<String, Object>> said = server.reports.stream()
                .filter(AgentReport.Message.class::isInstance)
                .map(report -> ((AgentReport.Message) report).message())
                .toList();
        assertThat(said.getFirst()).containsEntry("type", "prepared");
        assertThat(said.getLast()).containsEntry("type", "done");
        assertThat(said.get(said.size() - 2)).isEqualTo(Map.of("type", "progress", "step", 499));
        assertThat(said.size()).isLessThan(100);
        assertThat(server.text("log/task1.node1/output")).contains("\"generation\":1");
        assertThat(server.files).doesNotContainKey("log/task1.node1/stdout");
    }

    @Test
    void anIntruderOnTheControlSocketIsTurnedAwayAndNobodyElseNotices() throws Exception {
        startAgent();
        server.code("concertina-20", "main.py", """
                import json, os, socket
                def connect():
                    control = socket.socket(socket.AF_UNIX)
                    control.connect(os.environ["CONCERTINA_CONTROL"])
                    return control
                def ended(control):
                    try:
                        return control.recv(1) == b""
                    except ConnectionError:
                        return True
                worker = os.environ["CONCERTINA_WORKER"]
                for first in (b"garbage\\n", json.dumps({"type": "hello", "worker": worker, "token": "wrong"}).encode() + b"\\n",
                              json.dumps({"type": "hello", "worker": "nobody"}).encode() + b"\\n"):
                    control = connect()
                    control.sendall(first)
                    print(ended(control))
                control = connect()
                try:
                    for _ in range(64):
                        control.sendall(b"x" * 65536)
                except ConnectionError:
                    pass
                print(ended(control), flush=True)
                control = connect()
                control.sendall((json.dumps({"type": "hello", "worker": worker, "token": os.environ["CONCERTINA_WORKER_TOKEN"]})
                                 + "\\n" + json.dumps({"type": "formed", "generation": 1}) + "\\n").encode())
                """.getBytes(StandardCharsets.UTF_8));
        WorkerId worker = worker("concertina-20", 1);
        server.command(start(worker, spec(Framework.EDT_PYTORCH, "main.py", ""), true));
        server.awaitReport(worker, AgentReport.Message.class);
        server.awaitReport(worker, AgentReport.Shipped.class);
        assertThat(server.text("log/task1.node1/output")).isEqualTo("True\nTrue\nTrue\nTrue\n");
        assertThat(server.reports.stream().filter(AgentReport.Message.class::isInstance))
                .hasSize(1);
    }

    @Test
    void aLaterWorkerFindsTheCheckpointsThatTheServerHas() throws Exception {
        startAgent();
        server.checkpoints.put("checkpoint/step-7.state", "state".getBytes(StandardCharsets.UTF_8));
        server.checkpoints.put("checkpoint/../../escaped", "x".getBytes(StandardCharsets.UTF_8));
        WorkerId worker = worker("concertina-21", 5);
        server.command(start(worker, command("bash", "-c", "cat $CHECKPOINT_DIR/*"), false));
        AgentReport.Exited exited = server.awaitReport(worker, AgentReport.Exited.class);
        assertThat(exited.message()).contains("path");
        server.checkpoints.remove("checkpoint/../../escaped");
        WorkerId next = worker("concertina-21", 6);
        server.command(start(next, command("bash", "-c", "cat $CHECKPOINT_DIR/*"), false));
        server.awaitReport(next, AgentReport.Shipped.class);
        assertThat(server.text("log/task6.node1/stdout")).isEqualTo("state");
        assertThat(server.files).doesNotContainKey("checkpoint/step-7.state");
    }

    private static List<Long> numbers(String text, int count) {
        List<Long> numbers = Arrays.stream(text.split("\\s+"))
                .filter(word -> word.matches("[0-9]+"))
                .map(Long::parseLong)
                .toList();
        return numbers.size() < count ? null : numbers;
    }
}
