package concertina.server;

import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import org.jspecify.annotations.Nullable;

/**
 * Where everything that one installation keeps lies. Names paths, makes folders, writes small files atomically; secrets
 * are readable by their owner only. Immutable and thread-safe.
 */
public record DataFolder(Path root) {
    public DataFolder {
        root = root.toAbsolutePath().normalize();
    }

    public Path server() {
        return root.resolve("server");
    }

    public Path database() {
        return server().resolve("concertina.db");
    }

    public Path tls() {
        return server().resolve("tls");
    }

    public Path agentToken() {
        return server().resolve("agent-token");
    }

    /** The key that signs users' tokens. */
    public Path tokenKey() {
        return server().resolve("token-key.pem");
    }

    /** Where uploads lie while they are read. */
    public Path uploads() {
        return server().resolve("uploads");
    }

    public Path run() {
        return root.resolve("run");
    }

    /** Whether the first password was shown already. */
    boolean passwordShown() {
        return Files.exists(run().resolve("password-shown"));
    }

    void notePasswordShown() {
        try {
            Files.createFile(run().resolve("password-shown"));
        } catch (IOException failed) {
            throw new UncheckedIOException(failed);
        }
    }

    public Path clientFile() {
        return run().resolve("client.yaml");
    }

    public Path serverLog() {
        return run().resolve("server.log");
    }

    public Path agentLog(String agent) {
        return run().resolve("agent-" + agent + ".log");
    }

    public Path agent(String agent) {
        return root.resolve("agents").resolve(agent);
    }

    /** RESULT_DIR's parent on the server. */
    public Path results(Configuration configuration) {
        return chosen(configuration.resultsFolder(), "results");
    }

    /** DLI_DATA_FS. */
    public Path data(Configuration configuration) {
        return chosen(configuration.dataFolder(), "data");
    }

    /** DLI_SHARED_FS. */
    public Path shared(Configuration configuration) {
        return chosen(configuration.sharedFolder(), "shared");
    }

    private Path chosen(@Nullable Path given, String name) {
        return given == null ? root.resolve(name) : given;
    }

    /** Makes the folders; private to the owner as far as they hold secrets. */
    public void create(Configuration configuration) {
        try {
            for (Path folder : new Path[] {server(), uploads(), run()}) {
                Files.createDirectories(folder);
                Files.setPosixFilePermissions(folder, PosixFilePermissions.fromString("rwx------"));
            }
            for (Path folder : new Path[] {results(configuration), data(configuration), shared(configuration)}) {
                Files.createDirectories(folder);
            }
        } catch (IOException failed) {
            throw new ConcertinaException(
                    ErrorCode.INVALID_ARGUMENT, "data folder " + root + " cannot be used: " + reason(failed), failed);
        }
    }

    /**
     * Holds the folder for this process until it ends or the lock is closed. Throws CONFLICT when another server has
     * it.
     */
    public FileLock lock() {
        try {
            FileChannel channel =
                    FileChannel.open(server().resolve("lock"), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
            FileLock lock = tryLock(channel);
            if (lock == null) {
                channel.close();
                throw new ConcertinaException(
                        ErrorCode.CONFLICT, "another server already uses the data folder " + root);
            }
            return lock;
        } catch (IOException failed) {
            throw new UncheckedIOException(failed);
        }
    }

    private static @Nullable FileLock tryLock(FileChannel channel) throws IOException {
        try {
            return channel.tryLock();
        } catch (OverlappingFileLockException heldByThisProcess) {
            return null;
        }
    }

    /** Replaces a file that only its owner may read. */
    static void writeSecret(Path file, String text) throws IOException {
        writeSecret(file, text.getBytes(StandardCharsets.UTF_8));
    }

    /** As {@link #writeSecret(Path, String)}. */
    static void writeSecret(Path file, byte[] bytes) throws IOException {
        Path folder = file.toAbsolutePath().getParent();
        Path part = Files.createTempFile(
                folder,
                file.getFileName().toString(),
                ".part",
                PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")));
        try {
            Files.write(part, bytes);
            Files.move(part, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        } finally {
            Files.deleteIfExists(part);
        }
    }

    private static String reason(IOException failed) {
        String name = failed.getClass().getSimpleName().replace("Exception", "");
        return name + " " + failed.getMessage();
    }
}
