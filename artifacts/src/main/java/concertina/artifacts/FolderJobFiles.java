package concertina.artifacts;

import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import concertina.model.JobId;
import concertina.model.UserName;
import concertina.train.JobFiles;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.OpenOption;
import java.nio.file.Path;
import java.nio.file.PathMatcher;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.locks.ReentrantLock;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;
import java.util.zip.Deflater;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;
import org.jspecify.annotations.Nullable;

/**
 * Jobs' files below one results folder of the server. Uploads lie in {@code <user>/uploads/<job>/}, beside the job's folder and
 * out of reach of any path a caller can name. What is not complete yet lies in {@code .incoming/}, which is emptied at
 * construction, so that a killed server leaves nothing half done. Thread-safe for one process at a time; whole files are on
 * disk when a call returns, growing files are handed to the operating system.
 */
public final class FolderJobFiles implements JobFiles {
    private static final String CODE = "_submitted_code";
    private static final String MODEL = "model";
    private static final Pattern SAFE_NAME = Pattern.compile("[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}");
    private static final Set<OpenOption> GROWING =
            Set.of(StandardOpenOption.CREATE, StandardOpenOption.WRITE, LinkOption.NOFOLLOW_LINKS);

    private final Path results;
    private final Path incoming;
    private final ArchiveLimits limits;

    /** Locks of growing files that are being written; an entry lives as long as somebody uses or awaits it. */
    private final ConcurrentHashMap<Path, Turn> turns = new ConcurrentHashMap<>();

    /** @param results folder for all users' results, created when missing */
    public FolderJobFiles(Path results, ArchiveLimits limits) throws IOException {
        Files.createDirectories(results, FolderTree.PRIVATE_FOLDER);
        this.results = results.toRealPath();
        this.incoming = this.results.resolve(".incoming");
        this.limits = limits;
        FolderTree.delete(incoming);
        Files.createDirectory(incoming, FolderTree.PRIVATE_FOLDER);
    }

    @Override
    public StoredCode storeCode(JobId job, UserName user, String fileName, Path upload) throws IOException {
        Path folder = folder(job, user);
        Path uploads = uploads(job, user);
        Path code = folder.resolve(CODE);
        Path unpacking = temporary();
        boolean stored = false;
        try {
            CodeArchive.Unpacked unpacked = CodeArchive.unpackInto(upload, fileName, unpacking, limits);
            if (exists(code) || exists(uploads)) {
                throw new ConcertinaException(
                        ErrorCode.CONFLICT, "file: code of " + job + " was stored before, accepted: one upload");
            }
            folders(folder);
            folders(uploads);
            Path kept = uploads.resolve(uploadName(fileName));
            // The upload may come from another file system, where a move is a copy.
            Path copied = temporary();
            try {
                Files.move(upload, copied);
                force(copied);
                Files.move(copied, kept, StandardCopyOption.ATOMIC_MOVE);
            } finally {
                Files.deleteIfExists(copied);
            }
            Files.move(unpacking, code, StandardCopyOption.ATOMIC_MOVE);
            stored = true;
            return new StoredCode(unpacked.topFolder(), unpacked.files());
        } finally {
            FolderTree.delete(unpacking);
            if (!stored) {
                Files.deleteIfExists(upload);
                if (!exists(code)) {
                    FolderTree.delete(uploads);
                    FolderTree.deleteIfEmpty(folder);
                }
            }
        }
    }

    @Override
    public void shareCode(JobId from, JobId to, UserName user) throws IOException {
        Upload upload = code(from, user)
                .orElseThrow(() -> new ConcertinaException(ErrorCode.NOT_FOUND, "job " + from + " has no code"));
        Path uploads = uploads(to, user);
        folders(uploads);
        Path kept = uploads.resolve(upload.fileName());
        if (exists(kept)) {
            return;
        }
        try {
            Files.createLink(kept, upload.path());
        } catch (FileAlreadyExistsException e) {
            // Somebody else was faster with the same bytes.
        } catch (UnsupportedOperationException | FileSystemException e) {
            Path copied = temporary();
            Files.copy(upload.path(), copied);
            Files.move(copied, kept, StandardCopyOption.ATOMIC_MOVE);
        }
    }

    @Override
    public Optional<Upload> code(JobId job, UserName user) {
        Path uploads = uploads(job, user);
        try (DirectoryStream<Path> kept = Files.newDirectoryStream(uploads)) {
            for (Path path : kept) {
                return Optional.of(new Upload(path.getFileName().toString(), path));
            }
            return Optional.empty();
        } catch (NoSuchFileException e) {
            return Optional.empty();
        } catch (IOException e) {
            throw new ConcertinaException(ErrorCode.INTERNAL, "the upload of " + job + " cannot be read", e);
        }
    }

    @Override
    public Path folder(JobId job, UserName user) {
        return results.resolve(safe("user", user.value()))
                .resolve("batchworkdir")
                .resolve(safe("job", job.value()));
    }

