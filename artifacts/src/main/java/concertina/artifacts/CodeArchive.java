package concertina.artifacts;

import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import java.io.BufferedInputStream;
import java.io.EOFException;
import java.io.FilterInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.LinkOption;
import java.nio.file.OpenOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.TreeSet;
import java.util.UUID;
import java.util.regex.Pattern;
import java.util.zip.GZIPInputStream;
import java.util.zip.ZipException;

/**
 * Unpacks what a user uploaded as code: gzip or plain tar, zip, told apart by content whatever the name says, or a single
 * file. The folder appears whole or not at all, holds only plain files and folders, and nothing is ever written outside of
 * it. Thread-safe; memory does not grow with the upload.
 */
public final class CodeArchive {
    private static final int BUFFER = 1 << 16;
    private static final Set<OpenOption> NEW_FILE =
            Set.of(StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE, LinkOption.NOFOLLOW_LINKS);
    private static final Pattern SINGLE_NAME = Pattern.compile("[\\p{L}\\p{N}_][\\p{L}\\p{M}\\p{N} ()_.,+=@~-]*");
    static final int MAX_SINGLE_NAME_BYTES = 200;
    private static final List<String> ARCHIVE_ENDINGS =
            List.of(".tar", ".zip", ".tgz", ".gz", ".bz2", ".xz", ".zst", ".7z", ".rar", ".tbz2", ".txz", ".z", ".whl");

    private CodeArchive() {}

    /**
     * What was unpacked.
     *
     * @param topFolder name of the single top folder, empty when members lie at the top or a single file came
     * @param files relative paths, sorted
     */
    public record Unpacked(String topFolder, List<String> files) {
        public Unpacked {
            files = List.copyOf(files);
        }
    }

    /**
     * Unpacks into a folder that does not exist yet; its parent does. Throws INVALID_ARGUMENT or TOO_LARGE naming the member
     * and the limit, CONFLICT when the target exists.
     *
     * @param file the upload, left as it is
     * @param fileName the name the client gave it; a single file keeps it
     */
    public static Unpacked unpack(Path file, String fileName, Path target, ArchiveLimits limits) throws IOException {
        Path absolute = target.toAbsolutePath();
        Path incoming = absolute.resolveSibling("." + absolute.getFileName() + "." + UUID.randomUUID() + ".incoming");
        try {
            Unpacked unpacked = unpackInto(file, fileName, incoming, limits);
            if (Files.exists(absolute, LinkOption.NOFOLLOW_LINKS)) {
                throw new ConcertinaException(ErrorCode.CONFLICT, "file: code was stored before, accepted: one upload");
            }
            Files.move(incoming, absolute, StandardCopyOption.ATOMIC_MOVE);
            return unpacked;
        } finally {
            FolderTree.delete(incoming);
        }
    }

    /** Unpacks into a new folder of that path; on failure it may be left half filled for the caller to remove. */
    static Unpacked unpackInto(Path file, String fileName, Path folder, ArchiveLimits limits) throws IOException {
        long uploadBytes = Files.size(file);
        if (uploadBytes > limits.maxUploadBytes()) {
            throw new ConcertinaException(
                    ErrorCode.TOO_LARGE,
                    "file: the upload has " + uploadBytes + " bytes, accepted: at most " + limits.maxUploadBytes());
        }
        if (uploadBytes == 0) {
            throw ConcertinaException.invalid("file", MemberPath.shown(fileName), "a file that is not empty");
        }
        Files.createDirectory(folder, FolderTree.PRIVATE_FOLDER);
        ArchiveBudget budget = new ArchiveBudget(limits, uploadBytes);
        byte[] head = head(file);
        if (head.length >= 2 && head[0] == (byte) 0x1f && head[1] == (byte) 0x8b) {
            return unpackGzip(file, fileName, folder, limits, budget);
        }
        if (ZipReader.startsZip(head)) {
            try (ZipReader zip = new ZipReader(file, budget)) {
                return new Unpacking(folder, limits, budget).all(zip, fileName);
            }
        }
        if (TarReader.startsTar(head)) {
            try (TarReader tar = new TarReader(new BufferedInputStream(Files.newInputStream(file), BUFFER), budget)) {
                return new Unpacking(folder, limits, budget).all(tar, fileName);
            }
        }
        return single(file, fileName, folder);
    }

    private static Unpacked unpackGzip(
            Path file, String fileName, Path folder, ArchiveLimits limits, ArchiveBudget budget) throws IOException {
        try (InputStream raw = new BufferedInputStream(Files.newInputStream(file), BUFFER);
                BufferedInputStream plain = new BufferedInputStream(new Decompressed(raw, budget), BUFFER)) {
            plain.mark(TarReader.BLOCK);
            byte[] head = plain.readNBytes(TarReader.BLOCK);
            plain.reset();
            if (!TarReader.startsTar(head)) {
                throw notAnArchive(fileName);
            }
            return new Unpacking(folder, limits, budget).all(new TarReader(plain, budget), fileName);
        }
    }

    private static Unpacked single(Path file, String fileName, Path folder) throws IOException {
        String lower = fileName.toLowerCase(Locale.ROOT);
        if (ARCHIVE_ENDINGS.stream().anyMatch(lower::endsWith)) {
            throw notAnArchive(fileName);
        }
        if (!SINGLE_NAME.matcher(fileName).matches()
                || fileName.getBytes(StandardCharsets.UTF_8).length > MAX_SINGLE_NAME_BYTES) {
            throw ConcertinaException.invalid(
                    "file",
                    MemberPath.shown(fileName),
                    "a file name of letters, digits and ' ()_.,+=@~-' that begins with a letter, digit or '_', at most "
                            + MAX_SINGLE_NAME_BYTES + " bytes");
        }
        try (InputStream in = Files.newInputStream(file);
                OutputStream out = create(resolve(folder, fileName, fileName), false)) {
            in.transferTo(out);
        }
        return new Unpacked("", List.of(fileName));
    }

