package concertina.artifacts;

import static concertina.artifacts.Archives.file;
import static concertina.artifacts.Archives.folder;
import static concertina.artifacts.Archives.gzip;
import static concertina.artifacts.Archives.program;
import static concertina.artifacts.Archives.special;
import static concertina.artifacts.Archives.tar;
import static concertina.artifacts.Archives.zip;
import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.TreeSet;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import java.util.zip.GZIPOutputStream;
import org.apache.commons.compress.archivers.tar.TarArchiveOutputStream;
import org.apache.commons.compress.archivers.tar.TarConstants;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class CodeArchiveTest {
    private static final ArchiveLimits SMALL = new ArchiveLimits(20, 4L << 20, 200, 1L << 20, 200, 8);

    @TempDir
    Path temporary;

    @ParameterizedTest
    @ValueSource(strings = {"x.modelDir.tar", "x.zip", "x.tar.gz", "code", "train.py"})
    void theContentDecidesWhateverTheNameSays(String name) throws IOException {
        for (UnaryOperator<byte[]> form : List.<UnaryOperator<byte[]>>of(UnaryOperator.identity(), Archives::gzip)) {
            assertThat(unpack(form.apply(tar(file("m/a.py", "1"))), name))
                    .isEqualTo(new CodeArchive.Unpacked("m", List.of("m/a.py")));
        }
        assertThat(unpack(zip(file("m/a.py", "1")), name)).isEqualTo(new CodeArchive.Unpacked("m", List.of("m/a.py")));
        assertThat(target().resolve("m/a.py")).hasContent("1");
    }

    @Test
    void theTopFolderIsNamedOnlyWhenItIsTheOnlyOne() throws IOException {
        assertThat(unpack(tar(folder("./"), folder("./m/"), file("./m/a", "")), "x.tar")
                        .topFolder())
                .isEqualTo("m");
        assertThat(unpack(tar(file("./m/a", ""), file("./b", "")), "x.tar").topFolder())
                .isEmpty();
        assertThat(unpack(tar(file("m/a", ""), file("n/a", "")), "x.tar").topFolder())
                .isEmpty();
        assertThat(unpack(tar(file("m/a", ""), folder("n")), "x.tar").topFolder())
                .isEmpty();
        assertThat(unpack(tar(file("a", "")), "x.tar").topFolder()).isEmpty();
        assertThat(unpack(zip(folder("m/"), file("m/n/a", "")), "x.zip").topFolder())
                .isEqualTo("m");
    }

    @Test
    void whatMacOsAndOldTarAddIsLeftOut() throws IOException {
        CodeArchive.Unpacked unpacked = unpack(
                tar(
                        file("._m", "x"),
                        file("m/._a.py", "x"),
                        file("PaxHeader/m", "x"),
                        file("m/.DS_Store", "x"),
                        file("m/a.py", "1")),
                "x.tar");

        assertThat(unpacked).isEqualTo(new CodeArchive.Unpacked("m", List.of("m/a.py")));
        assertThat(unpack(zip(file("__MACOSX/m/._a", "x"), file("m/a", "")), "x.zip"))
                .isEqualTo(new CodeArchive.Unpacked("m", List.of("m/a")));
    }

    @Test
    void onlyTheExecutableBitIsKept() throws IOException {
        for (byte[] archive : List.of(
                tar(program("m/run.sh", "#!"), file("m/a", "")), zip(program("m/run.sh", "#!"), file("m/a", "")))) {
            unpack(archive, "x");

            assertThat(permissions("m/run.sh")).isEqualTo("rwx------");
            assertThat(permissions("m/a")).isEqualTo("rw-------");
            assertThat(permissions("m")).isEqualTo("rwx------");
        }
    }

    @Test
    void longAndForeignNamesComeThroughInEveryForm() throws IOException {
        String name = "größe-数据-😀/" + "long".repeat(40) + "/" + "é".repeat(60) + " name.py";
        List<byte[]> archives = List.of(
                tar(TarArchiveOutputStream.LONGFILE_GNU, file(name, "1")),
                tar(TarArchiveOutputStream.LONGFILE_POSIX, file(name, "1")),
                gzip(tar(TarArchiveOutputStream.LONGFILE_GNU, file(name, "1"))),
                zip(file(name, "1")));
        for (byte[] archive : archives) {
            assertThat(unpack(archive, "x").files()).containsExactly(name);
            assertThat(target().resolve(name)).hasContent("1");
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"gnu", "oldgnu", "pax", "posix", "ustar", "v7"})
    void whatTheSystemsTarWritesComesThrough(String format) throws Exception {
        Path source = Files.createDirectories(temporary.resolve("source/m"));
        Files.writeString(source.resolve("a.py"), "print(1)");
        Files.write(source.resolve("big"), new byte[70_000]);
        Files.createDirectory(source.resolve("empty"));
        Process tar = new ProcessBuilder(
                        "tar",
                        "--format=" + format,
                        "-czf",
                        temporary.resolve("t").toString(),
                        "-C",
                        source.getParent().toString(),
                        ".")
                .inheritIO()
                .start();
        assertThat(tar.waitFor()).isZero();

        assertThat(CodeArchive.unpack(temporary.resolve("t"), "x.tar", fresh(), ArchiveLimits.DEFAULT))
                .isEqualTo(new CodeArchive.Unpacked("m", List.of("m/a.py", "m/big")));
        assertThat(target().resolve("m/big")).hasBinaryContent(new byte[70_000]);
        assertThat(target().resolve("m/empty")).isEmptyDirectory();
    }

    @ParameterizedTest
    @ValueSource(strings = {"--format=gnu", "--sparse-version=0.0", "--sparse-version=0.1", "--sparse-version=1.0"})
    void sparseMembersAreFilledUp(String form) throws Exception {
        Path source = Files.createDirectories(temporary.resolve("source"));
        byte[] content = new byte[3_000_000];
        try (var file = new java.io.RandomAccessFile(source.resolve("sparse").toFile(), "rw")) {
            file.setLength(content.length);
            for (int i = 0; i < 30; i++) {
                Arrays.fill(content, i * 98_304, i * 98_304 + 5000, (byte) (i + 1));
                file.seek(i * 98_304L);
                file.write(content, i * 98_304, 5000);
            }
        }
        Process tar = new ProcessBuilder(
                        "tar",
                        "--sparse",
                        "--hole-detection=raw",
                        form.startsWith("--sparse") ? "--format=pax" : form,
                        form,
                        "-cf",
                        temporary.resolve("t").toString(),
                        "-C",
                        source.toString(),
                        "sparse")
                .inheritIO()
                .start();
        assertThat(tar.waitFor()).isZero();
        assertThat(Files.size(temporary.resolve("t"))).isLessThan(1_000_000);

        CodeArchive.unpack(temporary.resolve("t"), "x.tar", fresh(), ArchiveLimits.DEFAULT);

        assertThat(target().resolve("sparse")).hasBinaryContent(content);
    }

    @Test
    void aSingleFileKeepsItsName() throws IOException {
        assertThat(unpack("print(1)".getBytes(UTF_8), "train.py"))
                .isEqualTo(new CodeArchive.Unpacked("", List.of("train.py")));
        assertThat(target().resolve("train.py")).hasContent("print(1)");
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "x.tar",
                "x.modelDir.tar",
                "X.ZIP",
                "x.tgz",
                "x.gz",
                "x.tar.bz2",
                "../x.py",
                "a/b.py",
                "a\\b.py",
                ".x",
                "",
                "..",
                "a\nb.py",
                "a\0.py",
                "-x",
                "x\u202e.py"
            })
    void aSingleFileOfAnotherNameIsRefused(String name) throws IOException {
        refused(ErrorCode.INVALID_ARGUMENT, "plain text".getBytes(UTF_8), name, "");
    }

    static Stream<String> badNames() {
        return Stream.of(
                "../x",
                "a/../../x",
                "a/../b",
                "..",
                "/etc/x",
                "//x",
                "C:/x",
                "c:x",
                "a\\b",
                "..\\x",
                "a\nb",
                "a\u0007b",
                "a\u007fb");
    }

    @ParameterizedTest
    @MethodSource("badNames")
    void aMemberThatCouldLeaveTheFolderIsRefused(String name) throws IOException {
        refused(ErrorCode.INVALID_ARGUMENT, tar(file("a", ""), file(name, "x")), "x.tar", "member");
        refused(ErrorCode.INVALID_ARGUMENT, gzip(tar(file("a", ""), file(name, "x"))), "x.tar", "member");
        refused(ErrorCode.INVALID_ARGUMENT, zip(file("a", ""), file(patched(name), "x")), "x.zip", "member", name);
        refused(ErrorCode.INVALID_ARGUMENT, tar(folder("b"), folder(name)), "x.tar", "member");
        // Clutter is not unpacked, but neither may its name lie.
        refused(ErrorCode.INVALID_ARGUMENT, tar(file("a", ""), file(name + "/._x", "")), "x.tar", "member");
    }

    /** commons-compress turns a backslash into a slash; such names are put in place afterwards. */
    private static String patched(String name) {
        return name.replace('\\', '@');
    }

    @Test
    void aNameWithNulIsNotCutShort() throws IOException {
        byte[] good = tar(TarArchiveOutputStream.LONGFILE_POSIX, file("a@b" + "c".repeat(100) + "é", "x"));
        refused(ErrorCode.INVALID_ARGUMENT, replaced(good, "a@b", "a\0b"), "x.tar", "");
        byte[] zip = zip(file("a@b", "x"));
        refused(ErrorCode.INVALID_ARGUMENT, replaced(zip, "a@b", "a\0b"), "x.zip", "control");
    }

    @Test
    void linksDevicesAndPipesAreRefused() throws IOException {
        for (byte type : new byte[] {
            TarConstants.LF_SYMLINK,
            TarConstants.LF_LINK,
            TarConstants.LF_CHR,
            TarConstants.LF_BLK,
            TarConstants.LF_FIFO,
            (byte) 'M',
            (byte) 'V'
        }) {
            refused(
                    ErrorCode.INVALID_ARGUMENT,
                    tar(file("a", ""), special("m/link", type, "/etc/passwd")),
                    "x.tar",
                    "'m/link'");
        }
        refused(
                ErrorCode.INVALID_ARGUMENT,
                zip(file("a", ""), special("m/link", TarConstants.LF_SYMLINK, "/etc/passwd")),
                "x.zip",
                "'m/link'");
        refused(
                ErrorCode.INVALID_ARGUMENT,
                zip(file("a", ""), special("pipe", TarConstants.LF_FIFO, "")),
                "x.zip",
                "'pipe'");
    }

    @Test
    void aFileCannotBeWrittenThroughALinkOfTheSameArchive() throws IOException {
        Path outside = Files.createDirectory(temporary.resolve("outside"));
        refused(
                ErrorCode.INVALID_ARGUMENT,
                tar(special("m", TarConstants.LF_SYMLINK, outside.toString()), file("m/x", "x")),
                "x.tar",
                "'m'");
        assertThat(outside).isEmptyDirectory();
    }

    @Test
    void everyMemberComesOnceAndNoneBelowAFile() throws IOException {
        for (Form form : Form.values()) {
            refused(ErrorCode.INVALID_ARGUMENT, form.of(file("a", "1"), file("a", "2")), "x", "'a'");
            refused(ErrorCode.INVALID_ARGUMENT, form.of(file("a", "1"), file("./a", "2")), "x", "'./a'");
            refused(ErrorCode.INVALID_ARGUMENT, form.of(file("a", "1"), file("a/b", "2")), "x", "'a/b'");
            refused(ErrorCode.INVALID_ARGUMENT, form.of(file("a/b", "1"), file("a", "2")), "x", "'a'");
            refused(ErrorCode.INVALID_ARGUMENT, form.of(file("a", "1"), folder("a/")), "x", "'a/'");
            assertThat(unpack(form.of(folder("a/"), folder("a/"), file("a/b", "")), "x")
                            .files())
                    .containsExactly("a/b");
        }
    }

    @Test
    void anArchiveWithoutAFileIsRefused() throws IOException {
        for (Form form : Form.values()) {
            refused(ErrorCode.INVALID_ARGUMENT, form.of(), "x.tar", "at least one file");
            refused(ErrorCode.INVALID_ARGUMENT, form.of(folder("a/")), "x.tar", "at least one file");
            refused(ErrorCode.INVALID_ARGUMENT, form.of(file("._a", "")), "x.tar", "at least one file");
        }
        refused(ErrorCode.INVALID_ARGUMENT, new byte[0], "x.py", "not empty");
        refused(ErrorCode.INVALID_ARGUMENT, gzip("text".getBytes(UTF_8)), "x.tar", "x.tar");
        refused(ErrorCode.INVALID_ARGUMENT, gzip(new byte[0]), "x.gz", "x.gz");
    }

    @Test
    void everyLimitIsNamed() throws IOException {
        Archives.Item[] many = new Archives.Item[21];
        for (int i = 0; i < many.length; i++) {
            many[i] = file("f" + i, "");
        }
        byte[] noise = new byte[3 << 20];
        new Random(1).nextBytes(noise);
        for (Form form : Form.values()) {
            refused(ErrorCode.TOO_LARGE, form.of(many), "x", "20 members");
            refused(ErrorCode.TOO_LARGE, form.of(file("a/b/c/d/e/f/g/h/i", "")), "x", "8 components");
            refused(ErrorCode.TOO_LARGE, form.of(file("a".repeat(100) + "/" + "b".repeat(100), "")), "x", "200 bytes");
            refused(
                    ErrorCode.TOO_LARGE,
                    form.of(file("1/2/3/4/5/6/7/a", ""), file("b/2/3/4/5/6/7/a", ""), file("c/2/3/4/5/6/7/a", "")),
                    "x",
                    "20 members");
            refused(ErrorCode.TOO_LARGE, form.of(file("noise", noise)), "x", "at most 1048576");
        }
        byte[] zeros = new byte[5 << 20];
        refused(ErrorCode.TOO_LARGE, zip(file("zeros", zeros)), "x", "4194304 bytes");
        refused(ErrorCode.TOO_LARGE, gzip(tar(file("zeros", zeros))), "x", "4194304 bytes");
        refused(
                ErrorCode.INVALID_ARGUMENT,
                tar(TarArchiveOutputStream.LONGFILE_GNU, file("x".repeat(150) + "é".repeat(60), "")),
                "x",
                ArchiveLimits.DEFAULT,
                "255 bytes");
    }

    @Test
    void aBombIsStoppedByItsRatioBeforeItFillsTheDisk() throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        byte[] head = Arrays.copyOf(tar(file("zeros", new byte[0])), 512);
        // A header that claims 3 GiB, checksum renewed.
        System.arraycopy("30000000000".getBytes(ISO_8859_1), 0, head, 124, 11);
        renewChecksum(head);
        try (OutputStream out = new GZIPOutputStream(bytes)) {
            out.write(head);
            byte[] zeros = new byte[1 << 20];
            for (int i = 0; i < 64; i++) {
                out.write(zeros);
            }
        }
        refused(ErrorCode.TOO_LARGE, bytes.toByteArray(), "x.tar", ArchiveLimits.DEFAULT, "200 times");
        refused(
                ErrorCode.TOO_LARGE,
                zip(file("zeros", new byte[32 << 20])),
                "x.zip",
                ArchiveLimits.DEFAULT,
                "200 times");
    }

    @Test
    void zerosAfterTheEndOfAnArchiveAreCountedToo() throws IOException {
        byte[] good = tar(file("a", "1"));
        refused(ErrorCode.TOO_LARGE, gzip(Arrays.copyOf(good, 5 << 20)), "x.tar", "4194304 bytes");
    }

    @Test
    void hugeHeadersDoNotFillTheMemory() throws IOException {
        byte[] longName = Arrays.copyOf(tar(file("a", new byte[0])), 512);
        for (char type : "LKxg".toCharArray()) {
            longName[156] = (byte) type;
            System.arraycopy("07777777777".getBytes(ISO_8859_1), 0, longName, 124, 11);
            renewChecksum(longName);
            refused(ErrorCode.INVALID_ARGUMENT, gzip(Arrays.copyOf(longName, 1 << 20)), "x.tar", "damaged");
        }
    }

    @Test
    void headersWithoutEndAreRefused() throws IOException {
        byte[] header = Arrays.copyOf(tar(file("a", new byte[0])), 512);
        header[156] = 'x';
        renewChecksum(header);
        byte[] many = new byte[512 * 40];
        for (int i = 0; i < 40; i++) {
            System.arraycopy(header, 0, many, 512 * i, 512);
        }
        refused(ErrorCode.INVALID_ARGUMENT, many, "x.tar", "headers");
        header[156] = 'g';
        renewChecksum(header);
        byte[] globals = new byte[512 * 40];
        for (int i = 0; i < 40; i++) {
            System.arraycopy(header, 0, globals, 512 * i, 512);
        }
        refused(ErrorCode.INVALID_ARGUMENT, globals, "x.tar", "headers");
    }

    @Test
    void anArchiveCutAnywhereIsRefused() throws IOException {
        byte[] noise = new byte[3000];
        new Random(2).nextBytes(noise);
        byte[] tar = Arrays.copyOf(tar(file("m/a", noise), file("m/b", "1")), 512 + 3072 + 512 + 512 + 1024);
        assertThat(unpack(tar, "x").files()).hasSize(2);
        byte[] zip = zip(file("m/a", noise), file("m/b", "1"));
        byte[] gzip = gzip(tar);
        for (byte[] whole : List.of(gzip, zip)) {
            for (int length = 1; length < whole.length; length += 7) {
                refused(ErrorCode.INVALID_ARGUMENT, Arrays.copyOf(whole, length), "x.tar", "");
            }
            refused(ErrorCode.INVALID_ARGUMENT, Arrays.copyOf(whole, whole.length - 1), "x.tar", "");
        }
        // Of a plain tar only the second block of its end mark may be missing.
        for (int length = 1; length < tar.length - 512; length += 13) {
            refused(ErrorCode.INVALID_ARGUMENT, Arrays.copyOf(tar, length), "x.tar", "");
        }
        refused(ErrorCode.INVALID_ARGUMENT, Arrays.copyOf(tar, tar.length - 1024), "x.tar", "ends too early");
    }

    @Test
    void aWrongChecksumIsNoticed() throws IOException {
        byte[] noise = new byte[3000];
        new Random(3).nextBytes(noise);
        byte[] gzip = gzip(tar(file("a", noise)));
        gzip[gzip.length - 6] ^= 1;
        refused(ErrorCode.INVALID_ARGUMENT, gzip, "x.tar", "damaged");
        byte[] zip = zip(file("a", noise));
        int data = 30 + 1 + 1500;
        zip[data] ^= 1;
        refused(ErrorCode.INVALID_ARGUMENT, zip, "x.zip", "'a'");
    }

    @Test
    void aZipThatTellsTwoStoriesIsRefused() throws IOException {
        byte[] zip = zip(file("good", "1"));
        byte[] first = replacedOnce(zip, "good", "evil");
        refused(ErrorCode.INVALID_ARGUMENT, first, "x.zip", "two names");
        ByteBuffer encrypted = ByteBuffer.wrap(zip.clone()).order(ByteOrder.LITTLE_ENDIAN);
        int central = new String(zip, ISO_8859_1).indexOf("PK\u0001\u0002");
        encrypted.putShort(central + 8, (short) (encrypted.getShort(central + 8) | 1));
        refused(ErrorCode.INVALID_ARGUMENT, encrypted.array(), "x.zip", "encryption");
        ByteBuffer method = ByteBuffer.wrap(zip.clone()).order(ByteOrder.LITTLE_ENDIAN);
        method.putShort(central + 10, (short) 12);
        refused(ErrorCode.INVALID_ARGUMENT, method.array(), "x.zip", "method 12");
    }

    @Test
    void whatPythonPacksComesThrough() throws Exception {
        Path script = Files.writeString(temporary.resolve("pack.py"), """
                import sys, tarfile, zipfile, io
                folder = sys.argv[1]
                with zipfile.ZipFile(folder + '/stored.zip', 'w') as z:
                    z.writestr('m/a.py', 'print(1)')
                    z.writestr('m/größe.txt', 'x' * 1000)
                with zipfile.ZipFile(folder + '/wide.zip', 'w', zipfile.ZIP_DEFLATED) as z:
                    with z.open('m/a.py', 'w', force_zip64=True) as f:
                        f.write(b'print(1)')
                    z.writestr('m/größe.txt', 'x' * 1000)
                for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
                    with tarfile.open(folder + '/%d.tar' % form, 'w:gz', format=form) as t:
                        for name, data in (('m/a.py', b'print(1)'), ('m/größe.txt', b'x' * 1000)):
                            info = tarfile.TarInfo(name)
                            info.size = len(data)
                            t.addfile(info, io.BytesIO(data))
                """);
        Process python = new ProcessBuilder("python3", script.toString(), temporary.toString())
                .inheritIO()
                .start();
        assertThat(python.waitFor()).isZero();
        for (String name : List.of("stored.zip", "wide.zip", "1.tar", "2.tar")) {
            assertThat(CodeArchive.unpack(temporary.resolve(name), name, fresh(), ArchiveLimits.DEFAULT))
                    .isEqualTo(new CodeArchive.Unpacked("m", List.of("m/a.py", "m/größe.txt")));
            assertThat(target().resolve("m/größe.txt")).hasContent("x".repeat(1000));
        }
    }

    @Test
    void anExistingTargetIsLeftAlone() throws IOException {
        Path upload = Files.write(temporary.resolve("upload"), tar(file("a", "new")));
        Path present = Files.createDirectories(temporary.resolve("present"));

        assertThatExceptionOfType(ConcertinaException.class)
                .isThrownBy(() -> CodeArchive.unpack(upload, "x.tar", present, ArchiveLimits.DEFAULT))
                .satisfies(e -> assertThat(e.code()).isEqualTo(ErrorCode.CONFLICT));
        assertThat(present).isEmptyDirectory();
    }

    @Test
    void aLargeUploadPassesThroughLittleMemory() throws IOException {
        Path upload = temporary.resolve("upload");
        byte[] header = Arrays.copyOf(tar(file("m/data", new byte[0])), 512);
        System.arraycopy(String.format("%011o", 200L << 20).getBytes(ISO_8859_1), 0, header, 124, 11);
        renewChecksum(header);
        byte[] noise = new byte[1 << 20];
        new Random(4).nextBytes(noise);
        try (OutputStream out = Files.newOutputStream(upload)) {
            out.write(header);
            for (int i = 0; i < 200; i++) {
                out.write(noise);
            }
            out.write(new byte[1024]);
        }
        var thread = (com.sun.management.ThreadMXBean) java.lang.management.ManagementFactory.getThreadMXBean();
        long before = thread.getCurrentThreadAllocatedBytes();

        CodeArchive.unpack(upload, "x.tar", fresh(), ArchiveLimits.DEFAULT);

        assertThat(thread.getCurrentThreadAllocatedBytes() - before).isLessThan(8L << 20);
        assertThat(Files.size(target().resolve("m/data"))).isEqualTo(200L << 20);
    }

    @Test
    void noMutatedArchiveEscapesOrBreaksAnything() throws IOException {
        byte[] noise = new byte[600];
        new Random(5).nextBytes(noise);
        Archives.Item[] items = {
            folder("m/"),
            file("m/a.py", "print(1)".repeat(30)),
            program("m/b/run.sh", "#!/bin/sh"),
            file("m/noise", noise),
            file("m/" + "long".repeat(30) + "/ü", "x")
        };
        List<byte[]> seeds = List.of(
                Arrays.copyOf(tar(TarArchiveOutputStream.LONGFILE_GNU, items), 6144),
                Arrays.copyOf(tar(TarArchiveOutputStream.LONGFILE_POSIX, items), 8192),
                gzip(tar(items)),
                zip(items));
        TreeSet<String> around = listing();
        around.add("upload");
        int accepted = 0;
        for (long seed = 0; seed < 4000; seed++) {
            Random random = new Random(seed);
            byte[] mutated = mutate(seeds.get(random.nextInt(seeds.size())), random);
            Path upload = Files.write(temporary.resolve("upload"), mutated);
            try {
                CodeArchive.Unpacked unpacked = CodeArchive.unpack(upload, "x.tar", target(), SMALL);
                accepted++;
                for (String file : unpacked.files()) {
                    assertThat(Files.isRegularFile(target().resolve(file), LinkOption.NOFOLLOW_LINKS))
                            .as("seed %d", seed)
                            .isTrue();
                }
                FolderTree.delete(target());
            } catch (ConcertinaException e) {
                assertThat(e.code()).as("seed %d", seed).isIn(ErrorCode.INVALID_ARGUMENT, ErrorCode.TOO_LARGE);
                assertThat(e.getMessage()).as("seed %d", seed).doesNotContain("\n");
            } catch (IOException | RuntimeException e) {
                throw new AssertionError("seed " + seed, e);
            }
            assertThat(listing()).as("seed %d", seed).isEqualTo(around);
        }
        assertThat(accepted).isBetween(1, 3999);
    }

    /** Flips, cuts and copies; for tar headers the checksum is mended so that the change is looked at. */
    private static byte[] mutate(byte[] good, Random random) {
        byte[] bytes = good.clone();
        int changes = 1 + random.nextInt(6);
        for (int i = 0; i < changes; i++) {
            int at = random.nextInt(bytes.length);
            switch (random.nextInt(6)) {
                case 0 -> bytes[at] ^= (byte) (1 << random.nextInt(8));
                case 1 -> bytes[at] = (byte) random.nextInt(256);
                case 2 -> bytes[at] = (byte) "../\\\0:7012345LKxgS\377".charAt(random.nextInt(19));
                case 3 -> {
                    int length = Math.min(random.nextInt(64), bytes.length - at);
                    System.arraycopy(bytes, random.nextInt(bytes.length - length + 1), bytes, at, length);
                }
                case 4 ->
                    Arrays.fill(bytes, at, Math.min(bytes.length, at + 1 + random.nextInt(12)), (byte)
                            (random.nextBoolean() ? 0 : 0xff));
                default -> {
                    if (random.nextInt(4) == 0) {
                        bytes = Arrays.copyOf(bytes, 1 + random.nextInt(bytes.length));
                    }
                }
            }
        }
        if (good.length % 512 == 0 && random.nextInt(4) != 0) {
            for (int block = 0; block + 512 <= bytes.length; block += 512) {
                if (bytes[block + 257] == 'u' || bytes[block + 258] == 's') {
                    byte[] header = Arrays.copyOfRange(bytes, block, block + 512);
                    renewChecksum(header);
                    System.arraycopy(header, 0, bytes, block, 512);
                }
            }
        }
        return bytes;
    }

    private static void renewChecksum(byte[] header) {
        Arrays.fill(header, 148, 156, (byte) ' ');
        int sum = 0;
        for (int i = 0; i < 512; i++) {
            sum += header[i] & 0xff;
        }
        System.arraycopy(String.format("%06o\0 ", sum).getBytes(ISO_8859_1), 0, header, 148, 8);
    }

    private enum Form {
        TAR {
            @Override
            byte[] of(Archives.Item... items) {
                return tar(items);
            }
        },
        GZIP {
            @Override
            byte[] of(Archives.Item... items) {
                return gzip(tar(items));
            }
        },
        ZIP {
            @Override
            byte[] of(Archives.Item... items) {
                return zip(items);
            }
        };

        abstract byte[] of(Archives.Item... items);
    }

    private CodeArchive.Unpacked unpack(byte[] bytes, String name) throws IOException {
        return CodeArchive.unpack(
                Files.write(temporary.resolve("upload"), bytes), name, fresh(), ArchiveLimits.DEFAULT);
    }

    private void refused(ErrorCode code, byte[] bytes, String name, String says) throws IOException {
        refused(code, bytes, name, SMALL, says);
    }

    /** The same for a zip whose member gets its real name only now. */
    private void refused(ErrorCode code, byte[] bytes, String name, String says, String realName) throws IOException {
        refused(code, replaced(bytes, patched(realName), realName), name, SMALL, says);
    }

    private void refused(ErrorCode code, byte[] bytes, String name, ArchiveLimits limits, String says)
            throws IOException {
        Path upload = Files.write(temporary.resolve("upload"), bytes);
        Path target = fresh();
        TreeSet<String> before = listing();
        assertThatExceptionOfType(ConcertinaException.class)
                .isThrownBy(() -> CodeArchive.unpack(upload, name, target, limits))
                .satisfies(e -> assertThat(e.code()).isEqualTo(code))
                .satisfies(e -> assertThat(e.getMessage()).doesNotContain("\n").contains("accepted"))
                .withMessageContaining(says);
        assertThat(listing()).isEqualTo(before);
    }

    private static byte[] replaced(byte[] bytes, String from, String to) {
        return new String(bytes, ISO_8859_1).replace(from, to).getBytes(ISO_8859_1);
    }

    private static byte[] replacedOnce(byte[] bytes, String from, String to) {
        return new String(bytes, ISO_8859_1).replaceFirst(from, to).getBytes(ISO_8859_1);
    }

    private Path target() {
        return temporary.resolve("target");
    }

    private Path fresh() throws IOException {
        FolderTree.delete(target());
        return target();
    }

    private String permissions(String path) throws IOException {
        return PosixFilePermissions.toString(Files.getPosixFilePermissions(target().resolve(path)));
    }

    private TreeSet<String> listing() throws IOException {
        try (Stream<Path> paths = Files.walk(temporary)) {
            TreeSet<String> all = new TreeSet<>();
            paths.filter(path -> !path.equals(temporary))
                    .forEach(path -> all.add(temporary.relativize(path).toString()));
            return all;
        }
    }
}
