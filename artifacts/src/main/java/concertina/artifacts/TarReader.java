package concertina.artifacts;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Reads tar in its old, ustar, GNU and PAX forms, long names and sparse members included, from a stream. Headers are
 * limited in size and number and those for all members are not kept, so that memory stays bounded whatever the archive
 * holds. An archive without its end mark counts as truncated.
 */
final class TarReader implements ArchiveReader {
    static final int BLOCK = 512;
    private static final int MAX_HEADER_BYTES = 1 << 20;
    private static final int MAX_HEADERS_PER_MEMBER = 16;
    private static final int SPARSE_IN_HEADER = 4;
    private static final int SPARSE_IN_EXTENSION = 21;

    private final InputStream in;
    private final ArchiveBudget budget;
    private final byte[] block = new byte[BLOCK];

    /** Bytes of the present member still to come from the stream, without padding. */
    private long stored;

    private int padding;
    private InputStream content = InputStream.nullInputStream();

    TarReader(InputStream in, ArchiveBudget budget) {
        this.in = in;
        this.budget = budget;
    }

    /** Whether these bytes, the first of a file, are a tar header or the end mark of an empty archive. */
    static boolean startsTar(byte[] head) {
        return head.length >= BLOCK && (zero(head) || checksumHolds(head));
    }

    @Override
    public @Nullable Member next() throws IOException {
        skip(stored + padding);
        Map<String, String> pax = Map.of();
        List<Chunk> paxChunks = List.of();
        String longName = null;
        for (int headers = 0; headers < MAX_HEADERS_PER_MEMBER; headers++) {
            readBlock();
            if (zero(block)) {
                drain();
                return null;
            }
            if (!checksumHolds(block)) {
                throw ArchiveReader.damaged("a header's checksum is wrong");
            }
            char type = (char) (block[156] & 0xff);
            long size = number(block, 124, 12);
            switch (type) {
                case 'L' -> longName = text(headerData(size), "a long name");
                case 'K' -> headerData(size);
                case 'x', 'X' -> {
                    paxChunks = new ArrayList<>();
                    pax = paxRecords(headerData(size), paxChunks);
                }
                case 'g' -> {
                    budget.entry();
                    Map<String, String> forAll = paxRecords(headerData(size), new ArrayList<>());
                    if (forAll.containsKey("path") || forAll.containsKey("size")) {
                        throw ArchiveReader.damaged("a global header sets path or size");
                    }
                }
                default -> {
                    return member(type, size, pax, paxChunks, longName);
                }
            }
        }
        throw ArchiveReader.damaged("more than " + MAX_HEADERS_PER_MEMBER + " headers before a member");
    }

    @Override
    public InputStream content() {
        return content;
    }

    @Override
    public void close() throws IOException {
        in.close();
    }

    private Member member(
            char type, long headerSize, Map<String, String> pax, List<Chunk> paxChunks, @Nullable String longName)
            throws IOException {
        String name = pax.get("GNU.sparse.name");
        if (name == null) {
            name = pax.get("path");
        }
        if (name == null) {
            name = longName == null ? headerName() : longName;
        }
        boolean executable = (number(block, 100, 8) & 0100) != 0;
        Kind kind = switch (type) {
            case '0', '\0', '7', 'S' -> name.endsWith("/") ? Kind.FOLDER : Kind.FILE;
            case '5' -> Kind.FOLDER;
            case '1', '2' -> Kind.LINK;
            default -> Kind.SPECIAL;
        };
        String paxSize = pax.get("size");
        long size = paxSize == null ? headerSize : decimal(paxSize);
        // A folder's or link's size says nothing about data that follows.
        stored = kind == Kind.FILE || type == '0' || type == '\0' ? size : 0;
        padding = (int) ((BLOCK - stored % BLOCK) % BLOCK);
        content = new Stored();
        if (kind == Kind.FILE) {
            if (type == 'S') {
                oldSparse();
            } else if (pax.containsKey("GNU.sparse.major") || pax.containsKey("GNU.sparse.size")) {
                paxSparse(pax, paxChunks);
            }
        }
        return new Member(name, kind, executable);
    }

    private String headerName() {
        String name = text(field(block, 0, 100), "a name");
        boolean posix = block[257] == 'u'
                && block[258] == 's'
                && block[259] == 't'
                && block[260] == 'a'
                && block[261] == 'r'
                && block[262] == 0;
        String prefix = posix ? text(field(block, 345, 155), "a name") : "";
        return prefix.isEmpty() ? name : prefix + "/" + name;
    }

    private void oldSparse() throws IOException {
        List<Chunk> chunks = new ArrayList<>();
        long realSize = number(block, 483, 12);
        boolean complete = chunks(block, 386, SPARSE_IN_HEADER, chunks);
        boolean extended = block[482] != 0;
        int extensions = 0;
        byte[] extension = new byte[BLOCK];
        while (extended) {
            if (++extensions > MAX_HEADER_BYTES / BLOCK) {
                throw ArchiveReader.damaged("a sparse map is too long");
            }
            readFully(extension);
            if (!complete) {
                complete = chunks(extension, 0, SPARSE_IN_EXTENSION, chunks);
            }
            extended = extension[504] != 0;
        }
        content = new Sparse(chunks, realSize, stored);
    }

