package concertina.artifacts;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.zip.GZIPOutputStream;
import org.apache.commons.compress.archivers.tar.TarArchiveEntry;
import org.apache.commons.compress.archivers.tar.TarArchiveOutputStream;
import org.apache.commons.compress.archivers.tar.TarConstants;
import org.apache.commons.compress.archivers.zip.ZipArchiveEntry;
import org.apache.commons.compress.archivers.zip.ZipArchiveOutputStream;
import org.apache.commons.compress.utils.SeekableInMemoryByteChannel;

/** Builds good and bad archives in memory, with another implementation than the one under test. */
final class Archives {
    private Archives() {}

    /** @param type a tar type flag */
    record Item(String name, byte[] content, byte type, int mode, String target) {}

    static Item file(String name, String content) {
        return new Item(name, content.getBytes(UTF_8), TarConstants.LF_NORMAL, 0644, "");
    }

    static Item file(String name, byte[] content) {
        return new Item(name, content, TarConstants.LF_NORMAL, 0644, "");
    }

    static Item program(String name, String content) {
        return new Item(name, content.getBytes(UTF_8), TarConstants.LF_NORMAL, 06777, "");
    }

    static Item folder(String name) {
        return new Item(name, new byte[0], TarConstants.LF_DIR, 0755, "");
    }

    static Item special(String name, byte type, String target) {
        return new Item(name, new byte[0], type, 0644, target);
    }

    static byte[] tar(Item... items) {
        return tar(TarArchiveOutputStream.LONGFILE_POSIX, items);
    }

    static byte[] tar(int longNames, Item... items) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (TarArchiveOutputStream out = new TarArchiveOutputStream(bytes, 10240, 512, "UTF-8")) {
            out.setLongFileMode(longNames);
            out.setBigNumberMode(TarArchiveOutputStream.BIGNUMBER_POSIX);
            for (Item item : items) {
                TarArchiveEntry entry = new TarArchiveEntry(item.name(), item.type(), true);
                entry.setMode(item.mode());
                // A whole second: a finer time would bring a PAX header with it.
                entry.setModTime(0L);
                entry.setSize(item.content().length);
                if (!item.target().isEmpty()) {
                    entry.setLinkName(item.target());
                }
                out.putArchiveEntry(entry);
                out.write(item.content());
                out.closeArchiveEntry();
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return bytes.toByteArray();
    }

    static byte[] zip(Item... items) {
        try (SeekableInMemoryByteChannel channel = new SeekableInMemoryByteChannel()) {
            try (ZipArchiveOutputStream out = new ZipArchiveOutputStream(channel)) {
                for (Item item : items) {
                    ZipArchiveEntry entry = new ZipArchiveEntry(item.name());
                    int kind = switch (item.type()) {
                        case TarConstants.LF_SYMLINK -> 0120000;
                        case TarConstants.LF_DIR -> 0040000;
                        case TarConstants.LF_FIFO -> 0010000;
                        default -> 0100000;
                    };
                    entry.setUnixMode(kind | item.mode());
                    out.putArchiveEntry(entry);
                    out.write(
                            item.target().isEmpty()
                                    ? item.content()
                                    : item.target().getBytes(UTF_8));
                    out.closeArchiveEntry();
                }
            }
            return java.util.Arrays.copyOf(channel.array(), (int) channel.size());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    static byte[] gzip(byte[] plain) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (GZIPOutputStream out = new GZIPOutputStream(bytes)) {
            out.write(plain);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return bytes.toByteArray();
    }
}
