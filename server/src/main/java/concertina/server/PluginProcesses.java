package concertina.server;

import concertina.trials.Plugin;
import concertina.trials.PluginHost;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.Reader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Supplier;

/**
 * Runs plug-ins in Python processes of their own. A process knows its plug-in's folder and nothing of the server's: its environment is
 * bare, it speaks through its standard streams, and it ends when they do. Closing ends all that run. Thread-safe.
 */
final class PluginProcesses implements PluginHost.Starter, AutoCloseable {
    private static final String PROGRAM = "python/plugins/core/host.py";
    private static final int LONGEST_ANSWER = 32 << 20;
    private static final int LOG_BYTES = 64 << 10;
    private static final Duration GRACE = Duration.ofSeconds(2);
    private static final List<String> KEPT = List.of("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH");

    private final Path home;
    private final Supplier<Path> python;
    private final Duration limit;
    private final Map<String, String> environment;
    private final Set<Running> running = ConcurrentHashMap.newKeySet();
    private volatile boolean closed;

    /**
     * @param home the product's folder, which holds python/
     * @param python runs plug-ins that name no environment of their own
     * @param limit how long a plug-in may think about one answer
     * @param environment the server's own, of which a few harmless names are handed on
     */
    PluginProcesses(Path home, Supplier<Path> python, Duration limit, Map<String, String> environment) {
        this.home = home;
        this.python = python;
        this.limit = limit;
        this.environment = environment;
    }

    @Override
    public PluginHost start(Plugin plugin) throws IOException {
        List<String> command = new ArrayList<>();
        command.add(python(plugin).toString());
        command.addAll(
                List.of("-I", "-u", home.resolve(PROGRAM).toAbsolutePath().toString()));
        ProcessBuilder builder =
                new ProcessBuilder(command).directory(plugin.folder().toFile());
        builder.environment().clear();
        for (String name : KEPT) {
            String value = environment.get(name);
            if (value != null) {
                builder.environment().put(name, value);
            }
        }
        Running started = new Running(builder.start(), limit, running);
        running.add(started);
        if (closed) {
            started.close();
            throw new IOException("the server is closing");
        }
        return started;
    }

    @Override
    public void close() {
        closed = true;
        running.forEach(Running::close);
    }

    private Path python(Plugin plugin) throws IOException {
        if (plugin.condaHome().isEmpty()) {
            return python.get();
        }
        Path folder = Path.of(plugin.condaHome());
        Path program = (plugin.condaEnvironment().isEmpty()
                        ? folder
                        : folder.resolve("envs").resolve(plugin.condaEnvironment()))
                .resolve("bin/python");
        if (!Files.isExecutable(program)) {
            throw new IOException("there is no Python at " + program);
        }
        return program;
    }

    /** One process. Calls come from one thread; the streams are read by threads of their own. */
    private static final class Running implements PluginHost {
        private final Process process;
        private final Duration limit;
        private final BufferedReader answers;
        private final StringBuffer log = new StringBuffer();
        private final Set<Running> running;
        private final Thread listener;

        /** @param running which it leaves when it is closed */
        Running(Process process, Duration limit, Set<Running> running) {
            this.process = process;
            this.running = running;
            this.limit = limit;
            this.answers = process.inputReader(StandardCharsets.UTF_8);
            this.listener =
                    Thread.ofVirtual().name("plugin-log-" + process.pid()).start(this::listen);
        }

        private void listen() {
            byte[] buffer = new byte[8192];
            try (InputStream errors = process.getErrorStream()) {
                for (int count = errors.read(buffer); count >= 0; count = errors.read(buffer)) {
                    log.append(new String(buffer, 0, count, StandardCharsets.UTF_8));
                    if (log.length() > LOG_BYTES) {
                        log.delete(0, log.length() - LOG_BYTES / 2);
                    }
                }
            } catch (IOException closed) {
                log.append('\n');
            }
        }

        @Override
        public String call(String request) throws IOException {
            CompletableFuture<String> answer = new CompletableFuture<>();
            Thread.ofVirtual().name("plugin-" + process.pid()).start(() -> {
                try {
                    process.getOutputStream().write((request + "\n").getBytes(StandardCharsets.UTF_8));
                    process.getOutputStream().flush();
                    answer.complete(line(answers));
                } catch (IOException failure) {
                    answer.completeExceptionally(failure);
                }
            });
            try {
                return answer.get(limit.toMillis(), TimeUnit.MILLISECONDS);
            } catch (TimeoutException late) {
                close();
                throw new IOException("it did not answer within " + limit.toSeconds() + " s");
            } catch (ExecutionException failure) {
                close();
                throw new IOException(
                        "its process ended: "
                                + Objects.requireNonNullElse(failure.getCause(), failure)
                                        .getMessage(),
                        failure);
            } catch (InterruptedException interrupted) {
                close();
                Thread.currentThread().interrupt();
                throw new IOException("interrupted while it answered");
            }
        }

        private static String line(Reader reader) throws IOException {
            StringBuilder line = new StringBuilder();
            for (int each = reader.read(); each != '\n'; each = reader.read()) {
                if (each < 0) {
                    throw new IOException("no answer");
                }
                if (line.length() >= LONGEST_ANSWER) {
                    throw new IOException("an answer of more than " + LONGEST_ANSWER + " characters");
                }
                line.append((char) each);
            }
            return line.toString();
        }

        @Override
        public String log() {
            return log.toString();
        }

        @Override
        public void close() {
            running.remove(this);
            List<ProcessHandle> all = process.descendants().toList();
            // It takes along what is below it, also what has lost its parent.
            process.destroy();
            try {
                if (!process.waitFor(GRACE.toMillis(), TimeUnit.MILLISECONDS)) {
                    process.destroyForcibly();
                    all.forEach(ProcessHandle::destroyForcibly);
                }
                // Its last words are on their way.
                listener.join(GRACE);
            } catch (InterruptedException interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }
}