    private static boolean chunks(byte[] from, int offset, int count, List<Chunk> into) {
        for (int i = 0; i < count; i++) {
            if (from[offset + i * 24] == 0) {
                return true;
            }
            into.add(new Chunk(number(from, offset + i * 24, 12), number(from, offset + i * 24 + 12, 12)));
        }
        return false;
    }

    private void paxSparse(Map<String, String> pax, List<Chunk> paxChunks) throws IOException {
        String realSize = pax.getOrDefault("GNU.sparse.realsize", pax.getOrDefault("GNU.sparse.size", ""));
        List<Chunk> chunks = paxChunks;
        String map = pax.get("GNU.sparse.map");
        if ("1".equals(pax.get("GNU.sparse.major"))) {
            chunks = sparseMapInData();
        } else if (map != null) {
            chunks = new ArrayList<>();
            String[] numbers = map.split(",", -1);
            if (numbers.length % 2 != 0) {
                throw ArchiveReader.damaged("a sparse map is odd");
            }
            for (int i = 0; i < numbers.length; i += 2) {
                chunks.add(new Chunk(decimal(numbers[i]), decimal(numbers[i + 1])));
            }
        }
        content = new Sparse(chunks, decimal(realSize), stored);
    }

    /** Form 1.0: the map stands before the data, one decimal number in a line, padded to a block. */
    private List<Chunk> sparseMapInData() throws IOException {
        long[] read = {0};
        long count = line(read);
        if (count > MAX_HEADER_BYTES / 4) {
            throw ArchiveReader.damaged("a sparse map is too long");
        }
        List<Chunk> chunks = new ArrayList<>();
        for (long i = 0; i < count; i++) {
            long offset = line(read);
            chunks.add(new Chunk(offset, line(read)));
        }
        while (read[0] % BLOCK != 0) {
            one(read);
        }
        return chunks;
    }

    private long line(long[] read) throws IOException {
        StringBuilder digits = new StringBuilder();
        for (int next = one(read); next != '\n'; next = one(read)) {
            digits.append((char) next);
            if (digits.length() > 20) {
                throw ArchiveReader.damaged("a sparse map holds no number");
            }
        }
        return decimal(digits.toString());
    }

    private int one(long[] read) throws IOException {
        if (read[0] >= MAX_HEADER_BYTES) {
            throw ArchiveReader.damaged("a sparse map is too long");
        }
        int next = new Stored().read();
        if (next < 0) {
            throw ArchiveReader.damaged("a sparse map is cut off");
        }
        read[0]++;
        return next;
    }

    private byte[] headerData(long size) throws IOException {
        if (size > MAX_HEADER_BYTES) {
            throw ArchiveReader.damaged("a header of " + size + " bytes");
        }
        byte[] data = new byte[(int) size];
        readFully(data);
        skip((BLOCK - size % BLOCK) % BLOCK);
        return data;
    }

    private static Map<String, String> paxRecords(byte[] data, List<Chunk> chunks) {
        Map<String, String> records = new HashMap<>();
        String offset = null;
        int at = 0;
        while (at < data.length && data[at] != 0) {
            int space = at;
            while (space < data.length && data[space] != ' ') {
                space++;
            }
            long length = decimal(new String(data, at, space - at, StandardCharsets.ISO_8859_1));
            long end = at + length;
            if (length < 1 || end > data.length || end - 1 <= space || data[(int) end - 1] != '\n') {
                throw ArchiveReader.damaged("a PAX header");
            }
            int equals = space + 1;
            while (equals < end && data[equals] != '=') {
                equals++;
            }
            if (equals >= end) {
                throw ArchiveReader.damaged("a PAX header");
            }
            String key = new String(data, space + 1, equals - space - 1, StandardCharsets.ISO_8859_1);
            byte[] value = Arrays.copyOfRange(data, equals + 1, (int) end - 1);
            if (key.equals("GNU.sparse.offset")) {
                offset = text(value, "a PAX header");
            } else if (key.equals("GNU.sparse.numbytes") && offset != null) {
                chunks.add(new Chunk(decimal(offset), decimal(text(value, "a PAX header"))));
                offset = null;
            } else if (key.equals("path") || key.equals("size") || key.startsWith("GNU.sparse.")) {
                records.put(key, paxText(value));
            }
            at = (int) end;
        }
        return records;
    }

    /** Unlike a field of the header, a PAX value is not ended by NUL; one inside must not shorten a name unseen. */
    private static String paxText(byte[] value) {
        return decode(value, value.length, "a PAX header");
    }

    private static byte[] field(byte[] from, int offset, int length) {
        return Arrays.copyOfRange(from, offset, offset + length);
    }

    private static String text(byte[] bytes, String what) {
        int end = 0;
        while (end < bytes.length && bytes[end] != 0) {
            end++;
        }
        return decode(bytes, end, what);
    }