    @Override
    public long write(JobId job, UserName user, String path, long offset, InputStream bytes) throws IOException {
        if (offset < 0) {
            throw ConcertinaException.invalid("offset", Long.toString(offset), "0 or more");
        }
        Path file = target(job, user, path);
        Turn turn = turns.compute(file, (key, present) -> (present == null ? new Turn() : present).joined());
        turn.lock.lock();
        try {
            return writeInTurn(file, path, offset, bytes);
        } finally {
            turn.lock.unlock();
            turns.computeIfPresent(file, (key, present) -> present.left());
        }
    }

    private long writeInTurn(Path file, String path, long offset, InputStream bytes) throws IOException {
        long size = exists(file) ? Files.size(file) : 0;
        if (offset > size) {
            return size;
        }
        parents(file);
        try (FileChannel channel = FileChannel.open(file, GROWING, FolderTree.PRIVATE_FILE)) {
            channel.position(offset);
            byte[] buffer = new byte[1 << 16];
            for (int read = bytes.read(buffer); read >= 0; read = bytes.read(buffer)) {
                ByteBuffer chunk = ByteBuffer.wrap(buffer, 0, read);
                while (chunk.hasRemaining()) {
                    channel.write(chunk);
                }
            }
            return channel.size();
        } catch (FileAlreadyExistsException e) {
            throw occupied(path);
        }
    }

