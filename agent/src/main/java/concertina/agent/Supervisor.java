package concertina.agent;

import concertina.model.WorkerId;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * The agent's side of one supervising Python process (python/concertina/supervisor.py), from its start to its end.
 * Workers started through it end with it, and it ends with this JVM: its standard input is the string between them.
 * Thread-safe; writing is guarded by the object's lock.
 */
final class Supervisor implements AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(Supervisor.class);
    private static final int KILL = 9;

    private final String name;
    private final Process process;
    private final OutputStream requests;
    private final JsonMapper json = JsonMapper.shared();
    private final Map<String, Pending> workers = new ConcurrentHashMap<>();
    private final CompletableFuture<Ready> ready = new CompletableFuture<>();

    /** How a process ended; signal is 0 when it ended by itself. */
    record Ending(int exitCode, int signal) {}

    /** A process that runs, and its end to come. */
    record Running(long processId, CompletableFuture<Ending> ending) {}

    /** Modules that are loaded, and how long that took. */
    record Ready(List<String> modules, long milliseconds) {}

    private record Pending(CompletableFuture<Long> started, CompletableFuture<Ending> ending) {}

    private Supervisor(String name, Process process) {
        this.name = name;
        this.process = process;
        this.requests = process.getOutputStream();
    }

    /**
     * Starts the process; it becomes ready later.
     *
     * @param modules what to import before forking; with none, scripts cannot be forked usefully but programs start
     * @param log file that gets what the process says about itself
     */
    static Supervisor start(
            String name, Path python, Path program, List<String> modules, Map<String, String> environment, Path log)
            throws IOException {
        List<String> command = new ArrayList<>(List.of(python.toString(), "-u", program.toString()));
        for (String module : modules) {
            command.addAll(List.of("--import", module));
        }
        ProcessBuilder builder =
                new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.appendTo(log.toFile()));
        builder.environment().clear();
        builder.environment().putAll(environment);
        Supervisor supervisor = new Supervisor(name, builder.start());
        Thread.ofPlatform().daemon().name("supervisor-" + name).start(supervisor::listen);
        return supervisor;
    }

    boolean alive() {
        return process.isAlive();
    }

    CompletableFuture<Ready> ready() {
        return ready;
    }

    /** Completes when the supervising process is gone and the end of all its workers is known. */
    CompletableFuture<Process> gone() {
        return process.onExit();
    }

    private void listen() {
        try (BufferedReader answers = process.inputReader(StandardCharsets.UTF_8)) {
            for (String line = answers.readLine(); line != null; line = answers.readLine()) {
                try {
                    hear(json.readTree(line));
                } catch (JacksonException e) {
                    log.warn("supervisor {} said something that is not JSON", name);
                }
            }
        } catch (IOException e) {
            log.warn("supervisor {} cannot be heard any more: {}", name, e.toString());
        }
        process.destroyForcibly();
        ready.completeExceptionally(new IOException("supervisor " + name + " ended"));
        for (String worker : List.copyOf(workers.keySet())) {
            Pending pending = workers.remove(worker);
            if (pending != null && !pending.started.completeExceptionally(new IOException("its supervisor ended"))) {
                Signals.killGroup(pending.started.join());
                pending.ending.complete(new Ending(-1, KILL));
            }
        }
    }

    private void hear(JsonNode answer) {
        if (answer.has("started")) {
            Pending pending = workers.get(answer.path("started").asString());
            if (pending != null) {
                pending.started.complete(answer.path("process").asLong());
            }
        } else if (answer.has("exited")) {
            Pending pending = workers.remove(answer.path("exited").asString());
            if (pending != null) {
                pending.ending.complete(new Ending(
                        answer.path("code").asInt(), answer.path("signal").asInt()));
            }
        } else if (answer.has("refused")) {
            Pending pending = workers.remove(answer.path("refused").asString());
            if (pending != null) {
                pending.started.completeExceptionally(
                        new IOException(answer.path("error").asString()));
            }
        } else if (answer.has("ready")) {
            List<String> modules = new ArrayList<>();
            answer.path("modules").forEach(module -> modules.add(module.asString()));
            ready.complete(new Ready(modules, answer.path("milliseconds").asLong()));
        }
    }

    /** Starts a worker's process; IOException when it could not be, for example because this supervisor has died. */
    Running run(Launch launch) throws IOException, InterruptedException {
        Map<String, Object> request = new LinkedHashMap<>();
        String worker = launch.worker().toString();
        request.put("run", worker);
        switch (launch.program()) {
            case Program.Script script
            when script.forkable() -> {
                request.put("script", script.file().toString());
                request.put("words", script.words());
            }
            case Program.Script script -> request.put("words", script.commandLine());
            case Program.Command command -> request.put("words", command.words());
        }
        request.put("folder", launch.folder().toString());
        request.put("environment", launch.environment());
        request.put("stdout", launch.stdout().toString());
        request.put("stderr", launch.stderr().toString());
        request.put("threads", launch.threads());
        Pending pending = new Pending(new CompletableFuture<>(), new CompletableFuture<>());
        workers.put(worker, pending);
        try {
            write(request);
            return new Running(pending.started.get(60, TimeUnit.SECONDS), pending.ending);
        } catch (ExecutionException e) {
            throw new IOException("the process could not be started: " + reason(e));
        } catch (TimeoutException e) {
            signal(launch.worker(), KILL);
            throw new IOException("the process was not started within 60 s");
        } catch (IOException e) {
            workers.remove(worker);
            throw e;
        }
    }

    private static String reason(ExecutionException e) {
        Throwable cause = e.getCause();
        return cause == null || cause.getMessage() == null ? "unknown" : cause.getMessage();
    }

    /** Sends a signal to a worker's process group; no effect when its main process is gone. */
    void signal(WorkerId worker, int number) {
        if (workers.containsKey(worker.toString())) {
            try {
                write(Map.of("signal", worker.toString(), "number", number));
            } catch (IOException e) {
                log.debug("supervisor {} is gone and its workers with it", name);
            }
        }
    }

    private synchronized void write(Map<String, Object> request) throws IOException {
        requests.write((json.writeValueAsString(request) + "\n").getBytes(StandardCharsets.UTF_8));
        requests.flush();
    }

    /** Lets go: the process ends its workers, then itself. Does not wait. */
    @Override
    public void close() {
        try {
            requests.close();
        } catch (IOException e) {
            process.destroy();
        }
    }
}
