package concertina.store;

import concertina.identity.RevokedTokens;
import concertina.identity.UserStore;
import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import concertina.train.Journal;
import concertina.trials.SearchJournal;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Set;
import java.util.concurrent.locks.ReentrantLock;
import org.flywaydb.core.Flyway;
import org.flywaydb.core.api.MigrationInfo;
import org.flywaydb.core.api.output.MigrateErrorResult;
import org.flywaydb.core.api.output.MigrateResult;
import org.jdbi.v3.core.Handle;
import org.jdbi.v3.core.Jdbi;
import org.jdbi.v3.core.JdbiException;
import org.sqlite.SQLiteConfig;
import org.sqlite.SQLiteDataSource;
import org.sqlite.SQLiteErrorCode;
import org.sqlite.SQLiteException;

/**
 * The server's database in one file of mode 600, held by one process at a time. A call that returned has reached the disk:
 * neither a killed process nor a power failure takes it back. One connection writes, one reads and never waits for it.
 * Thread-safe; failures come as INTERNAL with one line, or NO_SPACE.
 */
public final class SqliteDatabase implements AutoCloseable {
    private static final int BUSY_MILLIS = 10_000;
    private static final String MIGRATIONS = "concertina/store/sqlite";
    private static final Set<PosixFilePermission> OWNER_ONLY = PosixFilePermissions.fromString("rw-------");
    private static final FileAttribute<Set<PosixFilePermission>> PRIVATE =
            PosixFilePermissions.asFileAttribute(OWNER_ONLY);

    private final FileLock fileLock;
    private final Handle writer;
    private final Handle reader;

    /** Guards writer. */
    private final ReentrantLock writing = new ReentrantLock();

    /** Guards reader. */
    private final ReentrantLock reading = new ReentrantLock();

    private final Journal journal = new SqliteJournal(this);
    private final SearchJournal searchJournal = new SqliteSearchJournal(this);
    private final UserStore users = new SqliteUserStore(this);
    private final RevokedTokens revokedTokens = new SqliteRevokedTokens(this);

    private SqliteDatabase(FileLock fileLock, Handle writer, Handle reader) {
        this.fileLock = fileLock;
        this.writer = writer;
        this.reader = reader;
    }

    /**
     * Opens the database, creates it when missing and brings its schema up to date. Throws CONFLICT when another process
     * holds it, INTERNAL when it is damaged or of a newer version than this program knows.
     */
    public static SqliteDatabase open(Path file) {
        FileLock lock = lock(file);
        try {
            createPrivate(file);
            SQLiteDataSource source = source(file);
            checkWhole(file, source);
            migrate(file, source);
            Handle writer = Jdbi.open(source);
            try {
                return new SqliteDatabase(lock, writer, Jdbi.open(source));
            } catch (RuntimeException e) {
                writer.close();
                throw e;
            }
        } catch (ConcertinaException e) {
            release(lock);
            throw e;
        } catch (IOException | RuntimeException e) {
            release(lock);
            throw unusable(file, e);
        }
    }

    public Journal journal() {
        return journal;
    }

    public SearchJournal searchJournal() {
        return searchJournal;
    }

    public UserStore users() {
        return users;
    }

    public RevokedTokens revokedTokens() {
        return revokedTokens;
    }

    @Override
    public void close() {
        writing.lock();
        reading.lock();
        try {
            reader.close();
            writer.close();
        } finally {
            reading.unlock();
            writing.unlock();
            release(fileLock);
        }
    }

    /** Runs the work in one transaction; it is durable when this returns, or has had no effect when this throws. */
    <T> T write(Work<T> work) {
        writing.lock();
        try {
            return writer.inTransaction(work::with);
        } catch (JdbiException e) {
            throw failed(e);
        } finally {
            writing.unlock();
        }
    }

    <T> T read(Work<T> work) {
        reading.lock();
        try {
            return work.with(reader);
        } catch (JdbiException e) {
            throw failed(e);
        } finally {
            reading.unlock();
        }
    }

    interface Work<T> {
        T with(Handle handle);
    }

