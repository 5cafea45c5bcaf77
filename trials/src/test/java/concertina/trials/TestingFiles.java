package concertina.trials;

import concertina.model.JobId;
import concertina.model.UserName;
import concertina.train.JobFiles;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;

/** Files that jobs left, in a folder of the test's. */
final class TestingFiles implements JobFiles {
    private final Path folder;
    final Map<JobId, JobId> shared = new ConcurrentHashMap<>();

    /** Whose files were removed. */
    final Set<JobId> deleted = ConcurrentHashMap.newKeySet();

    /** How often somebody looked for files of each job. */
    final Map<JobId, Integer> finds = new ConcurrentHashMap<>();

    /** What the next look for files throws. */
    volatile @Nullable Throwable nextFindFails;

    /** What laying down code throws. */
    volatile @Nullable IOException shareFails;

    /** Called before code is laid down, on the thread that wants it. */
    volatile Runnable beforeSharing = () -> {};

    TestingFiles(Path folder) {
        this.folder = folder;
    }

    void leave(JobId job, String path, String text) {
        try {
            Path file = folder.resolve(job.value()).resolve(path);
            Files.createDirectories(file.getParent());
            Files.writeString(file, text);
        } catch (IOException failed) {
            throw new UncheckedIOException(failed);
        }
    }

    @Override
    public List<Path> find(JobId job, UserName user, String glob) throws IOException {
        finds.merge(job, 1, Integer::sum);
        Throwable failure = nextFindFails;
        nextFindFails = null;
        SearchScene.raise(failure);
        Path jobFolder = folder.resolve(job.value());
        if (!Files.isDirectory(jobFolder)) {
            return List.of();
        }
        var matcher = jobFolder.getFileSystem().getPathMatcher("glob:" + glob);
        try (var files = Files.walk(jobFolder)) {
            return files.filter(file -> matcher.matches(jobFolder.relativize(file)))
                    .toList();
        }
    }

    @Override
    public void shareCode(JobId from, JobId to, UserName user) throws IOException {
        beforeSharing.run();
        IOException failure = shareFails;
        if (failure != null) {
            throw failure;
        }
        shared.put(to, from);
    }

    @Override
    public void delete(JobId job, UserName user) {
        deleted.add(job);
    }

    @Override
    public Path folder(JobId job, UserName user) {
        return folder.resolve(job.value());
    }

    @Override
    public StoredCode storeCode(JobId job, UserName user, String fileName, Path upload) {
        throw new UnsupportedOperationException();
    }

    @Override
    public Optional<Upload> code(JobId job, UserName user) {
        return Optional.empty();
    }

    @Override
    public long write(JobId job, UserName user, String path, long offset, InputStream bytes) {
        throw new UnsupportedOperationException();
    }

    @Override
    public void replace(JobId job, UserName user, String path, InputStream bytes) {
        throw new UnsupportedOperationException();
    }

    @Override
    public void remove(JobId job, UserName user, String path) {
        throw new UnsupportedOperationException();
    }

    @Override
    public Path zipResult(JobId job, UserName user) {
        throw new UnsupportedOperationException();
    }
}
