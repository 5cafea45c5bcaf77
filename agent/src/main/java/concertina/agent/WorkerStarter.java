package concertina.agent;

import concertina.agent.Supervisor.Running;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Starts workers' processes, forked from the warm interpreter where that gives the same as a new one, and keeps the two
 * supervising processes alive. A dead one is replaced; while the warm one is away, new interpreters take its place.
 * Thread-safe; its lock is the object itself.
 */
final class WorkerStarter implements AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(WorkerStarter.class);
    private static final Duration IMPORTS = Duration.ofMinutes(2);
    private static final Duration LONGEST_PAUSE = Duration.ofMinutes(1);

    private final Path python;
    private final Path program;
    private final List<String> modules;
    private final Map<String, String> environment;
    private final Path logs;
    private @Nullable Supervisor warm;
    private @Nullable Supervisor plain;
    private Duration pause = Duration.ofSeconds(1);
    private boolean closed;

    /**
     * @param python interpreter of the agent
     * @param program the supervising program
     * @param modules what the warm interpreter imports
     * @param environment what the supervising processes see
     * @param logs folder for their own logs
     */
    WorkerStarter(Path python, Path program, List<String> modules, Map<String, String> environment, Path logs) {
        this.python = python;
        this.program = program;
        this.modules = List.copyOf(modules);
        this.environment = Map.copyOf(environment);
        this.logs = logs;
    }

    /** A started process and whoever can signal it. */
    record Started(Running running, Supervisor supervisor, boolean forked) {}

    /** Starts both supervising processes; IOException when there is no such interpreter. */
    void open() throws IOException {
        plain();
        openWarm();
    }

    private synchronized void openWarm() throws IOException {
        if (closed) {
            return;
        }
        Supervisor opened =
                Supervisor.start("warm", python, program, modules, environment, logs.resolve("supervisor-warm.log"));
        warm = opened;
        opened.ready().thenAccept(ready -> {
            log.info(
                    "workers are forked from a Python that has {} loaded ({} ms)",
                    ready.modules(),
                    ready.milliseconds());
            resetPause();
        });
        opened.gone().thenAccept(process -> replaceWarm());
    }

    private synchronized void resetPause() {
        pause = Duration.ofSeconds(1);
    }

    private void replaceWarm() {
        Duration wait;
        synchronized (this) {
            if (closed) {
                return;
            }
            wait = pause;
            pause = pause.multipliedBy(2).compareTo(LONGEST_PAUSE) > 0 ? LONGEST_PAUSE : pause.multipliedBy(2);
        }
        log.warn(
                "the warm Python ended, another is started in {} s; new interpreters are used meanwhile",
                wait.toSeconds());
        Thread.ofVirtual().name("replace-warm").start(() -> {
            try {
                Thread.sleep(wait);
                openWarm();
            } catch (IOException e) {
                log.warn("the warm Python could not be started: {}", e.getMessage());
                replaceWarm();
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        });
    }

    private synchronized Supervisor plain() throws IOException {
        if (closed) {
            throw new IOException("the agent is ending");
        }
        if (plain == null || !plain.alive()) {
            plain = Supervisor.start(
                    "plain", python, program, List.of(), environment, logs.resolve("supervisor-plain.log"));
        }
        return plain;
    }

    /** Starts a process, or says in one line why it cannot be. */
    Started start(Launch launch) throws IOException, InterruptedException {
        if (launch.program() instanceof Program.Script script && script.forkable()) {
            Supervisor forking = warmAndReady();
            if (forking != null) {
                try {
                    return new Started(forking.run(launch), forking, true);
                } catch (IOException e) {
                    if (forking.alive()) {
                        throw e;
                    }
                }
            }
            return startNew(new Launch(
                    launch.worker(),
                    new Program.Script(script.python(), script.file(), script.name(), script.arguments(), false),
                    launch.folder(),
                    launch.environment(),
                    launch.stdout(),
                    launch.stderr(),
                    launch.threads()));
        }
        return startNew(launch);
    }

    private Started startNew(Launch launch) throws IOException, InterruptedException {
        Supervisor supervisor = plain();
        try {
            return new Started(supervisor.run(launch), supervisor, false);
        } catch (IOException e) {
            if (supervisor.alive()) {
                throw e;
            }
            Supervisor another = plain();
            return new Started(another.run(launch), another, false);
        }
    }

    private @Nullable Supervisor warmAndReady() throws InterruptedException {
        Supervisor candidate;
        synchronized (this) {
            candidate = warm;
        }
        if (candidate == null || !candidate.alive()) {
            return null;
        }
        try {
            candidate.ready().get(IMPORTS.toSeconds(), TimeUnit.SECONDS);
            return candidate;
        } catch (ExecutionException | TimeoutException e) {
            return null;
        }
    }

    /** Ends every worker and the supervising processes, and waits for them a few seconds. */
    @Override
    public void close() {
        List<Supervisor> open;
        synchronized (this) {
            closed = true;
            open = Stream.of(warm, plain).filter(Objects::nonNull).toList();
        }
        open.forEach(Supervisor::close);
        for (Supervisor supervisor : open) {
            try {
                supervisor.gone().get(5, TimeUnit.SECONDS);
            } catch (ExecutionException | TimeoutException e) {
                log.warn("a supervising process did not end in 5 s");
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                return;
            }
        }
    }
}