    @Override
    public void replace(JobId job, UserName user, String path, InputStream bytes) throws IOException {
        Path file = target(job, user, path);
        Path complete = temporary();
        try {
            try (FileChannel channel = FileChannel.open(
                            complete,
                            Set.of(StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE),
                            FolderTree.PRIVATE_FILE);
                    OutputStream out = Channels.newOutputStream(channel)) {
                bytes.transferTo(out);
                channel.force(true);
            }
            Path folder = parents(file);
            if (Files.isDirectory(file, LinkOption.NOFOLLOW_LINKS)) {
                throw occupied(path);
            }
            Files.move(complete, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
            force(folder);
        } finally {
            Files.deleteIfExists(complete);
        }
    }

    @Override
    public void remove(JobId job, UserName user, String path) throws IOException {
        Files.deleteIfExists(target(job, user, path));
    }

    @Override
    public List<Path> find(JobId job, UserName user, String glob) throws IOException {
        Path folder = folder(job, user);
        PathMatcher matcher;
        try {
            matcher = folder.getFileSystem().getPathMatcher("glob:" + glob);
        } catch (PatternSyntaxException | InvalidPathException e) {
            throw ConcertinaException.invalid(
                    "path", MemberPath.shown(glob), "a glob such as 'log/*/stdout', relative to the job's folder");
        }
        Path start = folder;
        for (String component : fixedPart(glob)) {
            start = start.resolve(component);
            if (!Files.isDirectory(start, LinkOption.NOFOLLOW_LINKS)) {
                return List.of();
            }
        }
        if (linked(start)) {
            return List.of();
        }
        List<Path> found = new ArrayList<>();
        visitFiles(start, (file, attributes) -> {
            if (attributes.isRegularFile() && matcher.matches(folder.relativize(file))) {
                found.add(file);
            }
        });
        found.sort(Comparator.comparing(file -> folder.relativize(file).toString(), NaturalOrder.INSTANCE));
        return List.copyOf(found);
    }

    @Override
    public Path zipResult(JobId job, UserName user) throws IOException {
        Path model = folder(job, user).resolve(MODEL);
        Path zip = temporary();
        boolean complete = false;
        try {
            List<Path> files = new ArrayList<>();
            if (!linked(model)) {
                visitFiles(model, (file, attributes) -> {
                    if (attributes.isRegularFile()) {
                        files.add(file);
                    }
                });
            }
            files.sort(Comparator.comparing(file -> model.relativize(file).toString(), NaturalOrder.INSTANCE));
            try (ZipOutputStream out = new ZipOutputStream(Channels.newOutputStream(FileChannel.open(
                    zip, Set.of(StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE), FolderTree.PRIVATE_FILE)))) {
                // Weights hardly shrink however hard one tries.
                out.setLevel(Deflater.BEST_SPEED);
                for (Path file : files) {
                    zipOne(out, model, file);
                }
            }
            complete = true;
            return zip;
        } finally {
            if (!complete) {
                Files.deleteIfExists(zip);
            }
        }
    }

    private static void zipOne(ZipOutputStream out, Path model, Path file) throws IOException {
        try (InputStream in = Files.newInputStream(file, LinkOption.NOFOLLOW_LINKS)) {
            ZipEntry entry = new ZipEntry(model.relativize(file).toString());
            entry.setLastModifiedTime(Files.getLastModifiedTime(file, LinkOption.NOFOLLOW_LINKS));
            out.putNextEntry(entry);
            in.transferTo(out);
            out.closeEntry();
        } catch (NoSuchFileException e) {
            // Replaced or removed while the job still runs: the zip holds what is there.
        }
    }

    @Override
    public void delete(JobId job, UserName user) throws IOException {
        for (Path path : List.of(folder(job, user), uploads(job, user))) {
            if (exists(path) && !linked(path)) {
                Path away = temporary();
                try {
                    // Out of sight at once, so that nobody meets a half removed folder.
                    Files.move(path, away, StandardCopyOption.ATOMIC_MOVE);
                } catch (NoSuchFileException e) {
                    continue;
                }
                FolderTree.delete(away);
            }
        }
    }

    private Path uploads(JobId job, UserName user) {
        return results.resolve(safe("user", user.value())).resolve("uploads").resolve(safe("job", job.value()));
    }

    private Path temporary() {
        return incoming.resolve(UUID.randomUUID().toString());
    }

    /** The file a caller's path means, with no link on the way to it. */
    private Path target(JobId job, UserName user, String path) {
        List<String> components = MemberPath.ofResult(path);
        if (components.getFirst().equals(CODE)) {
            throw ConcertinaException.invalid("path", MemberPath.shown(path), "paths outside of " + CODE);
        }
        Path file;
        try {
            file = folder(job, user).resolve(path);
        } catch (InvalidPathException e) {
            throw ConcertinaException.invalid(
                    "path", MemberPath.shown(path), "names that this server's file system can hold");
        }
        if (linked(file)) {
            throw ConcertinaException.invalid("path", MemberPath.shown(path), "paths without links");
        }
        if (Files.isDirectory(file, LinkOption.NOFOLLOW_LINKS)) {
            throw occupied(path);
        }
        return file;
    }

    private static ConcertinaException occupied(String path) {
        return new ConcertinaException(
                ErrorCode.CONFLICT,
                "path '" + MemberPath.shown(path) + "' is or crosses something else, accepted: a file in folders");
    }

    /** Whether any existing component below the results folder, the last one included, is a link. */
    private boolean linked(Path path) {
        Path present = results;
        for (Path component : results.relativize(path)) {
            present = present.resolve(component);
            if (Files.isSymbolicLink(present)) {
                return true;
            }
        }
        return false;
    }

    private Path parents(Path file) throws IOException {
        Path parent = Objects.requireNonNull(file.getParent());
        folders(parent);
        if (linked(file)) {
            throw occupied(results.relativize(file).toString());
        }
        return parent;
    }

    private void folders(Path folder) throws IOException {
        try {
            Files.createDirectories(folder, FolderTree.PRIVATE_FOLDER);
        } catch (FileAlreadyExistsException e) {
            throw occupied(results.relativize(folder).toString());
        }
    }

    private static boolean exists(Path path) {
        return Files.exists(path, LinkOption.NOFOLLOW_LINKS);
    }

    private static void force(Path path) throws IOException {
        try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ)) {
            channel.force(true);
        }
    }

    private static String safe(String field, String name) {
        if (!SAFE_NAME.matcher(name).matches()) {
            throw ConcertinaException.invalid(
                    field, MemberPath.shown(name), "letters, digits and '._-', not beginning with '.'");
        }
        return name;
    }

    /** Agents unpack a single file under this name too, so one that unpacking accepts stays as it came. */
    private static String uploadName(String fileName) {
        String cleaned = fileName.replaceAll("[^\\p{L}\\p{M}\\p{N} ()_.,+=@~-]", "_");
        String visible = cleaned.startsWith(".") || cleaned.isEmpty() ? "_" + cleaned : cleaned;
        if (visible.getBytes(StandardCharsets.UTF_8).length <= CodeArchive.MAX_SINGLE_NAME_BYTES) {
            return visible;
        }
        int[] points = visible.codePoints().toArray();
        int kept = Math.min(points.length, CodeArchive.MAX_SINGLE_NAME_BYTES / 4);
        return new String(points, points.length - kept, kept);
    }

    /** The folders before a glob's first component that holds a special character. */
    private static List<String> fixedPart(String glob) {
        List<String> fixed = new ArrayList<>();
        String[] components = glob.split("/", -1);
        for (int i = 0; i < components.length - 1; i++) {
            if (components[i].isEmpty() || components[i].equals("..") || components[i].equals(".")) {
                throw ConcertinaException.invalid(
                        "path", MemberPath.shown(glob), "a glob such as 'log/*/stdout', relative to the job's folder");
            }
            if (components[i].chars().anyMatch(c -> "*?[]{}\\".indexOf(c) >= 0)) {
                break;
            }
            fixed.add(components[i]);
        }
        return fixed;
    }

    private static void visitFiles(Path top, Visitor visitor) throws IOException {
        Files.walkFileTree(top, new SimpleFileVisitor<>() {
            @Override
            public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) throws IOException {
                visitor.visit(file, attributes);
                return FileVisitResult.CONTINUE;
            }

            @Override
            public FileVisitResult visitFileFailed(Path file, IOException e) throws IOException {
                if (e instanceof NoSuchFileException) {
                    return FileVisitResult.CONTINUE;
                }
                throw e;
            }
        });
    }

    private interface Visitor {
        void visit(Path file, BasicFileAttributes attributes) throws IOException;
    }

    /** One growing file's lock and how many use or await it; the count changes only inside the map's own operations. */
    private static final class Turn {
        private final ReentrantLock lock = new ReentrantLock();
        private int users;

        Turn joined() {
            users++;
            return this;
        }

        @Nullable
        Turn left() {
            users--;
            return users == 0 ? null : this;
        }
    }
}
