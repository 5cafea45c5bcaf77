package concertina.agent;

import concertina.model.AgentCommand;
import concertina.model.Framework;
import concertina.model.JobId;
import concertina.model.JobSpec;
import concertina.model.SlotId;
import concertina.model.UserName;
import concertina.model.WorkerId;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;

/** A real agent in a JVM of its own, which a test may kill, and short ways to describe workers for it. */
final class TestingAgent implements AutoCloseable {
    final Path data;
    private final Process process;

    private TestingAgent(Path data, Process process) {
        this.data = data;
        this.process = process;
    }

    static Path python() {
        String configured = System.getenv("CONCERTINA_PYTHON");
        if (configured != null && Files.isExecutable(Path.of(configured))) {
            return Path.of(configured);
        }
        for (String folder : System.getenv("PATH").split(":")) {
            Path python = Path.of(folder, "python3");
            if (Files.isExecutable(python)) {
                return python;
            }
        }
        throw new AssertionError("these tests need python3 on the PATH");
    }

    /** The folder of the product that holds python/. */
    static Path home() {
        return Path.of("..").toAbsolutePath().normalize();
    }

    static TestingAgent start(Path folder, TestingServer server, String... more) throws IOException {
        Path data = folder.resolve("node1");
        Path token = folder.resolve("secret-agent-token");
        Files.writeString(token, TestingServer.TOKEN + "\n");
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-XX:TieredStopAtLevel=1",
                "-XX:+UseSerialGC",
                "-Xmx96m",
                "--enable-native-access=ALL-UNNAMED",
                "-cp",
                System.getProperty("java.class.path"),
                "concertina.agent.AgentMain",
                "--server",
                server.address().toString(),
                "--token-file",
                token.toString(),
                "--name",
                "node1",
                "--slots",
                "4",
                "--data",
                data.toString(),
                "--python",
                python().toString(),
                "--home",
                home().toString(),
                "--data-folder",
                folder.resolve("data").toString()));
        command.addAll(List.of(more));
        Path log = folder.resolve("agent.log");
        ProcessBuilder builder = new ProcessBuilder(command)
                .redirectErrorStream(true)
                .redirectOutput(ProcessBuilder.Redirect.appendTo(log.toFile()));
        builder.environment().put("CONCERTINA_TOKEN", TestingServer.TOKEN);
        return new TestingAgent(data, builder.start());
    }

    ProcessHandle handle() {
        return process.toHandle();
    }

    /** As {@code kill -9}. */
    void kill() throws InterruptedException {
        process.destroyForcibly();
        process.waitFor();
    }

    /** As {@code kill}. */
    boolean end() throws InterruptedException {
        process.destroy();
        return process.waitFor(20, TimeUnit.SECONDS);
    }

    Path result(String job) {
        return data.resolve("results/admin/batchworkdir").resolve(job);
    }

    static WorkerId worker(String job, int ordinal) {
        return new WorkerId(new JobId(job), ordinal);
    }

    static JobSpec spec(Framework framework, String main, String directory, String... arguments) {
        return new JobSpec(
                framework,
                "demo",
                "",
                main,
                directory,
                List.of(),
                List.of(arguments),
                4,
                1,
                false,
                5000,
                Map.of(),
                "",
                "",
                "",
                0);
    }

    static JobSpec with(JobSpec spec, Map<String, String> environment) {
        return new JobSpec(
                spec.framework(),
                spec.applicationName(),
                spec.arguments(),
                spec.modelMain(),
                spec.modelDirectory(),
                spec.userCommand(),
                spec.scriptArguments(),
                spec.workers(),
                spec.slotsPerWorker(),
                spec.gpu(),
                spec.priority(),
                environment,
                spec.dataPath(),
                spec.condaEnvironment(),
                spec.consumer(),
                spec.pendingTimeoutSeconds());
    }

    static JobSpec inEnvironment(JobSpec spec, String condaEnvironment) {
        return new JobSpec(
                spec.framework(),
                spec.applicationName(),
                spec.arguments(),
                spec.modelMain(),
                spec.modelDirectory(),
                spec.userCommand(),
                spec.scriptArguments(),
                spec.workers(),
                spec.slotsPerWorker(),
                spec.gpu(),
                spec.priority(),
                spec.environment(),
                spec.dataPath(),
                condaEnvironment,
                spec.consumer(),
                spec.pendingTimeoutSeconds());
    }

    static JobSpec command(String... words) {
        return new JobSpec(
                Framework.DIST_PYTORCH,
                "demo",
                "",
                "",
                "",
                List.of(words),
                List.of(),
                1,
                1,
                false,
                5000,
                Map.of(),
                "",
                "",
                "",
                0);
    }

    static AgentCommand.Start start(WorkerId worker, JobSpec spec, boolean hasCode) {
        return new AgentCommand.Start(
                worker,
                new UserName("admin"),
                spec,
                List.of(new SlotId("node1/" + (worker.ordinal() - 1) % 4)),
                log(worker),
                hasCode,
                Map.of("CONCERTINA_JOB_SECRET", "secret-of-the-job"));
    }

    static String log(WorkerId worker) {
        return "log/task" + worker.ordinal() + ".node1";
    }

    /** A zip of text files given as name, content, name, content. */
    static byte[] zip(String... namesAndContents) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (ZipOutputStream zip = new ZipOutputStream(bytes)) {
            for (int i = 0; i < namesAndContents.length; i += 2) {
                zip.putNextEntry(new ZipEntry(namesAndContents[i]));
                zip.write(namesAndContents[i + 1].getBytes(StandardCharsets.UTF_8));
                zip.closeEntry();
            }
        }
        return bytes.toByteArray();
    }

    /** Reads "NAME=value" lines. */
    static Map<String, String> variables(String text) {
        Map<String, String> variables = new TreeMap<>();
        for (String line : text.split("\n")) {
            int equals = line.indexOf('=');
            if (equals > 0) {
                variables.put(line.substring(0, equals), line.substring(equals + 1));
            }
        }
        return variables;
    }

    /** Waits until none of these processes lives, at most 20 s; returns those that do. */
    static List<Long> survivors(Collection<Long> processes) throws InterruptedException {
        long deadline = System.nanoTime() + 20_000_000_000L;
        while (true) {
            List<Long> alive = processes.stream()
                    .filter(id ->
                            ProcessHandle.of(id).map(ProcessHandle::isAlive).orElse(false))
                    .toList();
            if (alive.isEmpty() || System.nanoTime() > deadline) {
                return alive;
            }
            TimeUnit.MILLISECONDS.sleep(20);
        }
    }

    @Override
    public void close() throws InterruptedException {
        if (!end()) {
            kill();
        }
    }
}
