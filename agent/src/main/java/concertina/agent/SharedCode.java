package concertina.agent;

import concertina.model.JobId;
import java.io.IOException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.locks.ReentrantLock;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Code that many jobs have in common, as trials of a search do: fetched and unpacked once on this node, then copied for each job, since a
 * script may write beside its files. The last few are kept. Thread-safe; a job that waits for the first unpacking can be interrupted.
 */
final class SharedCode {
    private static final Logger log = LoggerFactory.getLogger(SharedCode.class);
    private static final int KEPT = 4;

    /** Fetches the code and unpacks it into a folder that does not exist yet. */
    interface Source {
        void unpackInto(Path folder) throws IOException, InterruptedException;
    }

    private static final class Entry {
        private final Path folder;
        private final ReentrantLock unpacking = new ReentrantLock();

        /** Guarded by unpacking. */
        private boolean ready;

        /** Guarded by the object that holds the entry. */
        private int users;

        Entry(Path folder) {
            this.folder = folder;
        }
    }

    private final Path folder;

    /** Guarded by this object; the least recently used first. */
    private final Map<JobId, Entry> entries = new LinkedHashMap<>(16, 0.75f, true);

    /** @param folder belongs to this object alone; what an earlier life of the agent left there is removed */
    SharedCode(Path folder) throws IOException {
        this.folder = folder;
        JobFolder.delete(folder);
    }

    /** Lays a copy of the code down in a folder that does not exist yet; it appears whole or not at all. */
    void copy(JobId code, Path target, Source source) throws IOException, InterruptedException {
        Entry entry = take(code);
        try {
            entry.unpacking.lockInterruptibly();
            try {
                if (!entry.ready) {
                    Files.createDirectories(folder);
                    source.unpackInto(entry.folder);
                    entry.ready = true;
                }
            } finally {
                entry.unpacking.unlock();
            }
            Path whole = target.resolveSibling("." + target.getFileName() + ".new");
            JobFolder.delete(whole);
            copyTree(entry.folder, whole);
            Files.move(whole, target, StandardCopyOption.ATOMIC_MOVE);
        } finally {
            release(entry);
        }
    }

    private synchronized Entry take(JobId code) {
        Entry entry = entries.computeIfAbsent(code, id -> new Entry(JobFolder.inside(folder, "code", id.value())));
        entry.users++;
        return entry;
    }

    private synchronized void release(Entry released) {
        released.users--;
        for (Map.Entry<JobId, Entry> each : List.copyOf(entries.entrySet())) {
            if (entries.size() <= KEPT) {
                return;
            }
            if (each.getValue().users == 0) {
                entries.remove(each.getKey());
                try {
                    JobFolder.delete(each.getValue().folder);
                } catch (IOException e) {
                    log.warn("shared code {} could not be removed: {}", each.getKey(), e.toString());
                }
            }
        }
    }

    private static void copyTree(Path from, Path to) throws IOException {
        Files.walkFileTree(from, new SimpleFileVisitor<>() {
            @Override
            public FileVisitResult preVisitDirectory(Path path, BasicFileAttributes attributes) throws IOException {
                Files.createDirectory(to.resolve(from.relativize(path)));
                return FileVisitResult.CONTINUE;
            }

            @Override
            public FileVisitResult visitFile(Path path, BasicFileAttributes attributes) throws IOException {
                Files.copy(
                        path,
                        to.resolve(from.relativize(path)),
                        StandardCopyOption.COPY_ATTRIBUTES,
                        LinkOption.NOFOLLOW_LINKS);
                return FileVisitResult.CONTINUE;
            }
        });
    }
}
