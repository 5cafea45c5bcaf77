package concertina.artifacts;

import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.zip.CRC32;
import java.util.zip.Inflater;
import java.util.zip.InflaterInputStream;
import java.util.zip.ZipException;
import org.jspecify.annotations.Nullable;

/**
 * Reads zip through its central directory, which alone tells links from files, one entry at a time, so that memory stays
 * bounded whatever the directory claims. Knows stored and deflated members and the 64-bit form; refuses encryption,
 * several volumes and members whose two headers disagree.
 */
final class ZipReader implements ArchiveReader {
    private static final int LOCAL = 0x04034b50;
    private static final int CENTRAL = 0x02014b50;
    private static final int END = 0x06054b50;
    private static final int END64 = 0x06064b50;
    private static final int LOCATOR64 = 0x07064b50;
    private static final int END_BYTES = 22;
    private static final int MAX_COMMENT_BYTES = 0xffff;
    private static final long SMALL_MAX = 0xffffffffL;
    private static final int STORED = 0;
    private static final int DEFLATED = 8;
    private static final int TYPE_BITS = 0xf000;
    private static final int TYPE_FILE = 0x8000;
    private static final int TYPE_FOLDER = 0x4000;
    private static final int TYPE_LINK = 0xa000;

    private final FileChannel channel;
    private final ArchiveBudget budget;
    private final long directoryStart;
    private final InputStream directory;
    private final Inflater inflater = new Inflater(true);
    private long directoryLeft;
    private @Nullable Entry present;

    ZipReader(Path file, ArchiveBudget budget) throws IOException {
        this.budget = budget;
        this.channel = FileChannel.open(file, StandardOpenOption.READ);
        try {
            long[] bounds = locateDirectory();
            this.directoryStart = bounds[0];
            this.directoryLeft = bounds[1];
            this.directory = new BufferedInputStream(new Section(bounds[0], bounds[1], false), 1 << 16);
        } catch (IOException | RuntimeException e) {
            close();
            throw e;
        }
    }

    /** Whether these bytes, the first of a file, begin a zip. */
    static boolean startsZip(byte[] head) {
        if (head.length < 4) {
            return false;
        }
        int signature = ByteBuffer.wrap(head).order(ByteOrder.LITTLE_ENDIAN).getInt();
        return signature == LOCAL || signature == END;
    }

    @Override
    public @Nullable Member next() throws IOException {
        if (directoryLeft == 0) {
            return null;
        }
        ByteBuffer header = fromDirectory(46);
        if (header.getInt(0) != CENTRAL) {
            throw ArchiveReader.damaged("its directory");
        }
        int flags = unsignedShort(header, 8);
        byte[] nameBytes = fromDirectory(unsignedShort(header, 28)).array();
        ByteBuffer extra = fromDirectory(unsignedShort(header, 30));
        fromDirectory(unsignedShort(header, 32));
        String name = name(nameBytes, (flags & 0x800) != 0);
        if ((flags & 1) != 0) {
            throw MemberPath.refuse(name, "members without encryption");
        }
        long[] sizes = {unsignedInt(header, 24), unsignedInt(header, 20), unsignedInt(header, 42)};
        widen(sizes, extra);
        present =
                new Entry(name, nameBytes, unsignedShort(header, 10), header.getInt(16), sizes[0], sizes[1], sizes[2]);
        int attributes = header.getInt(38);
        int mode = attributes >>> 16;
        boolean folderName = name.endsWith("/");
        Kind kind = switch (mode & TYPE_BITS) {
            case 0 -> folderName || (attributes & 0x10) != 0 ? Kind.FOLDER : Kind.FILE;
            case TYPE_FILE -> folderName ? Kind.FOLDER : Kind.FILE;
            case TYPE_FOLDER -> Kind.FOLDER;
            case TYPE_LINK -> Kind.LINK;
            default -> Kind.SPECIAL;
        };
        return new Member(name, kind, (mode & 0100) != 0);
    }