    private static ConcertinaException notAnArchive(String fileName) {
        return ConcertinaException.invalid(
                "file", MemberPath.shown(fileName), "a tar (plain or gzip), a zip, or a single script");
    }

    private static byte[] head(Path file) throws IOException {
        try (InputStream in = Files.newInputStream(file)) {
            return in.readNBytes(TarReader.BLOCK);
        }
    }

    private static Path resolve(Path folder, String relative, String name) {
        try {
            return folder.resolve(relative);
        } catch (InvalidPathException e) {
            throw MemberPath.refuse(name, "names that this server's file system can hold");
        }
    }

    private static OutputStream create(Path path, boolean executable) throws IOException {
        return Channels.newOutputStream(
                FileChannel.open(path, NEW_FILE, executable ? FolderTree.PRIVATE_PROGRAM : FolderTree.PRIVATE_FILE));
    }

    /** Lays the members of one archive down in one new folder. */
    private static final class Unpacking {
        private final Path folder;
        private final ArchiveLimits limits;
        private final ArchiveBudget budget;
        private final Set<String> folders = new HashSet<>();
        private final TreeSet<String> files = new TreeSet<>();
        private final byte[] buffer = new byte[BUFFER];

        Unpacking(Path folder, ArchiveLimits limits, ArchiveBudget budget) {
            this.folder = folder;
            this.limits = limits;
            this.budget = budget;
        }

        Unpacked all(ArchiveReader archive, String fileName) throws IOException {
            for (ArchiveReader.Member member = archive.next(); member != null; member = archive.next()) {
                one(archive, member);
            }
            if (files.isEmpty()) {
                throw ConcertinaException.invalid(
                        "file", MemberPath.shown(fileName), "an archive that holds at least one file");
            }
            return new Unpacked(topFolder(), List.copyOf(files));
        }

        private void one(ArchiveReader archive, ArchiveReader.Member member) throws IOException {
            budget.entry();
            List<String> components = MemberPath.ofMember(member.name(), limits);
            if (MemberPath.clutter(components)) {
                return;
            }
            switch (member.kind()) {
                case LINK -> throw MemberPath.refuse(member.name(), "files and folders, no links");
                case SPECIAL -> throw MemberPath.refuse(member.name(), "files and folders, no devices or pipes");
                case FOLDER -> folder(components, components.size(), member);
                case FILE -> {
                    if (components.isEmpty()) {
                        throw MemberPath.refuse(member.name(), "files with a name");
                    }
                    folder(components, components.size() - 1, member);
                    file(archive, components, member);
                }
            }
        }

        private void folder(List<String> components, int depth, ArchiveReader.Member member) throws IOException {
            for (int i = 1; i <= depth; i++) {
                String path = String.join("/", components.subList(0, i));
                if (files.contains(path)) {
                    throw MemberPath.refuse(member.name(), "members that do not lie below a file");
                }
                if (folders.contains(path)) {
                    continue;
                }
                if (i < components.size()) {
                    budget.entry();
                }
                Files.createDirectory(resolve(folder, path, member.name()), FolderTree.PRIVATE_FOLDER);
                folders.add(path);
            }
        }

        private void file(ArchiveReader archive, List<String> components, ArchiveReader.Member member)
                throws IOException {
            String path = String.join("/", components);
            if (files.contains(path) || folders.contains(path)) {
                throw MemberPath.refuse(member.name(), "every member once");
            }
            try (OutputStream out = create(resolve(folder, path, member.name()), member.executable())) {
                InputStream in = archive.content();
                for (int read = in.read(buffer); read >= 0; read = in.read(buffer)) {
                    budget.written(read);
                    out.write(buffer, 0, read);
                }
            }
            files.add(path);
        }

        private String topFolder() {
            String top = null;
            for (Set<String> paths : List.of(files, folders)) {
                for (String path : paths) {
                    int slash = path.indexOf('/');
                    String first = slash < 0 ? path : path.substring(0, slash);
                    if (top != null && !top.equals(first) || slash < 0 && files.contains(path)) {
                        return "";
                    }
                    top = first;
                }
            }
            return top == null ? "" : top;
        }
    }

    /** The plain bytes of a gzip file, counted; damage becomes INVALID_ARGUMENT. */
    private static final class Decompressed extends FilterInputStream {
        private final ArchiveBudget budget;

        Decompressed(InputStream raw, ArchiveBudget budget) throws IOException {
            super(open(raw));
            this.budget = budget;
        }

        private static InputStream open(InputStream raw) throws IOException {
            try {
                return new GZIPInputStream(raw, BUFFER);
            } catch (ZipException | EOFException e) {
                throw ArchiveReader.damaged("its gzip header");
            }
        }

        @Override
        public int read() throws IOException {
            byte[] one = new byte[1];
            return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
        }

        @Override
        public int read(byte[] into, int offset, int length) throws IOException {
            try {
                int read = super.read(into, offset, length);
                budget.decompressed(Math.max(read, 0));
                return read;
            } catch (ZipException e) {
                throw ArchiveReader.damaged("its gzip data");
            } catch (EOFException e) {
                throw ArchiveReader.damaged("it ends too early");
            }
        }
    }
}
