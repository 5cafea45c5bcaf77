package concertina.server;

import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * Server and agent of one data folder as two processes of this machine: starts them detached from the terminal, tells
 * whether they live, ends them. Not thread-safe.
 */
final class Installation {
    static final String AGENT = "node1";
    private static final Duration START_LIMIT = Duration.ofSeconds(60);
    private static final Duration SERVER_PATIENCE = Duration.ofSeconds(20);
    private static final Duration AGENT_PATIENCE = Duration.ofSeconds(20);
    private static final Duration POLL = Duration.ofMillis(50);

    private final DataFolder folder;
    private final ProcessFile serverProcess;
    private final ProcessFile agentProcess;

    Installation(DataFolder folder) {
        this.folder = folder;
        this.serverProcess = serverProcess(folder);
        this.agentProcess = new ProcessFile(folder.run().resolve("agent-" + AGENT + ".pid"));
    }

    /** Where a server of this folder leaves its process id. */
    static ProcessFile serverProcess(DataFolder folder) {
        return new ProcessFile(folder.run().resolve("server.pid"));
    }

    boolean serverLives() {
        return serverProcess.living().isPresent();
    }

    boolean agentLives() {
        return agentProcess.living().isPresent();
    }

    /**
     * Starts the server and waits until it serves; no effect when it runs already.
     *
     * @param file where the server reads its configuration, null for none
     * @param configuration what stands there, of which only what its process needs is used
     * @param environment set for the server beside this process's own
     */
    void startServer(@Nullable Path file, Configuration configuration, Map<String, String> environment)
            throws InterruptedException {
        if (serverLives() && !serverProcess.address().isEmpty()) {
            return;
        }
        List<String> command = serverCommand(file, configuration);
        makeRunFolder();
        Path output = folder.run().resolve("server.out");
        Process process = spawn(command, environment, output);
        awaitOrExplain(
                "the server",
                process,
                output,
                folder.serverLog(),
                () -> serverProcess.living().map(ProcessHandle::pid).equals(Optional.of(process.pid()))
                        && !serverProcess.address().isEmpty());
    }

    /** Java's arguments that start the server. */
    List<String> serverCommand(@Nullable Path file, Configuration configuration) {
        List<String> command = new ArrayList<>(List.of(
                "-XX:+UseSerialGC",
                "-Xms96m",
                "-Xmx" + configuration.heapMegabytes() + "m",
                "-XX:MaxMetaspaceSize=128m",
                "-XX:+ExitOnOutOfMemoryError"));
        command.addAll(List.of("-cp", System.getProperty("java.class.path"), Main.class.getName()));
        command.addAll(List.of("serve", "--detached", "--data", folder.root().toString()));
        if (file != null) {
            command.addAll(List.of("--config", file.toAbsolutePath().toString()));
        }
        return command;
    }

    /**
     * Starts the agent; no effect when it runs already. It joins in its own time.
     *
     * @param slots number of CPU slots; null for what the agent finds
     */
    void startAgent(Configuration configuration, @Nullable Integer slots) throws InterruptedException {
        if (agentLives()) {
            return;
        }
        Access access = Access.read(folder.clientFile());
        List<String> command = new ArrayList<>(List.of("-XX:+UseSerialGC", "-Xmx96m", "-XX:+ExitOnOutOfMemoryError"));
        command.addAll(List.of("-cp", System.getProperty("java.class.path"), "concertina.agent.AgentMain"));
        command.addAll(List.of("--server", access.url().toString()));
        if (access.certificate() != null) {
            command.addAll(List.of("--server-certificate", access.certificate().toString()));
        }
        command.addAll(List.of("--token-file", folder.agentToken().toString(), "--name", AGENT));
        if (slots != null) {
            command.addAll(List.of("--slots", slots.toString()));
        }
        command.addAll(List.of(
                "--data", folder.agent(AGENT).toString(),
                "--python", Home.python().toString(),
                "--home", Home.path().toString(),
                "--data-folder", folder.data(configuration).toString(),
                "--shared-folder", folder.shared(configuration).toString()));
        Process process = spawn(command, Map.of(), folder.agentLog(AGENT));
        agentProcess.write(process.toHandle(), "");
    }