    private static SQLiteDataSource source(Path file) {
        SQLiteConfig config = new SQLiteConfig();
        config.setJournalMode(SQLiteConfig.JournalMode.WAL);
        config.setSynchronous(SQLiteConfig.SynchronousMode.FULL);
        config.setTransactionMode(SQLiteConfig.TransactionMode.IMMEDIATE);
        config.enforceForeignKeys(true);
        config.setBusyTimeout(BUSY_MILLIS);
        SQLiteDataSource source = new SQLiteDataSource(config);
        source.setUrl("jdbc:sqlite:" + file.toAbsolutePath());
        return source;
    }

    private static void checkWhole(Path file, SQLiteDataSource source) {
        try (Handle handle = Jdbi.open(source)) {
            String verdict = handle.createQuery("pragma quick_check(1)")
                    .mapTo(String.class)
                    .first();
            if (!verdict.equals("ok")) {
                throw new ConcertinaException(
                        ErrorCode.INTERNAL,
                        "database '" + file + "' is damaged: " + oneLine(verdict) + "; restore it from a backup");
            }
        }
    }

    private static void migrate(Path file, SQLiteDataSource source) {
        Flyway flyway = Flyway.configure(SqliteDatabase.class.getClassLoader())
                .dataSource(source)
                .locations("classpath:" + MIGRATIONS)
                .failOnMissingLocations(true)
                .table("schema_history")
                .load();
        for (MigrationInfo applied : flyway.info().applied()) {
            if (applied.getState().isApplied() && !applied.getState().isResolved()) {
                throw new ConcertinaException(
                        ErrorCode.INTERNAL,
                        "database '" + file + "' has schema version " + applied.getVersion()
                                + ", which this older program does not know; use the newer program");
            }
        }
        MigrateResult result = flyway.migrate();
        if (result instanceof MigrateErrorResult error) {
            throw new IllegalStateException(error.error.message());
        }
    }

    private static FileLock lock(Path file) {
        Path lockFile = file.resolveSibling(file.getFileName() + ".lock");
        try {
            Path folder = file.toAbsolutePath().getParent();
            if (folder != null) {
                Files.createDirectories(
                        folder, PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
            }
            FileChannel channel =
                    FileChannel.open(lockFile, Set.of(StandardOpenOption.CREATE, StandardOpenOption.WRITE), PRIVATE);
            try {
                FileLock lock = channel.tryLock();
                if (lock != null) {
                    return lock;
                }
            } catch (OverlappingFileLockException e) {
                // Held by this very process: the same answer as for another one.
            }
            channel.close();
        } catch (IOException e) {
            throw unusable(file, e);
        }
        throw new ConcertinaException(
                ErrorCode.CONFLICT, "database '" + file + "' is in use, accepted: one server for each data folder");
    }

    private static void release(FileLock lock) {
        try {
            lock.acquiredBy().close();
        } catch (IOException e) {
            throw new ConcertinaException(ErrorCode.INTERNAL, "the database's lock could not be released", e);
        }
    }

    private static void createPrivate(Path file) throws IOException {
        try {
            Files.createFile(file, PRIVATE);
        } catch (FileAlreadyExistsException e) {
            Files.setPosixFilePermissions(file, OWNER_ONLY);
        }
    }

    private static ConcertinaException unusable(Path file, Exception e) {
        return new ConcertinaException(ErrorCode.INTERNAL, "database '" + file + "' cannot be opened: " + reason(e), e);
    }

    private static ConcertinaException failed(JdbiException e) {
        for (Throwable cause = e; cause != null; cause = cause.getCause()) {
            if (cause instanceof SQLiteException inFile && inFile.getResultCode() == SQLiteErrorCode.SQLITE_FULL) {
                return new ConcertinaException(
                        ErrorCode.NO_SPACE, "the disk of the server's database is full; nothing was changed", e);
            }
        }
        return new ConcertinaException(ErrorCode.INTERNAL, "the database failed: " + reason(e), e);
    }

    /** The innermost cause says it without the statement, which might hold values. */
    private static String reason(Throwable e) {
        Throwable innermost = e;
        while (innermost.getCause() != null) {
            innermost = innermost.getCause();
        }
        return oneLine(String.valueOf(innermost.getMessage()));
    }

    private static String oneLine(String text) {
        return text.strip().replaceAll("\\s+", " ");
    }
}
