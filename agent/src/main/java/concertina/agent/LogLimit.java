package concertina.agent;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Keeps one job's log files short while processes write on: of a file that grows too long stay its beginning and its end, with a line
 * between them that says how much was left out.
 *
 * <p>Goals: a script that prints without end fills no disk, is not slowed down, and its last words are there. Constraints: the process
 * holds the file open, and appends. Algorithm: move the end forward behind the beginning, once and again until nothing new came meanwhile,
 * then cut off the rest; what is written within that instant may be lost, from the middle. Thread-safe; the lock covers one file's cut.
 */
final class LogLimit {
    private static final Logger log = LoggerFactory.getLogger(LogLimit.class);
    private static final Duration INTERVAL = Duration.ofMillis(100);
    private static final int LONGEST_LINE = 1 << 16;
    private static final int BLOCK_BYTES = 1 << 20;
    private static final int MOST_ROUNDS = 20;

    /** What is kept of a file; it may grow by as much as the end again before it is cut. */
    record Kept(int firstMegabytes, int lastMegabytes) {
        static final Kept DEFAULT = new Kept(64, 64);

        long first() {
            return (long) firstMegabytes << 20;
        }

        long last() {
            return (long) lastMegabytes << 20;
        }

        /** As the server says it with a worker's start; an older server says nothing. */
        static Kept from(Map<String, String> environment) {
            try {
                return new Kept(
                        Integer.parseInt(environment.getOrDefault("CONCERTINA_LOG_FIRST_MEGABYTES", "64")),
                        Integer.parseInt(environment.getOrDefault("CONCERTINA_LOG_LAST_MEGABYTES", "64")));
            } catch (NumberFormatException unreadable) {
                return DEFAULT;
            }
        }
    }

    /** How a file was cut so far. */
    private static final class Cut {
        private long head;
        private long marker;
        private long dropped;
        private int times;
    }

    private final Map<Path, Kept> watched = new ConcurrentHashMap<>();
    private final Map<Path, Cut> cuts = new HashMap<>();
    private final CountDownLatch ended = new CountDownLatch(1);
    private boolean running;

    /** From now on these files are kept short, until they are released. */
    synchronized void watch(List<Path> files, Kept kept) {
        files.forEach(file -> watched.put(file, kept));
        if (!running && ended.getCount() > 0) {
            running = true;
            Thread.ofVirtual().name("log-limit").start(this::loop);
        }
    }

    /** Nobody writes to these any more. */
    void release(List<Path> files) {
        files.forEach(this::shorten);
        files.forEach(watched::remove);
    }

    void end() {
        ended.countDown();
    }

    /** How many times a file was cut. */
    synchronized int times(Path file) {
        Cut cut = cuts.get(file);
        return cut == null ? 0 : cut.times;
    }

    private void loop() {
        try {
            while (!ended.await(INTERVAL.toMillis(), TimeUnit.MILLISECONDS)) {
                watched.keySet().forEach(this::shorten);
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /** Cuts a watched file that is too long now. */
    synchronized void shorten(Path file) {
        Kept kept = watched.get(file);
        // Asked ten times a second of every log: neither opens it nor fails where there is none yet.
        if (kept == null || file.toFile().length() <= kept.first() + 2 * kept.last()) {
            return;
        }
        try (FileChannel channel = FileChannel.open(
                file, Set.of(StandardOpenOption.READ, StandardOpenOption.WRITE, LinkOption.NOFOLLOW_LINKS))) {
            long size = channel.size();
            if (size > kept.first() + 2 * kept.last()) {
                cut(channel, size, kept, cuts.computeIfAbsent(file, path -> new Cut()));
            }
        } catch (NoSuchFileException notYet) {
            return;
        } catch (IOException e) {
            log.warn("{} grows beyond its limit and cannot be cut: {}", file, e.toString());
            watched.remove(file);
        }
    }

    private static void cut(FileChannel channel, long size, Kept kept, Cut cut) throws IOException {
        if (cut.times == 0) {
            cut.head = afterLine(channel, Math.max(0, kept.first() - LONGEST_LINE), kept.first(), true);
        }
        long from = size - kept.last();
        from = afterLine(channel, from, Math.min(size, from + LONGEST_LINE), false);
        cut.dropped += from - cut.head - cut.marker;
        cut.times++;
        byte[] marker = String.format(
                        "[%,d bytes are left out here: the first %d MB and the last %d MB of a log are kept]\n",
                        cut.dropped, kept.firstMegabytes(), kept.lastMegabytes())
                .getBytes(StandardCharsets.UTF_8);
        cut.marker = marker.length;
        long to = cut.head;
        channel.write(ByteBuffer.wrap(marker), to);
        to += marker.length;
        ByteBuffer block = ByteBuffer.allocate(BLOCK_BYTES);
        for (int round = 0; round < MOST_ROUNDS && from < size; round++) {
            while (from < size) {
                block.clear().limit((int) Math.min(BLOCK_BYTES, size - from));
                int count = channel.read(block, from);
                if (count <= 0) {
                    break;
                }
                block.flip();
                while (block.hasRemaining()) {
                    to += channel.write(block, to);
                }
                from += count;
            }
            size = channel.size();
        }
        cut.dropped += Math.max(0, size - from);
        channel.truncate(to);
    }

    /** Where a line begins between two offsets, the last such place or the first; {@code end} or {@code begin} when there is none. */
    private static long afterLine(FileChannel channel, long begin, long end, boolean last) throws IOException {
        ByteBuffer block = ByteBuffer.allocate((int) (end - begin));
        while (block.hasRemaining() && channel.read(block, begin + block.position()) > 0) {
            // The next read goes on where this one ended.
        }
        long found = -1;
        for (int index = 0; index < block.position() && (last || found < 0); index++) {
            found = block.get(index) == '\n' ? begin + index + 1 : found;
        }
        return found >= 0 ? found : last ? end : begin;
    }
}
