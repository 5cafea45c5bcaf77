package concertina.it;

import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;
import org.jspecify.annotations.Nullable;

/**
 * A whole platform in a folder of its own: the server and any number of agents as processes, started through the classes that
 * production starts. They can be killed and started again. Closing it ends every process; used by one test class at a time.
 */
final class Platform implements AutoCloseable {
    private static final Duration START = Duration.ofSeconds(60);

    private final Path folder;
    private final int port;
    private final Map<String, Process> agents = new LinkedHashMap<>();
    private final List<String> settings;
    private @Nullable Process server;
    private @Nullable Client administrator;

    private Platform(Path folder, List<String> settings) {
        this.folder = folder;
        this.settings = settings;
        this.port = freePort();
    }

    /** A server and one agent {@code node1} with that many CPU slots. */
    static Platform start(Path folder, int slots, String... settings) {
        Platform platform = serverOnly(folder, settings);
        try {
            platform.startAgent("node1", slots);
            return platform;
        } catch (RuntimeException | AssertionError failed) {
            platform.close();
            throw failed;
        }
    }

    /**
     * A server without any agent.
     *
     * @param settings lines for its configuration file
     */
    static Platform serverOnly(Path folder, String... settings) {
        Platform platform = new Platform(folder, List.of(settings));
        try {
            platform.startServer();
            return platform;
        } catch (RuntimeException | AssertionError failed) {
            platform.close();
            throw failed;
        }
    }

    /** The Python that workers run in; a test run without torch fails here and says how to get it. */
    static String python() {
        String chosen = System.getenv("CONCERTINA_PYTHON");
        String python = chosen == null || chosen.isBlank() ? "python3" : chosen;
        if (!PythonCheck.IMPORTS_TORCH) {
            throw new AssertionError("'" + python + "' cannot import torch: set CONCERTINA_PYTHON to a Python 3.10 or "
                    + "later with torch, or run ./concertina test, which finds or makes one\n" + PythonCheck.OUTPUT);
        }
        return python;
    }

    /** Whether the Python that workers run in has this module. */
    static boolean pythonFinds(String module) {
        try {
            Process process = new ProcessBuilder(
                            python(),
                            "-c",
                            "import importlib.util, sys; sys.exit(importlib.util.find_spec(sys.argv[1]) is None)",
                            module)
                    .start();
            return process.waitFor() == 0;
        } catch (IOException failed) {
            throw new UncheckedIOException(failed);
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(interrupted);
        }
    }

    /** The product's folder, which holds {@code python/} and {@code examples/}. */
    static Path home() {
        return Path.of("").toAbsolutePath().getParent();
    }

    /** The product's classes as this test run has built them. */
    static String classPath() {
        return System.getProperty("surefire.test.class.path", System.getProperty("java.class.path"));
    }

    Path data() {
        return folder;
    }

    int port() {
        return port;
    }

    String address() {
        return "https://127.0.0.1:" + port;
    }

    Path certificate() {
        return folder.resolve("server/tls/certificate.pem");
    }

    /** Where a job's files lie on the server. */
    Path resultFolder(String user, String job) {
        return folder.resolve("results").resolve(user).resolve("batchworkdir").resolve(job);
    }

    void startServer() {
        python();
        try {
            Files.createDirectories(folder.resolve("run"));
            Path configuration = folder.resolve("configuration.yaml");
            List<String> lines = new ArrayList<>(List.of("https-port: " + port));
            lines.addAll(settings);
            Files.write(configuration, lines);
            server = java(
                    folder.resolve("run/server.out"),
                    "160m",
                    "concertina.server.Main",
                    "serve",
                    "--detached",
                    "--data",
                    folder.toString(),
                    "--config",
                    configuration.toString());
        } catch (IOException failed) {
            throw new UncheckedIOException(failed);
        }
        Waiting.until(
                "the server",
                START,
                () -> serverProcess().isAlive()
                        && Files.exists(certificate())
                        && administrator().healthy(),
                healthy -> healthy,
                this::logs);
    }

    void startAgent(String name, int slots) {
        Process agent = java(
                folder.resolve("run/agent-" + name + ".log"),
                "96m",
                "concertina.agent.AgentMain",
                "--server",
                address(),
                "--server-certificate",
                certificate().toString(),
                "--token-file",
                folder.resolve("server/agent-token").toString(),
                "--name",
                name,
                "--slots",
                Integer.toString(slots),
                "--data",
                folder.resolve("agents").resolve(name).toString(),
                "--python",
                python(),
                "--home",
                home().toString(),
                "--data-folder",
                folder.resolve("data").toString(),
                "--shared-folder",
                folder.resolve("shared").toString());
        agents.put(name, agent);
        Waiting.until(
                "agent " + name,
                START,
                () -> agent.isAlive() && administrator().connectedAgents().contains(name),
                connected -> connected,
                this::logs);
    }

    /** Ends the server without a chance to tidy up. */
    void killServer() {
        kill(serverProcess());
    }