    /** Waits until something holds; throws ENGINE_FAILED with the agent's last line when its process ends before. */
    void awaitAgent(BooleanSupplier joined) throws InterruptedException {
        Path log = folder.agentLog(AGENT);
        await(
                "the agent",
                () -> agentLives() ? Optional.empty() : Optional.of("ended at once: " + lastLine(log)),
                log,
                joined);
    }

    /** Ends agent and server, in this order. Returns what was running. */
    List<String> stop() throws InterruptedException {
        List<String> ended = new ArrayList<>();
        if (agentProcess.end(AGENT_PATIENCE)) {
            ended.add("agent");
        }
        if (serverProcess.end(SERVER_PATIENCE)) {
            ended.add("server");
        }
        return ended;
    }

    private void makeRunFolder() {
        try {
            Files.createDirectories(folder.run());
        } catch (IOException failed) {
            throw new ConcertinaException(
                    ErrorCode.INVALID_ARGUMENT, "data folder " + folder.root() + " cannot be made", failed);
        }
    }

    /** A session of its own keeps the process alive when the terminal closes, and Ctrl-C away from it. */
    private static Process spawn(List<String> arguments, Map<String, String> environment, Path output) {
        List<String> command = new ArrayList<>();
        if (setsid() != null) {
            command.add(setsid());
        }
        command.add(ProcessHandle.current().info().command().orElse("java"));
        command.add("--enable-native-access=ALL-UNNAMED");
        ManagementFactory.getRuntimeMXBean().getInputArguments().stream()
                .filter(argument -> argument.startsWith("-XX:AOT"))
                .forEach(command::add);
        command.addAll(arguments);
        ProcessBuilder builder = new ProcessBuilder(command)
                .redirectInput(ProcessBuilder.Redirect.from(new File("/dev/null")))
                .redirectErrorStream(true)
                .redirectOutput(ProcessBuilder.Redirect.to(output.toFile()));
        builder.environment().putAll(environment);
        try {
            return builder.start();
        } catch (IOException failed) {
            throw new UncheckedIOException(failed);
        }
    }

    private static @Nullable String setsid() {
        return Stream.of("/usr/bin/setsid", "/bin/setsid")
                .filter(path -> Files.isExecutable(Path.of(path)))
                .findFirst()
                .orElse(null);
    }

    private static void awaitOrExplain(String what, Process process, Path output, Path log, BooleanSupplier ready)
            throws InterruptedException {
        await(what, () -> process.isAlive() ? Optional.empty() : Optional.of(lastLine(output)), log, ready);
    }

    private static void await(
            String what, java.util.function.Supplier<Optional<String>> failure, Path log, BooleanSupplier ready)
            throws InterruptedException {
        long end = System.nanoTime() + START_LIMIT.toNanos();
        while (!ready.getAsBoolean()) {
            Optional<String> failed = failure.get();
            if (failed.isPresent()) {
                throw new ConcertinaException(
                        ErrorCode.ENGINE_FAILED,
                        failed.get().isEmpty() ? what + " ended at once, see " + log : failed.get());
            }
            if (System.nanoTime() > end) {
                throw new ConcertinaException(
                        ErrorCode.ENGINE_FAILED,
                        what + " was not ready within " + START_LIMIT.toSeconds() + " s, see " + log);
            }
            LockSupport.parkNanos(POLL.toNanos());
            if (Thread.interrupted()) {
                throw new InterruptedException();
            }
        }
    }

    /** What a process said last, without the name under which it said it. */
    private static String lastLine(Path file) {
        try (Stream<String> lines = Files.lines(file)) {
            return lines.filter(line -> !line.isBlank())
                    .reduce("", (before, line) -> line)
                    .replaceFirst("^concertina: ", "");
        } catch (IOException | UncheckedIOException unreadable) {
            return "";
        }
    }
}
