package concertina.api;

import concertina.model.ConcertinaException;
import concertina.model.JobId;
import concertina.model.UserName;
import concertina.train.JobFiles;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.PathMatcher;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import java.util.zip.GZIPInputStream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;

/** Keeps files below a folder. An archive is a gzip tar or a text that lists its members; a text
 * that begins with BROKEN is refused. */
public final class FakeFiles implements JobFiles {
    private final Path results;

    public FakeFiles(Path results) {
        this.results = results;
    }

    @Override
    public StoredCode storeCode(JobId job, UserName user, String fileName, Path upload) throws IOException {
        Path code = folder(job, user).resolve("_submitted_code");
        Files.createDirectories(code);
        Files.move(upload, folder(job, user).resolve("upload." + fileName), StandardCopyOption.REPLACE_EXISTING);
        if (fileName.endsWith(".py")) {
            return new StoredCode("", List.of(fileName));
        }
        byte[] bytes = Files.readAllBytes(folder(job, user).resolve("upload." + fileName));
        boolean gzip = bytes.length > 1 && bytes[0] == 0x1f;
        String text = gzip ? tarMembers(bytes) : new String(bytes, StandardCharsets.UTF_8);
        if (text.startsWith("BROKEN")) {
            throw ConcertinaException.invalid(fileName, "BROKEN", "an archive");
        }
        List<String> members = text.lines().sorted().toList();
        List<String> tops = members.stream()
                .map(member -> member.contains("/") ? member.substring(0, member.indexOf('/')) : "")
                .distinct()
                .toList();
        return new StoredCode(tops.size() == 1 ? tops.getFirst() : "", members);
    }

    /** Names of the regular files of a gzip tar, one a line. */
    private static String tarMembers(byte[] bytes) throws IOException {
        StringBuilder names = new StringBuilder();
        try (InputStream tar = new GZIPInputStream(new ByteArrayInputStream(bytes))) {
            byte[] header = tar.readNBytes(512);
            while (header.length == 512 && header[0] != 0) {
                String name = new String(header, 0, 100, StandardCharsets.UTF_8).replaceAll("\0.*", "");
                long size = Long.parseLong(new String(header, 124, 11, StandardCharsets.US_ASCII).strip(), 8);
                if (header[156] == '0') {
                    names.append(name).append('\n');
                }
                tar.skipNBytes((size + 511) / 512 * 512);
                header = tar.readNBytes(512);
            }
        }
        return names.toString();
    }

    @Override
    public void shareCode(JobId from, JobId to, UserName user) throws IOException {
        Upload upload = code(from, user).orElseThrow();
        Files.createDirectories(folder(to, user));
        Files.copy(upload.path(), folder(to, user).resolve("upload." + upload.fileName()));
    }

    @Override
    public Optional<Upload> code(JobId job, UserName user) {
        try (Stream<Path> files = Files.list(folder(job, user))) {
            return files.filter(file -> file.getFileName().toString().startsWith("upload."))
                    .map(file -> new Upload(file.getFileName().toString().substring(7), file))
                    .findFirst();
        } catch (IOException none) {
            return Optional.empty();
        }
    }

    @Override
    public Path folder(JobId job, UserName user) {
        return results.resolve(user.value()).resolve("batchworkdir").resolve(job.value());
    }

    @Override
    public long write(JobId job, UserName user, String path, long offset, InputStream bytes) throws IOException {
        Path file = checked(job, user, path);
        Files.createDirectories(file.getParent());
        long size = Files.exists(file) ? Files.size(file) : 0;
        if (offset > size) {
            return size;
        }
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.WRITE)) {
            channel.position(offset);
            channel.write(java.nio.ByteBuffer.wrap(bytes.readAllBytes()));
            return channel.size();
        }
    }

    @Override
    public void replace(JobId job, UserName user, String path, InputStream bytes) throws IOException {
        Path file = checked(job, user, path);
        Files.createDirectories(file.getParent());
        Files.copy(bytes, file, StandardCopyOption.REPLACE_EXISTING);
    }

    @Override
    public void remove(JobId job, UserName user, String path) throws IOException {
        Files.deleteIfExists(checked(job, user, path));
    }

    private Path checked(JobId job, UserName user, String path) {
        Path file = folder(job, user).resolve(path).normalize();
        if (!file.startsWith(folder(job, user))) {
            throw ConcertinaException.invalid("path", path, "a path below RESULT_DIR");
        }
        return file;
    }

    @Override
    public List<Path> find(JobId job, UserName user, String glob) throws IOException {
        Path folder = folder(job, user);
        if (!Files.isDirectory(folder)) {
            return List.of();
        }
        PathMatcher matcher = FileSystems.getDefault().getPathMatcher("glob:" + glob);
        Comparator<String> order = new NaturalOrder();
        try (Stream<Path> files = Files.walk(folder)) {
            return files.filter(Files::isRegularFile)
                    .filter(file -> matcher.matches(folder.relativize(file)))
                    .sorted(Comparator.comparing(Path::toString, order))
                    .toList();
        }
    }

    @Override
    public Path zipResult(JobId job, UserName user) throws IOException {
        Path model = folder(job, user).resolve("model");
        Path zip = Files.createTempFile(results, "result", ".zip");
        try (ZipOutputStream output = new ZipOutputStream(Files.newOutputStream(zip))) {
            if (Files.isDirectory(model)) {
                try (Stream<Path> files = Files.walk(model)) {
                    for (Path file : files.filter(Files::isRegularFile).toList()) {
                        output.putNextEntry(new ZipEntry(model.relativize(file).toString()));
                        Files.copy(file, output);
                        output.closeEntry();
                    }
                }
            }
        }
        return zip;
    }

    @Override
    public void delete(JobId job, UserName user) throws IOException {
        Path folder = folder(job, user);
        if (Files.exists(folder)) {
            try (Stream<Path> files = Files.walk(folder)) {
                for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                    Files.delete(file);
                }
            }
        }
    }

    /** Writes a file of a job. */
    public void put(String job, String user, String path, String text) throws IOException {
        Path file = folder(new JobId(job), new UserName(user)).resolve(path);
        Files.createDirectories(file.getParent());
        Files.writeString(file, text, StandardOpenOption.CREATE, StandardOpenOption.APPEND);
    }

    /** Every regular file below the folder, of whatever job. */
    public List<String> everything() throws IOException {
        try (Stream<Path> files = Files.walk(results)) {
            return files.filter(Files::isRegularFile)
                    .map(file -> results.relativize(file).toString())
                    .sorted()
                    .toList();
        }
    }
}
