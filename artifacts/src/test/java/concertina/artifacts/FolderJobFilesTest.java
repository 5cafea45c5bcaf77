package concertina.artifacts;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import concertina.model.JobId;
import concertina.model.UserName;
import concertina.train.JobFiles;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Stream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipInputStream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class FolderJobFilesTest {
    private static final UserName ANNA = new UserName("anna");
    private static final JobId JOB = new JobId("concertina-7");

    @TempDir
    Path temporary;

    private Path results;
    private FolderJobFiles files;

    @BeforeEach
    void open() throws IOException {
        results = temporary.resolve("results");
        files = new FolderJobFiles(results, ArchiveLimits.DEFAULT);
    }

    @Test
    void codeIsUnpackedAndTheUploadKeptForAgents() throws IOException {
        byte[] archive = Archives.gzip(Archives.tar(Archives.file("digits/train.py", "print(1)")));

        JobFiles.StoredCode stored = files.storeCode(JOB, ANNA, "digits.modelDir.tar", upload(archive));

        assertThat(stored).isEqualTo(new JobFiles.StoredCode("digits", List.of("digits/train.py")));
        assertThat(files.folder(JOB, ANNA)).isEqualTo(results.toRealPath().resolve("anna/batchworkdir/concertina-7"));
        assertThat(files.folder(JOB, ANNA).resolve("_submitted_code/digits/train.py"))
                .hasContent("print(1)");
        JobFiles.Upload kept = files.code(JOB, ANNA).orElseThrow();
        assertThat(kept.fileName()).isEqualTo("digits.modelDir.tar");
        assertThat(kept.path()).hasBinaryContent(archive);
        assertThat(temporary.resolve("upload")).doesNotExist();
    }

    @Test
    void jobsMayShareOneUploadAndEachOutlivesTheOthers() throws IOException {
        byte[] archive = Archives.gzip(Archives.tar(Archives.file("digits/train.py", "print(1)")));
        JobId trial = new JobId("concertina-8");
        files.storeCode(JOB, ANNA, "digits.modelDir.tar", upload(archive));

        files.shareCode(JOB, trial, ANNA);
        files.shareCode(JOB, trial, ANNA);

        JobFiles.Upload shared = files.code(trial, ANNA).orElseThrow();
        assertThat(Files.isSameFile(
                        shared.path(), files.code(JOB, ANNA).orElseThrow().path()))
                .isTrue();
        files.delete(JOB, ANNA);
        assertThat(files.code(trial, ANNA).orElseThrow().path()).hasBinaryContent(archive);
        assertThatExceptionOfType(ConcertinaException.class)
                .isThrownBy(() -> files.shareCode(JOB, new JobId("concertina-9"), ANNA))
                .satisfies(refused -> assertThat(refused.code()).isEqualTo(ErrorCode.NOT_FOUND));
    }

    @Test
    void aSingleFileKeepsItsNameForAgentsToo() throws IOException {
        String name = "é".repeat(90) + " (1).py";

        JobFiles.StoredCode stored = files.storeCode(JOB, ANNA, name, upload("x = 1".getBytes(UTF_8)));

        assertThat(stored).isEqualTo(new JobFiles.StoredCode("", List.of(name)));
        assertThat(files.code(JOB, ANNA).orElseThrow().fileName()).isEqualTo(name);
    }

    @Test
    void anOddArchiveNameIsKeptInASafeForm() throws IOException {
        byte[] archive = Archives.tar(Archives.file("a.py", ""));

        files.storeCode(JOB, ANNA, "../../x\n" + "😀".repeat(200) + ".tar", upload(archive));

        JobFiles.Upload kept = files.code(JOB, ANNA).orElseThrow();
        assertThat(kept.fileName()).endsWith(".tar").doesNotContain("/", "\n");
        assertThat(kept.path()).hasBinaryContent(archive);
    }

    @Test
    void nothingIsLeftOfARefusedUpload() throws IOException {
        byte[] archive = Archives.tar(Archives.file("good.py", "1"), Archives.file("../bad.py", "2"));
        Path upload = upload(archive);

        refused(ErrorCode.INVALID_ARGUMENT, () -> files.storeCode(JOB, ANNA, "x.tar", upload));

        assertThat(upload).doesNotExist();
        assertThat(files.folder(JOB, ANNA)).doesNotExist();
        assertThat(files.code(JOB, ANNA)).isEmpty();
        assertThat(regularFiles(temporary)).isEmpty();
    }

    @Test
    void codeIsStoredOnceOnly() throws IOException {
        files.storeCode(JOB, ANNA, "a.py", upload("first".getBytes(UTF_8)));

        refused(ErrorCode.CONFLICT, () -> files.storeCode(JOB, ANNA, "a.py", upload("second".getBytes(UTF_8))));

        assertThat(files.folder(JOB, ANNA).resolve("_submitted_code/a.py")).hasContent("first");
        assertThat(files.code(JOB, ANNA).orElseThrow().path()).hasContent("first");
    }

    @Test
    void whatAKilledServerLeftHalfDoneIsGoneAfterTheNextStart() throws IOException {
        Files.createDirectories(results.resolve(".incoming/abc/def"));
        Files.writeString(results.resolve(".incoming/abc/def/part"), "x");

        new FolderJobFiles(results, ArchiveLimits.DEFAULT);

        assertThat(results.resolve(".incoming")).isEmptyDirectory();
    }

    @Test
    void aGrowingFileTakesBytesAtItsEndAndAgainBeforeIt() throws IOException {
        assertThat(write("log/task1.node1/stdout", 0, "hello ")).isEqualTo(6);
        assertThat(write("log/task1.node1/stdout", 6, "world")).isEqualTo(11);
        assertThat(write("log/task1.node1/stdout", 6, "wor")).isEqualTo(11);
        assertThat(files.folder(JOB, ANNA).resolve("log/task1.node1/stdout")).hasContent("hello world");
    }

    @Test
    void bytesBeyondTheEndAreNotWritten() throws IOException {
        assertThat(write("log/a", 1, "x")).isZero();
        assertThat(files.folder(JOB, ANNA).resolve("log/a")).doesNotExist();
        write("log/a", 0, "abc");
        assertThat(write("log/a", 4, "x")).isEqualTo(3);
        assertThat(files.folder(JOB, ANNA).resolve("log/a")).hasContent("abc");
    }

    @Test
    void anyOrderOfRepeatedWritesEndsInTheSameFileAsAModel() throws IOException {
        for (long seed = 0; seed < 30; seed++) {
            Random random = new Random(seed);
            Map<String, byte[]> model = new HashMap<>();
            for (int i = 0; i < 60; i++) {
                String path = "log/s" + seed + "/f" + random.nextInt(3);
                byte[] before = model.getOrDefault(path, new byte[0]);
                byte[] bytes = new byte[random.nextInt(100)];
                random.nextBytes(bytes);
                int offset = random.nextInt(before.length + 20);
                long size = files.write(JOB, ANNA, path, offset, new ByteArrayInputStream(bytes));
                if (offset <= before.length) {
                    byte[] after = Arrays.copyOf(before, Math.max(before.length, offset + bytes.length));
                    System.arraycopy(bytes, 0, after, offset, bytes.length);
                    model.put(path, after);
                }
                assertThat(size).as("seed %d", seed).isEqualTo(model.getOrDefault(path, before).length);
            }
            for (Map.Entry<String, byte[]> each : model.entrySet()) {
                assertThat(files.folder(JOB, ANNA).resolve(each.getKey()))
                        .as("seed %d", seed)
                        .hasBinaryContent(each.getValue());
            }
        }
    }

    @Test
    void twoWritersOfOneFileTakeTurns() throws Exception {
        byte[] bytes = new byte[200_000];
        new Random(1).nextBytes(bytes);
        try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            List<Future<?>> writers = new ArrayList<>();
            for (int writer = 0; writer < 4; writer++) {
                writers.add(threads.submit(() -> {
                    long offset = 0;
                    while (offset < bytes.length) {
                        int length = (int) Math.min(5000, bytes.length - offset);
                        long size = files.write(
                                JOB, ANNA, "log/shared", offset, new ByteArrayInputStream(bytes, (int) offset, length));
                        assertThat(size).isGreaterThanOrEqualTo(offset + length);
                        offset += length;
                    }
                    return null;
                }));
            }
            for (Future<?> writer : writers) {
                writer.get();
            }
        }
        assertThat(files.folder(JOB, ANNA).resolve("log/shared")).hasBinaryContent(bytes);
    }

    @Test
    void aReaderNeverSeesAMixtureOfTwoReplacements() throws Exception {
        byte[] ones = new byte[300_000];
        Arrays.fill(ones, (byte) 1);
        byte[] twos = new byte[200_000];
        Arrays.fill(twos, (byte) 2);
        files.replace(JOB, ANNA, "model/weights", new ByteArrayInputStream(ones));
        Path file = files.folder(JOB, ANNA).resolve("model/weights");
        try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            List<Future<?>> writers = new ArrayList<>();
            for (byte[] content : List.of(ones, twos)) {
                writers.add(threads.submit(() -> {
                    for (int i = 0; i < 15; i++) {
                        files.replace(JOB, ANNA, "model/weights", new ByteArrayInputStream(content));
                    }
                    return null;
                }));
            }
            while (!writers.stream().allMatch(Future::isDone)) {
                byte[] seen = Files.readAllBytes(file);
                assertThat(Arrays.equals(seen, ones) || Arrays.equals(seen, twos))
                        .isTrue();
            }
            for (Future<?> writer : writers) {
                writer.get();
            }
        }
    }

    @Test
    void aFileIsRemovedOnceAndOnlyInsideTheJobsFolder() throws IOException {
        files.replace(JOB, ANNA, "checkpoint/old", new ByteArrayInputStream("old".getBytes(UTF_8)));
        files.remove(JOB, ANNA, "checkpoint/old");
        files.remove(JOB, ANNA, "checkpoint/old");
        assertThat(files.find(JOB, ANNA, "checkpoint/*")).isEmpty();
        refused(ErrorCode.INVALID_ARGUMENT, () -> files.remove(JOB, ANNA, "checkpoint/../../other"));
    }

    @Test
    void aReplacementThatBreaksOffLeavesTheOldFile() throws IOException {
        files.replace(JOB, ANNA, "model/w", new ByteArrayInputStream("old".getBytes(UTF_8)));
        InputStream broken = new InputStream() {
            private int left = 1000;

            @Override
            public int read() throws IOException {
                if (left-- <= 0) {
                    throw new IOException("connection lost");
                }
                return 'n';
            }
        };

        assertThatExceptionOfType(IOException.class).isThrownBy(() -> files.replace(JOB, ANNA, "model/w", broken));

        assertThat(files.folder(JOB, ANNA).resolve("model/w")).hasContent("old");
        assertThat(results.resolve(".incoming")).isEmptyDirectory();
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "/etc/passwd",
                "..",
                "../x",
                "log/../../x",
                "log//x",
                "log/",
                "./x",
                "log/./x",
                "a\0b",
                "a\nb",
                "_submitted_code/x.py",
                "_submitted_code"
            })
    void aPathThatLeavesTheFolderIsRefused(String path) throws IOException {
        refused(ErrorCode.INVALID_ARGUMENT, () -> write(path, 0, "x"));
        refused(
                ErrorCode.INVALID_ARGUMENT,
                () -> files.replace(JOB, ANNA, path, new ByteArrayInputStream(new byte[1])));
        assertThat(regularFiles(temporary)).isEmpty();
    }

    @Test
    void namesThatAreTooLongAreRefused() {
        refused(ErrorCode.INVALID_ARGUMENT, () -> write("log/" + "é".repeat(128), 0, "x"));
        refused(ErrorCode.INVALID_ARGUMENT, () -> write("log/" + "a/".repeat(1100) + "b", 0, "x"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"..", ".", "a/b", "", " ", ".incoming", "ä", "a\\b"})
    void userAndJobNamesCannotLeaveTheResults(String name) {
        UserName user = name.isBlank() ? new UserName("\t/") : new UserName(name);
        JobId job = name.isBlank() ? new JobId("\t/") : new JobId(name);
        refused(ErrorCode.INVALID_ARGUMENT, () -> files.folder(JOB, user));
        refused(ErrorCode.INVALID_ARGUMENT, () -> files.folder(job, ANNA));
        refused(ErrorCode.INVALID_ARGUMENT, () -> files.delete(job, ANNA));
        refused(ErrorCode.INVALID_ARGUMENT, () -> files.code(JOB, user));
    }

    @Test
    void linksAreNeitherFollowedNorReported() throws IOException {
        Path outside = Files.createDirectories(temporary.resolve("outside"));
        Files.writeString(outside.resolve("secret"), "secret");
        Path folder = Files.createDirectories(files.folder(JOB, ANNA));
        Files.createSymbolicLink(folder.resolve("log"), outside);
        Files.createDirectories(folder.resolve("model"));
        Files.createSymbolicLink(folder.resolve("model/secret"), outside.resolve("secret"));
        Files.createSymbolicLink(folder.resolve("model/folder"), outside);

        refused(ErrorCode.INVALID_ARGUMENT, () -> write("log/x", 0, "x"));
        refused(ErrorCode.INVALID_ARGUMENT, () -> write("model/secret", 0, "x"));
        refused(
                ErrorCode.INVALID_ARGUMENT,
                () -> files.replace(JOB, ANNA, "log/secret", new ByteArrayInputStream(new byte[0])));
        assertThat(files.find(JOB, ANNA, "**")).isEmpty();
        assertThat(files.find(JOB, ANNA, "log/*")).isEmpty();
        assertThat(files.find(JOB, ANNA, "log/secret")).isEmpty();
        assertThat(entries(files.zipResult(JOB, ANNA))).isEmpty();
        files.delete(JOB, ANNA);

        assertThat(outside.resolve("secret")).hasContent("secret");
        assertThat(folder).doesNotExist();
    }

    @Test
    void aFileInTheWayOfAFolderIsAConflict() throws IOException {
        write("log/a", 0, "x");

        refused(ErrorCode.CONFLICT, () -> write("log/a/b", 0, "x"));
        refused(ErrorCode.CONFLICT, () -> write("log", 0, "x"));
        refused(ErrorCode.CONFLICT, () -> files.replace(JOB, ANNA, "log", new ByteArrayInputStream(new byte[1])));
    }

    @Test
    void filesAreFoundInNaturalOrder() throws IOException {
        for (String name : List.of("task10.node1", "task2.node1", "task1.node10", "task1.node9")) {
            write("log/" + name + "/stdout", 0, "x");
        }
        write("log/app.log", 0, "x");

        Path folder = files.folder(JOB, ANNA);
        assertThat(files.find(JOB, ANNA, "log/*/stdout"))
                .extracting(path -> folder.relativize(path).toString())
                .containsExactly(
                        "log/task1.node9/stdout",
                        "log/task1.node10/stdout",
                        "log/task2.node1/stdout",
                        "log/task10.node1/stdout");
        assertThat(files.find(JOB, ANNA, "log/app.log")).hasSize(1);
        assertThat(files.find(JOB, ANNA, "checkpoint/*")).isEmpty();
        assertThat(files.find(new JobId("none-1"), ANNA, "**")).isEmpty();
        refused(ErrorCode.INVALID_ARGUMENT, () -> files.find(JOB, ANNA, "log/[x"));
        refused(ErrorCode.INVALID_ARGUMENT, () -> files.find(JOB, ANNA, "../**"));
        refused(ErrorCode.INVALID_ARGUMENT, () -> files.find(JOB, ANNA, "/etc/*"));
    }

    @Test
    void theResultHoldsTheTreeBelowModel() throws IOException {
        files.replace(JOB, ANNA, "model/weights.pth", new ByteArrayInputStream("w".getBytes(UTF_8)));
        files.replace(JOB, ANNA, "model/onnx/größe.onnx", new ByteArrayInputStream("o".getBytes(UTF_8)));
        files.replace(JOB, ANNA, "other", new ByteArrayInputStream("n".getBytes(UTF_8)));

        Path zip = files.zipResult(JOB, ANNA);

        assertThat(entries(zip)).isEqualTo(Map.of("weights.pth", "w", "onnx/größe.onnx", "o"));
        Files.delete(zip);
    }

    @Test
    void aJobWithoutModelHasAnEmptyResult() throws IOException {
        Path zip = files.zipResult(JOB, ANNA);

        assertThat(entries(zip)).isEmpty();
        try (java.util.zip.ZipFile read = new java.util.zip.ZipFile(zip.toFile())) {
            assertThat(read.size()).isZero();
        }
    }

    @Test
    void deletingRemovesEverythingOfThatJobOnly() throws IOException {
        JobId other = new JobId("concertina-8");
        files.storeCode(JOB, ANNA, "a.py", upload("1".getBytes(UTF_8)));
        files.storeCode(other, ANNA, "b.py", upload("2".getBytes(UTF_8)));
        write("log/x", 0, "x");

        files.delete(JOB, ANNA);
        files.delete(JOB, ANNA);

        assertThat(files.code(JOB, ANNA)).isEmpty();
        assertThat(files.folder(JOB, ANNA)).doesNotExist();
        assertThat(files.code(other, ANNA)).isPresent();
        assertThat(regularFiles(results)).hasSize(2);
    }

    @Test
    void onlyTheOwnerMayReadTheFiles() throws IOException {
        write("log/x", 0, "x");
        files.storeCode(JOB, ANNA, "a.py", upload("1".getBytes(UTF_8)));

        for (Path file : regularFiles(results)) {
            if (!file.toString().contains("uploads")) {
                assertThat(Files.getPosixFilePermissions(file, LinkOption.NOFOLLOW_LINKS))
                        .as("%s", file)
                        .hasSize(2);
            }
            assertThat(Files.getPosixFilePermissions(file.getParent())).hasSize(3);
        }
    }

    private long write(String path, long offset, String text) throws IOException {
        return files.write(JOB, ANNA, path, offset, new ByteArrayInputStream(text.getBytes(UTF_8)));
    }

    private Path upload(byte[] bytes) throws IOException {
        return Files.write(temporary.resolve("upload"), bytes);
    }

    private static Map<String, String> entries(Path zip) throws IOException {
        Map<String, String> entries = new HashMap<>();
        try (ZipInputStream in = new ZipInputStream(Files.newInputStream(zip))) {
            for (ZipEntry entry = in.getNextEntry(); entry != null; entry = in.getNextEntry()) {
                entries.put(entry.getName(), new String(in.readAllBytes(), UTF_8));
            }
        }
        return entries;
    }

    private static List<Path> regularFiles(Path top) throws IOException {
        try (Stream<Path> paths = Files.walk(top)) {
            return paths.filter(Files::isRegularFile).toList();
        }
    }

    private static void refused(ErrorCode code, Action action) {
        assertThatExceptionOfType(ConcertinaException.class)
                .isThrownBy(action::run)
                .satisfies(e -> assertThat(e.code()).isEqualTo(code))
                .satisfies(e -> assertThat(e.getMessage()).doesNotContain("\n").contains("accepted"));
    }

    private interface Action {
        void run() throws IOException;
    }
}
