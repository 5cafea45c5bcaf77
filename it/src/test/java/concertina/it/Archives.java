package concertina.it;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.Consumer;
import java.util.stream.Stream;
import java.util.zip.GZIPOutputStream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;
import org.apache.commons.compress.archivers.tar.TarArchiveEntry;
import org.apache.commons.compress.archivers.tar.TarArchiveOutputStream;
import org.apache.commons.compress.archivers.tar.TarConstants;

/** Uploads in every shape, good and bad, as bytes in memory. */
final class Archives {
    private Archives() {}

    static byte[] tar(Map<String, byte[]> members) {
        return tar(archive -> members.forEach((name, bytes) -> addFile(archive, name, bytes)));
    }

    static byte[] gzippedTar(Map<String, byte[]> members) {
        return gzip(tar(members));
    }

    static byte[] zip(Map<String, byte[]> members) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (ZipOutputStream archive = new ZipOutputStream(bytes)) {
            for (Map.Entry<String, byte[]> member : members.entrySet()) {
                archive.putNextEntry(new ZipEntry(member.getKey()));
                archive.write(member.getValue());
                archive.closeEntry();
            }
        } catch (IOException failed) {
            throw new UncheckedIOException(failed);
        }
        return bytes.toByteArray();
    }

    /** A tar whose one member is a link. */
    static byte[] tarWithLink(String name, String target, boolean symbolic) {
        return tar(archive -> {
            addFile(archive, "code/main.py", "print('linked')".getBytes(StandardCharsets.UTF_8));
            TarArchiveEntry link =
                    new TarArchiveEntry(name, symbolic ? TarConstants.LF_SYMLINK : TarConstants.LF_LINK, true);
            link.setLinkName(target);
            try {
                archive.putArchiveEntry(link);
                archive.closeArchiveEntry();
            } catch (IOException failed) {
                throw new UncheckedIOException(failed);
            }
        });
    }

    /** A gzip-compressed tar of one member of zeros: few bytes that unpack to many. */
    static byte[] gzippedZeros(String name, long size) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (GZIPOutputStream zipped = new GZIPOutputStream(bytes);
                TarArchiveOutputStream archive = open(zipped)) {
            TarArchiveEntry entry = new TarArchiveEntry(name, true);
            entry.setSize(size);
            archive.putArchiveEntry(entry);
            byte[] block = new byte[1 << 16];
            for (long left = size; left > 0; left -= block.length) {
                archive.write(block, 0, (int) Math.min(left, block.length));
            }
            archive.closeArchiveEntry();
        } catch (IOException failed) {
            throw new UncheckedIOException(failed);
        }
        return bytes.toByteArray();
    }

    static byte[] gzip(byte[] content) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (GZIPOutputStream zipped = new GZIPOutputStream(bytes)) {
            zipped.write(content);
        } catch (IOException failed) {
            throw new UncheckedIOException(failed);
        }
        return bytes.toByteArray();
    }

    /** Every file of a folder, its name below the given prefix. */
    static Map<String, byte[]> folder(Path folder, String prefix) {
        Map<String, byte[]> members = new LinkedHashMap<>();
        try (Stream<Path> files = Files.walk(folder)) {
            for (Path file : files.filter(Files::isRegularFile).sorted().toList()) {
                if (!file.toString().contains("__pycache__")) {
                    members.put(prefix + folder.relativize(file), Files.readAllBytes(file));
                }
            }
        } catch (IOException failed) {
            throw new UncheckedIOException(failed);
        }
        return members;
    }

    private static byte[] tar(Consumer<TarArchiveOutputStream> content) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (TarArchiveOutputStream archive = open(bytes)) {
            content.accept(archive);
        } catch (IOException failed) {
            throw new UncheckedIOException(failed);
        }
        return bytes.toByteArray();
    }

    private static TarArchiveOutputStream open(java.io.OutputStream output) {
        TarArchiveOutputStream archive = new TarArchiveOutputStream(output);
        archive.setLongFileMode(TarArchiveOutputStream.LONGFILE_POSIX);
        archive.setBigNumberMode(TarArchiveOutputStream.BIGNUMBER_POSIX);
        return archive;
    }

    private static void addFile(TarArchiveOutputStream archive, String name, byte[] bytes) {
        try {
            TarArchiveEntry entry = new TarArchiveEntry(name, true);
            entry.setSize(bytes.length);
            archive.putArchiveEntry(entry);
            archive.write(bytes);
            archive.closeArchiveEntry();
        } catch (IOException failed) {
            throw new UncheckedIOException(failed);
        }
    }
}