    private static String decode(byte[] bytes, int length, String what) {
        try {
            return StandardCharsets.UTF_8
                    .newDecoder()
                    .onMalformedInput(CodingErrorAction.REPORT)
                    .onUnmappableCharacter(CodingErrorAction.REPORT)
                    .decode(ByteBuffer.wrap(bytes, 0, length))
                    .toString();
        } catch (CharacterCodingException e) {
            throw ArchiveReader.damaged(what + " is not UTF-8");
        }
    }

    private static long decimal(String digits) {
        if (digits.isEmpty() || digits.length() > 18 || !digits.chars().allMatch(c -> c >= '0' && c <= '9')) {
            throw ArchiveReader.damaged("not a number: " + MemberPath.quoted(digits));
        }
        return Long.parseLong(digits);
    }

    /** Octal digits, or GNU's big-endian binary when the first bit is set. */
    private static long number(byte[] from, int offset, int length) {
        if ((from[offset] & 0x80) != 0) {
            long value = from[offset] & 0x7f;
            for (int i = 1; i < length; i++) {
                if (value > Long.MAX_VALUE >> 9) {
                    throw ArchiveReader.damaged("a number is out of range");
                }
                value = value << 8 | from[offset + i] & 0xff;
            }
            return value;
        }
        int at = offset;
        int end = offset + length;
        while (at < end && from[at] == ' ') {
            at++;
        }
        long value = 0;
        for (; at < end && from[at] != 0 && from[at] != ' '; at++) {
            if (from[at] < '0' || from[at] > '7') {
                throw ArchiveReader.damaged("a number is not octal");
            }
            value = value << 3 | from[at] - '0';
        }
        return value;
    }

    private static boolean checksumHolds(byte[] header) {
        long claimed;
        try {
            claimed = number(header, 148, 8);
        } catch (RuntimeException e) {
            return false;
        }
        long unsigned = 0;
        long signed = 0;
        for (int i = 0; i < BLOCK; i++) {
            boolean inChecksum = i >= 148 && i < 156;
            unsigned += inChecksum ? ' ' : header[i] & 0xff;
            signed += inChecksum ? ' ' : header[i];
        }
        // Some old programs summed signed characters.
        return claimed == unsigned || claimed == signed;
    }

    private static boolean zero(byte[] header) {
        for (int i = 0; i < BLOCK; i++) {
            if (header[i] != 0) {
                return false;
            }
        }
        return true;
    }

    private void readBlock() throws IOException {
        readFully(block);
    }

    private void readFully(byte[] into) throws IOException {
        if (in.readNBytes(into, 0, into.length) < into.length) {
            throw ArchiveReader.damaged("it ends too early");
        }
    }

    private void skip(long bytes) throws IOException {
        byte[] away = new byte[8192];
        for (long left = bytes; left > 0; ) {
            int read = in.read(away, 0, (int) Math.min(away.length, left));
            if (read < 0) {
                throw ArchiveReader.damaged("it ends too early");
            }
            left -= read;
        }
        stored = 0;
        padding = 0;
    }

    /** Reads what follows the end mark, so that a compressed stream gets to check its own sum. */
    private void drain() throws IOException {
        byte[] away = new byte[8192];
        int read = 0;
        while (read >= 0) {
            read = in.read(away);
        }
    }

    private record Chunk(long offset, long length) {}

    /** The bytes of the present member as they lie in the archive. */
    private final class Stored extends InputStream {
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
            if (stored == 0) {
                return -1;
            }
            int read = in.read(into, offset, (int) Math.min(length, stored));
            if (read < 0) {
                throw ArchiveReader.damaged("it ends too early");
            }
            stored -= read;
            return read;
        }
    }

    /** The bytes of a sparse member with its holes filled by zeros. */
    private final class Sparse extends InputStream {
        private final List<Chunk> chunks;
        private final long realSize;
        private final Stored data = new Stored();
        private int chunk;
        private long position;

        Sparse(List<Chunk> chunks, long realSize, long storedBytes) {
            long end = 0;
            long sum = 0;
            for (Chunk each : chunks) {
                if (each.offset() < end || each.length() > realSize || each.offset() > realSize - each.length()) {
                    throw ArchiveReader.damaged("a sparse map overlaps or leaves the file");
                }
                end = each.offset() + each.length();
                sum += each.length();
            }
            if (sum != storedBytes) {
                throw ArchiveReader.damaged("a sparse map does not match its data");
            }
            this.chunks = chunks;
            this.realSize = realSize;
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
            while (chunk < chunks.size()
                    && position
                            == chunks.get(chunk).offset() + chunks.get(chunk).length()) {
                chunk++;
            }
            if (position >= realSize) {
                return -1;
            }
            long hole = (chunk < chunks.size() ? chunks.get(chunk).offset() : realSize) - position;
            if (hole > 0) {
                int zeros = (int) Math.min(hole, length);
                Arrays.fill(into, offset, offset + zeros, (byte) 0);
                position += zeros;
                return zeros;
            }
            long rest = chunks.get(chunk).offset() + chunks.get(chunk).length() - position;
            int read = data.read(into, offset, (int) Math.min(rest, length));
            position += Math.max(read, 0);
            return read;
        }
    }
}