    @Override
    public InputStream content() throws IOException {
        Entry entry = present;
        if (entry == null) {
            throw new IllegalStateException("no member yet");
        }
        ByteBuffer local = at(entry.headerStart(), 30);
        if (local.getInt(0) != LOCAL) {
            throw ArchiveReader.damaged("the header of " + MemberPath.quoted(entry.name()));
        }
        int nameLength = unsignedShort(local, 26);
        if (!Arrays.equals(at(entry.headerStart() + 30, nameLength).array(), entry.nameBytes())) {
            throw ArchiveReader.damaged("two names for " + MemberPath.quoted(entry.name()));
        }
        long start = entry.headerStart() + 30 + nameLength + unsignedShort(local, 28);
        if (start > directoryStart || entry.compressedBytes() > directoryStart - start) {
            throw ArchiveReader.damaged(MemberPath.quoted(entry.name()) + " lies outside of it");
        }
        InputStream plain = switch (entry.method()) {
            case STORED -> new BufferedInputStream(new Section(start, entry.compressedBytes(), false), 1 << 16);
            case DEFLATED -> {
                inflater.reset();
                yield new InflaterInputStream(new Section(start, entry.compressedBytes(), true), inflater, 1 << 16);
            }
            default ->
                throw MemberPath.refuse(entry.name(), "stored or deflated members, not method " + entry.method());
        };
        return new Checked(plain, entry);
    }

    @Override
    public void close() throws IOException {
        inflater.end();
        channel.close();
    }

    /** Where the central directory starts and how many bytes it has. */
    private long[] locateDirectory() throws IOException {
        long size = channel.size();
        int tailBytes = (int) Math.min(size, END_BYTES + MAX_COMMENT_BYTES);
        ByteBuffer tail = at(size - tailBytes, tailBytes);
        for (int i = tailBytes - END_BYTES; i >= 0; i--) {
            if (tail.getInt(i) == END && unsignedShort(tail, i + 20) == tailBytes - END_BYTES - i) {
                long end = size - tailBytes + i;
                long bytes = unsignedInt(tail, i + 12);
                long start = unsignedInt(tail, i + 16);
                boolean wide = bytes == SMALL_MAX || start == SMALL_MAX || unsignedShort(tail, i + 10) == 0xffff;
                if (wide && end >= 20 && at(end - 20, 20).getInt(0) == LOCATOR64) {
                    long end64 = at(end - 20, 20).getLong(8);
                    ByteBuffer record = at(end64, 56);
                    if (record.getInt(0) != END64) {
                        throw ArchiveReader.damaged("its 64-bit end record");
                    }
                    bytes = record.getLong(40);
                    start = record.getLong(48);
                    end = end64;
                } else if (unsignedShort(tail, i + 4) != 0 || unsignedShort(tail, i + 6) != 0) {
                    throw ArchiveReader.damaged("one of several volumes");
                }
                if (start < 0 || bytes < 0 || start > end || bytes != end - start) {
                    throw ArchiveReader.damaged("its directory does not end where it says");
                }
                return new long[] {start, bytes};
            }
        }
        throw ArchiveReader.damaged("it ends too early");
    }

    private ByteBuffer fromDirectory(int bytes) throws IOException {
        if (bytes > directoryLeft) {
            throw ArchiveReader.damaged("its directory");
        }
        byte[] read = directory.readNBytes(bytes);
        if (read.length < bytes) {
            throw ArchiveReader.damaged("it ends too early");
        }
        directoryLeft -= bytes;
        return ByteBuffer.wrap(read).order(ByteOrder.LITTLE_ENDIAN);
    }

    private ByteBuffer at(long position, int bytes) throws IOException {
        if (position < 0 || position > channel.size() - bytes) {
            throw ArchiveReader.damaged("it points outside of itself");
        }
        ByteBuffer buffer = ByteBuffer.allocate(bytes).order(ByteOrder.LITTLE_ENDIAN);
        while (buffer.hasRemaining()) {
            if (channel.read(buffer, position + buffer.position()) < 0) {
                throw ArchiveReader.damaged("it ends too early");
            }
        }
        return buffer.flip();
    }

