package concertina.server;

import static java.nio.charset.StandardCharsets.ISO_8859_1;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.dataformat.yaml.YAMLMapper;

/**
 * Remembers a process by number and start time, so that a number the system has given to somebody else is never
 * signalled. Not for two writers at once.
 */
record ProcessFile(Path path) {
    private static final Duration POLL = Duration.ofMillis(20);

    /** Remembers a process; {@code address} is empty until it serves. */
    void write(ProcessHandle process, String address) {
        Map<String, Object> content = Map.of(
                "process-id", process.pid(),
                "started", started(process).toString(),
                "address", address);
        try {
            DataFolder.writeSecret(path, YAMLMapper.shared().writeValueAsString(content));
        } catch (IOException failed) {
            throw new UncheckedIOException(failed);
        }
    }

    /** The remembered process if it still lives. */
    Optional<ProcessHandle> living() {
        JsonNode content = content();
        return ProcessHandle.of(content.path("process-id").asLong(-1))
                .filter(ProcessFile::lives)
                .filter(process -> started(process)
                        .toString()
                        .equals(content.path("started").asString("")));
    }

    /** Where the process serves; empty when it does not yet. */
    String address() {
        return content().path("address").asString("");
    }

    void delete() {
        try {
            Files.deleteIfExists(path);
        } catch (IOException failed) {
            throw new UncheckedIOException(failed);
        }
    }

    /**
     * Asks the process to end, waits, and kills it when it does not.
     *
     * @return whether there was one
     */
    boolean end(Duration patience) throws InterruptedException {
        Optional<ProcessHandle> found = living();
        if (found.isPresent()) {
            ProcessHandle process = found.get();
            process.destroy();
            if (!waitFor(process, patience)) {
                process.destroyForcibly();
                waitFor(process, Duration.ofSeconds(10));
            }
        }
        delete();
        return found.isPresent();
    }

    private static boolean waitFor(ProcessHandle process, Duration patience) throws InterruptedException {
        long end = System.nanoTime() + patience.toNanos();
        while (lives(process)) {
            if (System.nanoTime() > end) {
                return false;
            }
            try {
                process.onExit().get(POLL.toMillis(), TimeUnit.MILLISECONDS);
            } catch (TimeoutException | ExecutionException stillListed) {
                // The system may list it for ever: whether it lives is looked up.
            }
        }
        return true;
    }

    /** False also for one that ended and that nobody has waited for yet: in a container that may stay so for ever. */
    private static boolean lives(ProcessHandle process) {
        if (!process.isAlive()) {
            return false;
        }
        try {
            String status = Files.readString(Path.of("/proc", Long.toString(process.pid()), "stat"), ISO_8859_1);
            // The name before the state is in brackets, and may have some itself.
            return !status.startsWith(") Z", status.lastIndexOf(')'));
        } catch (IOException goneOrNoLinux) {
            return process.isAlive();
        }
    }

    private JsonNode content() {
        try {
            return YAMLMapper.shared().readTree(Files.readString(path));
        } catch (IOException | JacksonException absentOrDamaged) {
            return YAMLMapper.shared().createObjectNode();
        }
    }

    private static Instant started(ProcessHandle process) {
        return process.info().startInstant().orElse(Instant.EPOCH);
    }
}
