package concertina.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import concertina.identity.Role;
import concertina.identity.User;
import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import concertina.model.UserName;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.Statement;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SqliteDatabaseTest {
    @TempDir
    Path folder;

    private Path file;

    @BeforeEach
    void name() {
        file = folder.resolve("server/concertina.db");
    }

    @Test
    void itsFilesAreForTheOwnerOnly() throws IOException {
        try (SqliteDatabase database = SqliteDatabase.open(file)) {
            database.journal().append(List.of(JournalContract.entry("a-1", 1)));
            try (Stream<Path> files = Files.list(file.getParent())) {
                List<Path> all = files.toList();
                assertThat(all).hasSize(4);
                for (Path each : all) {
                    assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(each)))
                            .as("%s", each)
                            .isEqualTo("rw-------");
                }
            }
        }
        Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rw-r--r--"));
        SqliteDatabase.open(file).close();
        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(file)))
                .isEqualTo("rw-------");
    }

    @Test
    void everyCommitIsForcedToDiskAndReferencesAreChecked() {
        try (SqliteDatabase database = SqliteDatabase.open(file)) {
            assertThat(pragma(database, "journal_mode")).isEqualTo("wal");
            assertThat(pragma(database, "synchronous")).isEqualTo("2");
            assertThat(pragma(database, "foreign_keys")).isEqualTo("1");
            assertThat(pragma(database, "busy_timeout")).isEqualTo("10000");
        }
    }

    @Test
    void aTransactionThatFailsHasNoEffect() {
        try (SqliteDatabase database = SqliteDatabase.open(file)) {
            assertThatExceptionOfType(ConcertinaException.class)
                    .isThrownBy(() -> database.write(handle -> {
                        handle.execute("insert into counter (name, last) values ('job', 41)");
                        return handle.execute("insert into counter (name, last) values ('job', 42)");
                    }))
                    .satisfies(SqliteDatabaseTest::isInternalAndOneLine);
            assertThat(database.journal().nextNumber()).isEqualTo(1);
        }
    }

    @Test
    void aSecondServerIsTurnedAway() throws Exception {
        try (SqliteDatabase database = SqliteDatabase.open(file)) {
            assertThatExceptionOfType(ConcertinaException.class)
                    .isThrownBy(() -> SqliteDatabase.open(file))
                    .satisfies(e -> assertThat(e.code()).isEqualTo(ErrorCode.CONFLICT))
                    .withMessageContaining("in use");
            assertThat(database.users().list()).isEmpty();
        }
        SqliteDatabase.open(file).close();
    }

    @Test
    void anotherKindOfFileIsNamedInOneLine() throws IOException {
        Files.createDirectories(file.getParent());
        Files.writeString(file, "This is no database. ".repeat(500));

        refusesToOpen();
        assertThat(Files.readString(file)).startsWith("This is no database.");
    }

    @Test
    void aDamagedFileIsNamedInOneLine() throws IOException {
        try (SqliteDatabase database = SqliteDatabase.open(file)) {
            for (int i = 0; i < 200; i++) {
                database.journal().append(List.of(JournalContract.entry("a-" + i, i)));
            }
        }
        long seed = 5;
        try (RandomAccessFile damaged = new RandomAccessFile(file.toFile(), "rw")) {
            byte[] noise = new byte[(int) damaged.length() - 8192];
            new Random(seed).nextBytes(noise);
            damaged.seek(8192);
            damaged.write(noise);
        }

        refusesToOpen();
    }

    @Test
    void aNewerSchemaIsNamedInOneLine() throws Exception {
        SqliteDatabase.open(file).close();
        try (Connection connection = DriverManager.getConnection("jdbc:sqlite:" + file);
                Statement statement = connection.createStatement()) {
            statement.execute("""
                    insert into schema_history
                    select 99, '99', 'from the future', type, 'V99__from_the_future.sql', checksum,
                           installed_by, installed_on, execution_time, success
                    from schema_history where version = '1'""");
        }

        assertThatExceptionOfType(ConcertinaException.class)
                .isThrownBy(() -> SqliteDatabase.open(file))
                .satisfies(SqliteDatabaseTest::isInternalAndOneLine)
                .withMessageContaining("schema version 99");
    }

    @Test
    void aFolderThatCannotBeWrittenIsNamedInOneLine() throws IOException {
        Files.writeString(folder.resolve("server"), "a file in the way");

        refusesToOpen();
    }

    @Test
    void whatIsAcknowledgedSurvivesKillNine() throws Exception {
        for (int round = 0; round < 3; round++) {
            Process writer = new ProcessBuilder(
                            Path.of(System.getProperty("java.home"), "bin/java").toString(),
                            "-XX:+UseSerialGC",
                            "-XX:TieredStopAtLevel=1",
                            "--enable-native-access=ALL-UNNAMED",
                            "-cp",
                            System.getProperty("java.class.path"),
                            AcknowledgingWriter.class.getName(),
                            file.toString(),
                            Integer.toString(round))
                    .redirectError(ProcessBuilder.Redirect.INHERIT)
                    .start();
            List<String> acknowledged = new ArrayList<>();
            try (var lines = writer.inputReader()) {
                for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                    // The last line may be cut; only a whole one acknowledges.
                    if (line.endsWith(" .")) {
                        acknowledged.add(line);
                    }
                    if (acknowledged.size() == 40 + 37 * round) {
                        // Through the handle, which leaves what was already said readable.
                        writer.toHandle().destroyForcibly();
                    }
                }
            } finally {
                writer.destroyForcibly().waitFor();
            }
            assertThat(writer.exitValue()).isEqualTo(128 + 9);
            assertThat(acknowledged).hasSizeGreaterThanOrEqualTo(40);
            try (SqliteDatabase database = SqliteDatabase.open(file)) {
                List<String> stored = JournalContract.all(database.journal()).stream()
                        .map(entry -> entry.job().value())
                        .toList();
                long highest = 0;
                for (String line : acknowledged) {
                    String[] words = line.split(" ");
                    switch (words[0]) {
                        case "job" -> assertThat(stored).contains(words[1]);
                        case "user" ->
                            assertThat(database.users().find(new UserName(words[1])))
                                    .isPresent();
                        case "number" -> highest = Math.max(highest, Long.parseLong(words[1]));
                        default -> throw new AssertionError("unexpected line: " + line);
                    }
                }
                assertThat(database.journal().nextNumber()).isGreaterThan(highest);
            }
        }
    }

    /** Writes for ever and says so on its output after each call returned. */
    static final class AcknowledgingWriter {
        private AcknowledgingWriter() {}

        public static void main(String[] arguments) {
            SqliteDatabase database = SqliteDatabase.open(Path.of(arguments[0]));
            String prefix = "round" + arguments[1] + "-";
            for (int i = 0; ; i++) {
                database.journal()
                        .append(List.of(
                                JournalContract.entry(prefix + i + "a", i),
                                JournalContract.entry(prefix + i + "b", i)));
                System.out.println("job " + prefix + i + "a .\njob " + prefix + i + "b .");
                System.out.println("number " + database.journal().nextNumber() + " .");
                database.users().add(new User(new UserName(prefix + i), "hash", Role.USER, Instant.EPOCH));
                System.out.println("user " + prefix + i + " .");
                System.out.flush();
            }
        }
    }

    @Test
    void aFullDiskIsToldChangesNothingAndPasses() {
        try (SqliteDatabase database = SqliteDatabase.open(file)) {
            database.journal().append(List.of(JournalContract.entry("a-1", 1)));
            String pages = pragma(database, "page_count");
            pragma(database, "max_page_count = " + pages);

            assertThatExceptionOfType(ConcertinaException.class)
                    .isThrownBy(() -> {
                        for (int i = 0; i < 10_000; i++) {
                            database.journal()
                                    .append(List.of(
                                            JournalContract.entry("b-" + i, i), JournalContract.entry("c-" + i, i)));
                        }
                    })
                    .withMessage("the disk of the server's database is full; nothing was changed")
                    .satisfies(e -> assertThat(e.code()).isEqualTo(ErrorCode.NO_SPACE));

            List<String> jobs = new ArrayList<>();
            database.journal().replay(entry -> jobs.add(entry.job().value()));
            assertThat(jobs.stream().filter(job -> job.startsWith("b-")).count())
                    .isEqualTo(jobs.stream().filter(job -> job.startsWith("c-")).count());
            pragma(database, "max_page_count = 1000000");
            database.journal().append(List.of(JournalContract.entry("d-1", 1)));
        }
    }

    private void refusesToOpen() {
        assertThatExceptionOfType(ConcertinaException.class)
                .isThrownBy(() -> SqliteDatabase.open(file))
                .satisfies(SqliteDatabaseTest::isInternalAndOneLine)
                .withMessageContaining("concertina.db");
    }

    private static void isInternalAndOneLine(ConcertinaException e) {
        assertThat(e.code()).isEqualTo(ErrorCode.INTERNAL);
        assertThat(e.getMessage()).doesNotContain("\n").doesNotContain("\r").hasSizeLessThan(400);
    }

    private static String pragma(SqliteDatabase database, String name) {
        return database.write(handle ->
                handle.createQuery("pragma " + name).mapTo(String.class).one());
    }
}
