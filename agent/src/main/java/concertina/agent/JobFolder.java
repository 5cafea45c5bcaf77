package concertina.agent;

import concertina.artifacts.ArchiveLimits;
import concertina.artifacts.CodeArchive;
import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import concertina.model.Framework;
import concertina.model.JobId;
import concertina.model.JobSpec;
import concertina.model.UserName;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One job's RESULT_DIR on this node, shared by all of its workers here: code, checkpoints, logs, model. The code is fetched
 * and unpacked once however many workers start together. Thread-safe; the lock covers preparation.
 */
final class JobFolder {
    private static final Logger log = LoggerFactory.getLogger(JobFolder.class);
    private static final Duration LONGEST_PAUSE = Duration.ofSeconds(5);

    private final JobId job;
    private final Path folder;
    private final ServerLink server;
    private final SharedCode shared;
    private final ReentrantLock lock = new ReentrantLock();
    private final AtomicBoolean forgotten = new AtomicBoolean();
    private final AtomicBoolean checkpointsMissing = new AtomicBoolean();

    /**
     * @param results the agent's DLI_RESULT_FS
     * @param shared code that this job may have in common with others
     */
    JobFolder(Path results, UserName user, JobId job, ServerLink server, SharedCode shared) {
        this.job = job;
        this.folder = inside(inside(results, "user", user.value()).resolve("batchworkdir"), "job", job.value());
        this.server = server;
        this.shared = shared;
    }

    /** A path below a folder, where the name is a single plain component. */
    static Path inside(Path folder, String field, String name) {
        if (name.isEmpty() || name.equals(".") || name.equals("..") || name.indexOf('/') >= 0 || name.indexOf(0) >= 0) {
            throw ConcertinaException.invalid(field, name, "a name without separators");
        }
        return folder.resolve(name);
    }

    /** A relative path below a folder, however it is written. */
    static Path below(Path folder, String field, String relative) {
        Path resolved =
                folder.resolve(relative.indexOf(0) >= 0 ? "/" : relative).normalize();
        if (!resolved.startsWith(folder)) {
            throw ConcertinaException.invalid(field, relative, "a relative path that stays inside its folder");
        }
        return resolved;
    }

    Path folder() {
        return folder;
    }

    Path submittedCode() {
        return folder.resolve("_submitted_code");
    }

    /** What the trial left from which this one goes on; its name keeps it from being sent to the server again. */
    Path parentResult() {
        return parentResult(folder);
    }

    static Path parentResult(Path result) {
        return result.resolve(".parent");
    }

    /** Where the script runs: the folder that was submitted, or the one above it when there was none. */
    Path workingFolder(JobSpec spec) {
        if (!spec.modelDirectory().isEmpty()) {
            Path named = below(submittedCode(), "--model-dir", spec.modelDirectory());
            if (Files.isDirectory(named)) {
                return named;
            }
        }
        return submittedCode();
    }

    /** The script to run. Throws INVALID_ARGUMENT when it is not there. */
    Path script(JobSpec spec) {
        Path given = Path.of(spec.modelMain());
        if (given.isAbsolute()) {
            if (Files.isRegularFile(given)) {
                return given;
            }
        } else {
            for (Path base : new Path[] {workingFolder(spec), submittedCode()}) {
                Path file = below(base, "--model-main", spec.modelMain());
                if (Files.isRegularFile(file)) {
                    return file;
                }
            }
        }
        throw ConcertinaException.invalid(
                "--model-main", spec.modelMain(), "a file of the submitted code, or of the node");
    }

    /**
     * The server may have checkpoints that this node lacks: whichever worker is made ready next fetches them first, and all others wait
     * for that. To be called before the first of several workers that may start at once.
     */
    void missCheckpoints() {
        checkpointsMissing.set(true);
    }

    /**
     * Makes the folder ready for another worker. Waits for the server while that is away; returns at once when all is
     * there.
     *
     * @param fetched told of each checkpoint that came from the server
     */
    void prepare(JobSpec spec, boolean hasCode, Consumer<Path> fetched) throws IOException, InterruptedException {
        lock.lockInterruptibly();
        try {
            Files.createDirectories(folder.resolve("checkpoint"));
            Files.createDirectories(folder.resolve("log"));
            if (spec.framework() != Framework.TENSORFLOW) {
                Files.createDirectories(folder.resolve("model"));
            }
            if (!Files.isDirectory(submittedCode(), LinkOption.NOFOLLOW_LINKS)) {
                JobSpec.Trial trial = spec.trial();
                if (hasCode && trial != null && trial.code() != null) {
                    shared.copy(trial.code(), submittedCode(), target -> patiently(() -> fetchCode(target)));
                } else if (hasCode) {
                    patiently(() -> fetchCode(submittedCode()));
                } else {
                    Files.createDirectories(submittedCode());
                }
            }
            if (spec.trial() != null) {
                configure(
                        workingFolder(spec).resolve("config.json"), spec.trial().configuration());
            }
            if (spec.trial() != null && spec.trial().parent() != null && !Files.isDirectory(parentResult())) {
                JobId parent = spec.trial().parent();
                patiently(() -> fetchResults(parent));
            }
            if (checkpointsMissing.get()) {
                patiently(() -> fetchCheckpoints(fetched));
                checkpointsMissing.set(false);
            }
        } finally {
            lock.unlock();
        }
    }

