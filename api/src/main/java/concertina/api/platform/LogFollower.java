package concertina.api.platform;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.channels.SeekableByteChannel;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.time.Duration;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Copies growing log files to a client until the job has ended and everything was copied. Lines of several files are
 * interleaved as they come, each whole. A file that was cut or written anew is followed from its last lines on. Used by one thread.
 */
final class LogFollower {
    private static final Duration INTERVAL = Duration.ofMillis(200);

    /** Finds the files as they are now. */
    @FunctionalInterface
    interface Source {
        List<Path> files() throws IOException;
    }

    /** Whether nothing more will be written. */
    @FunctionalInterface
    interface Ending {
        boolean reached();
    }

    private final OutputStream output;
    private final long firstOffset;
    private final Map<Path, Long> offsets = new LinkedHashMap<>();
    private final Map<Path, Object> identities = new HashMap<>();
    private final ByteBuffer buffer = ByteBuffer.allocate(1 << 16);

    /** @param firstOffset where to begin in every file */
    LogFollower(OutputStream output, long firstOffset) {
        this.output = output;
        this.firstOffset = firstOffset;
    }

    void follow(Source source, Ending ending) throws IOException, InterruptedException {
        while (true) {
            // Asked before copying: what was written until the end is then copied for certain.
            boolean last = ending.reached();
            List<Path> files = source.files();
            boolean wholeLines = files.size() > 1 && !last;
            for (Path file : files) {
                copy(file, wholeLines);
            }
            output.flush();
            if (last) {
                return;
            }
            Thread.sleep(INTERVAL);
        }
    }

    private void copy(Path file, boolean wholeLines) throws IOException {
        try (SeekableByteChannel channel = Files.newByteChannel(file)) {
            long offset = replaced(file) ? lastLines(channel) : offsets.getOrDefault(file, firstOffset);
            int length = read(channel, offset);
            while (length > 0) {
                int end = wholeLines ? lineEnd(length) : length;
                if (end == 0 && length < buffer.capacity()) {
                    break;
                }
                int count = end == 0 ? length : end;
                output.write(buffer.array(), 0, count);
                offset += count;
                length = read(channel, offset);
            }
            offsets.put(file, offset);
        } catch (NoSuchFileException notYet) {
            return;
        }
    }

    private boolean replaced(Path file) throws IOException {
        Object identity = Files.readAttributes(file, BasicFileAttributes.class).fileKey();
        Object before = identity == null ? null : identities.put(file, identity);
        return before != null && !before.equals(identity);
    }

    private long lastLines(SeekableByteChannel channel) throws IOException {
        long offset = Math.max(0, channel.size() - buffer.capacity());
        int length = offset == 0 ? 0 : read(channel, offset);
        for (int index = 0; index < length; index++) {
            if (buffer.get(index) == '\n') {
                return offset + index + 1;
            }
        }
        return offset;
    }

    private int read(SeekableByteChannel channel, long offset) throws IOException {
        channel.position(offset);
        return channel.read(buffer.clear());
    }

    private int lineEnd(int length) {
        for (int index = length - 1; index >= 0; index--) {
            if (buffer.get(index) == '\n') {
                return index + 1;
            }
        }
        return 0;
    }
}