    /** Replaces those of unpacked size, packed size and position that are all ones by their 64-bit values, in this order. */
    private static void widen(long[] sizes, ByteBuffer extra) {
        int at = 0;
        while (extra.limit() - at >= 4) {
            int id = unsignedShort(extra, at);
            int length = unsignedShort(extra, at + 2);
            at += 4;
            if (length > extra.limit() - at) {
                return;
            }
            if (id == 1) {
                int value = at;
                for (int i = 0; i < sizes.length; i++) {
                    if (sizes[i] == SMALL_MAX && value + 8 <= at + length) {
                        sizes[i] = extra.getLong(value);
                        value += 8;
                    }
                }
            }
            at += length;
        }
        for (long size : sizes) {
            if (size < 0) {
                throw ArchiveReader.damaged("a number is out of range");
            }
        }
    }

    private static String name(byte[] bytes, boolean declaredUnicode) {
        try {
            // macOS writes UTF-8 without declaring it.
            return StandardCharsets.UTF_8
                    .newDecoder()
                    .decode(ByteBuffer.wrap(bytes))
                    .toString();
        } catch (CharacterCodingException e) {
            if (declaredUnicode) {
                throw ArchiveReader.damaged("a name is not UTF-8");
            }
            return new String(bytes, StandardCharsets.ISO_8859_1);
        }
    }

    private static int unsignedShort(ByteBuffer from, int at) {
        return from.getShort(at) & 0xffff;
    }

    private static long unsignedInt(ByteBuffer from, int at) {
        return from.getInt(at) & SMALL_MAX;
    }

    @SuppressWarnings("ArrayRecordComponent")
    private record Entry(
            String name, byte[] nameBytes, int method, int crc, long bytes, long compressedBytes, long headerStart) {}

    /** A part of the file, followed by one zero byte where the inflater may want to look ahead. */
    private final class Section extends InputStream {
        private long position;
        private long left;
        private boolean extraByte;

        Section(long position, long left, boolean extraByte) {
            this.position = position;
            this.left = left;
            this.extraByte = extraByte;
        }

        @Override
        public int read() throws IOException {
            byte[] one = new byte[1];
            return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
        }

        @Override
        public int read(byte[] into, int offset, int length) throws IOException {
            if (length == 0) {
                return 0;
            }
            if (left == 0) {
                if (!extraByte) {
                    return -1;
                }
                extraByte = false;
                into[offset] = 0;
                return 1;
            }
            int read = channel.read(ByteBuffer.wrap(into, offset, (int) Math.min(length, left)), position);
            if (read < 0) {
                throw ArchiveReader.damaged("it ends too early");
            }
            position += read;
            left -= read;
            return read;
        }
    }

    /** A member's content; its end is only reported when size and checksum are right. */
    private final class Checked extends InputStream {
        private final InputStream plain;
        private final Entry entry;
        private final CRC32 crc = new CRC32();
        private long bytes;

        Checked(InputStream plain, Entry entry) {
            this.plain = plain;
            this.entry = entry;
        }

        @Override
        public int read() throws IOException {
            byte[] one = new byte[1];
            return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
        }

        @Override
        public int read(byte[] into, int offset, int length) throws IOException {
            int read;
            try {
                read = plain.read(into, offset, length);
            } catch (ZipException | java.io.EOFException e) {
                throw ArchiveReader.damaged("the data of " + MemberPath.quoted(entry.name()));
            }
            if (read >= 0) {
                crc.update(into, offset, read);
                bytes += read;
                budget.decompressed(read);
            } else if (bytes != entry.bytes() || (int) crc.getValue() != entry.crc()) {
                throw ArchiveReader.damaged("size or checksum of " + MemberPath.quoted(entry.name()));
            }
            return read;
        }
    }
}