    /** Lays a trial's values where its script looks for them, over whatever the upload had there. */
    private static void configure(Path file, String text) throws IOException {
        if (Files.isRegularFile(file, LinkOption.NOFOLLOW_LINKS)
                && Files.readString(file).equals(text)) {
            return;
        }
        Path whole = file.resolveSibling("." + file.getFileName() + ".new");
        Files.writeString(whole, text);
        Files.move(whole, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    }

    private interface Fetch {
        void run() throws IOException, InterruptedException;
    }

    private void patiently(Fetch fetch) throws IOException, InterruptedException {
        Duration pause = Duration.ofMillis(100);
        while (true) {
            try {
                fetch.run();
                return;
            } catch (IOException e) {
                if (forgotten.get()) {
                    throw e;
                }
                log.warn("job {}: {}; tried again", job, e.toString());
                Thread.sleep(pause);
                pause = pause.multipliedBy(2).compareTo(LONGEST_PAUSE) > 0 ? LONGEST_PAUSE : pause.multipliedBy(2);
            }
        }
    }

    private void fetchCode(Path target) throws IOException, InterruptedException {
        Optional<ServerLink.Download> code = server.code(job, folder);
        if (code.isEmpty()) {
            throw new ConcertinaException(ErrorCode.NOT_FOUND, "the server does not have the code of job " + job);
        }
        try {
            CodeArchive.unpack(code.get().file(), code.get().name(), target, ArchiveLimits.DEFAULT);
        } finally {
            Files.deleteIfExists(code.get().file());
        }
    }

    /** Results appear whole or not at all; those of a job that was deleted meanwhile are none. */
    private void fetchResults(JobId parent) throws IOException, InterruptedException {
        Path whole = folder.resolve(".parent.new");
        delete(whole);
        Files.createDirectories(whole);
        List<String> paths;
        try {
            paths = server.results(parent);
        } catch (ConcertinaException e) {
            if (e.code() != ErrorCode.NOT_FOUND) {
                throw e;
            }
            log.warn("job {}: the results of job {}, from which it should go on, are gone", job, parent);
            paths = List.of();
        }
        for (String path : paths) {
            Path target = below(whole, "path", path);
            Path file = server.file(parent, path, folder);
            Files.createDirectories(parent(target));
            Files.move(file, target, StandardCopyOption.ATOMIC_MOVE);
        }
        Files.move(whole, parentResult(), StandardCopyOption.ATOMIC_MOVE);
    }

    private void fetchCheckpoints(Consumer<Path> fetched) throws IOException, InterruptedException {
        Path checkpoints = folder.resolve("checkpoint");
        for (String path : server.checkpoints(job)) {
            Path target = below(folder, "path", path);
            if (!target.startsWith(checkpoints) || Files.exists(target, LinkOption.NOFOLLOW_LINKS)) {
                continue;
            }
            try {
                Path file = server.file(job, path, folder);
                Files.createDirectories(parent(target));
                Files.move(file, target, StandardCopyOption.ATOMIC_MOVE);
                fetched.accept(target);
            } catch (ConcertinaException e) {
                // A newer checkpoint has taken its place meanwhile.
                log.info("job {}: checkpoint {} is gone", job, path);
            }
        }
    }

    private static Path parent(Path file) {
        Path parent = file.getParent();
        return parent == null ? file : parent;
    }

    /** Ends waiting for the server. */
    void forget() {
        forgotten.set(true);
    }

    /** Removes a folder and everything in it; links are removed, not followed. No effect when there is none. */
    static void delete(Path folder) throws IOException {
        if (!Files.exists(folder, LinkOption.NOFOLLOW_LINKS)) {
            return;
        }
        if (Files.isDirectory(folder, LinkOption.NOFOLLOW_LINKS)) {
            try (Stream<Path> entries = Files.list(folder)) {
                for (Path entry : (Iterable<Path>) entries::iterator) {
                    delete(entry);
                }
            }
        }
        Files.deleteIfExists(folder);
    }
}