    /** Asks the server to end, and waits until it has. */
    void endServer() {
        end(serverProcess());
    }

    /** Ends an agent without a chance to tidy up. */
    void killAgent(String name) {
        Process agent = agents.remove(name);
        if (agent == null) {
            throw new IllegalArgumentException("no agent " + name);
        }
        kill(agent);
    }

    /** Asks an agent to end, and waits until it has. */
    void endAgent(String name) {
        Process agent = agents.remove(name);
        if (agent == null) {
            throw new IllegalArgumentException("no agent " + name);
        }
        end(agent);
    }

    boolean serverAlive() {
        return serverProcess().isAlive();
    }

    long serverProcessId() {
        return serverProcess().pid();
    }

    /** Acts as the first administrator. */
    Client administrator() {
        Client known = administrator;
        if (known == null) {
            known = Client.fromFile(this);
            administrator = known;
        }
        return known;
    }

    /** Trusts this server's certificate and no other. */
    SSLContext trust() {
        try (InputStream pem = Files.newInputStream(certificate())) {
            KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
            store.load(null, null);
            store.setCertificateEntry(
                    "server", CertificateFactory.getInstance("X.509").generateCertificate(pem));
            TrustManagerFactory managers = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
            managers.init(store);
            SSLContext context = SSLContext.getInstance("TLS");
            context.init(null, managers.getTrustManagers(), null);
            return context;
        } catch (IOException | GeneralSecurityException failed) {
            throw new IllegalStateException(failed);
        }
    }

    /** The ends of all logs, for the message of a failure. */
    String logs() {
        StringBuilder text = new StringBuilder();
        try (Stream<Path> files = Files.walk(folder)) {
            for (Path file : files.filter(Files::isRegularFile)
                    .filter(path -> path.startsWith(folder.resolve("run"))
                            ? path.toString().matches(".*\\.(log|out)")
                            : path.startsWith(folder.resolve("results"))
                                    && path.toString().contains("/log/"))
                    .sorted()
                    .toList()) {
                String whole = Files.readString(file, StandardCharsets.ISO_8859_1);
                text.append("--- ").append(folder.relativize(file)).append('\n');
                text.append(whole, Math.max(0, whole.length() - 4000), whole.length())
                        .append('\n');
            }
        } catch (IOException | UncheckedIOException failed) {
            text.append("logs cannot be read: ").append(failed);
        }
        return text.toString();
    }

    @Override
    public void close() {
        agents.values().forEach(Platform::end);
        agents.clear();
        Process running = server;
        if (running != null) {
            end(running);
        }
    }

    private Process serverProcess() {
        Process running = server;
        if (running == null) {
            throw new IllegalStateException("the server was never started");
        }
        return running;
    }

    private static Process java(Path log, String heap, String main, String... arguments) {
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1",
                "-Xmx" + heap,
                "--enable-native-access=ALL-UNNAMED",
                "-cp",
                classPath(),
                main));
        command.addAll(List.of(arguments));
        ProcessBuilder builder = new ProcessBuilder(command)
                .redirectErrorStream(true)
                .redirectOutput(ProcessBuilder.Redirect.appendTo(log.toFile()))
                .redirectInput(new File("/dev/null"));
        builder.environment().put("CONCERTINA_HOME", home().toString());
        try {
            return builder.start();
        } catch (IOException failed) {
            throw new UncheckedIOException(failed);
        }
    }

    private static void kill(Process process) {
        process.destroyForcibly();
        join(process);
    }

    /** Politely first: an agent that ends in an orderly way takes its workers along. */
    private static void end(Process process) {
        process.destroy();
        try {
            if (!process.waitFor(10, TimeUnit.SECONDS)) {
                kill(process);
            }
        } catch (InterruptedException interrupted) {
            process.destroyForcibly();
            Thread.currentThread().interrupt();
        }
    }

    private static void join(Process process) {
        try {
            process.waitFor();
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    private static int freePort() {
        try (ServerSocket probe = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            return probe.getLocalPort();
        } catch (IOException failed) {
            throw new UncheckedIOException(failed);
        }
    }

    /** Asked once for all test classes of a run. */
    private static final class PythonCheck {
        static final String OUTPUT;
        static final boolean IMPORTS_TORCH;

        static {
            String chosen = System.getenv("CONCERTINA_PYTHON");
            String output;
            boolean imports;
            try {
                Process process = new ProcessBuilder(
                                chosen == null || chosen.isBlank() ? "python3" : chosen, "-c", "import torch")
                        .redirectErrorStream(true)
                        .start();
                output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
                imports = process.waitFor() == 0;
            } catch (IOException failed) {
                output = failed.getMessage();
                imports = false;
            } catch (InterruptedException interrupted) {
                Thread.currentThread().interrupt();
                output = "interrupted";
                imports = false;
            }
            OUTPUT = output;
            IMPORTS_TORCH = imports;
        }
    }
}
