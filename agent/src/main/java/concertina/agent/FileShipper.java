package concertina.agent;

import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import concertina.model.JobId;
import java.io.FilterInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Sends one job's files to the server: what lies below {@code log/} as it grows, everything else whole once it stopped
 * changing, a checkpoint of the engine at once, for it appears whole; each change once however many workers share the
 * folder. A checkpoint that is removed here is removed there, except that the server is never left without any. Links, submitted code and names that begin with a dot stay here. Memory does not grow with the files; a server that is
 * away is waited for. Thread-safe; the lock covers a pass.
 */
final class FileShipper {
    private static final Logger log = LoggerFactory.getLogger(FileShipper.class);
    private static final int PIECE_BYTES = 4 << 20;
    private static final Duration SETTLED = Duration.ofSeconds(1);
    private static final Duration SHORTEST_PAUSE = Duration.ofMillis(200);
    private static final Duration LONGEST_PAUSE = Duration.ofSeconds(5);
    /** A pass takes at most about this part of the time. */
    private static final int REST = 10;

    /** A short one even a smaller part, as long as nobody who follows a log sees it: training needs the processors, too. */
    private static final int LONG_REST = 50;

    private static final Duration UNSEEN_PAUSE = Duration.ofMillis(500);

    private final JobId job;
    private final Path folder;
    private final ServerLink server;
    private final LogLimit limit;
    private final ReentrantLock lock = new ReentrantLock();
    private final Map<Path, Track> tracks = new HashMap<>();
    private volatile boolean ended;
    private @Nullable Thread follower;

    /** @param limit what keeps the job's logs short; a log that was cut is sent anew */
    FileShipper(JobId job, Path folder, ServerLink server, LogLimit limit) {
        this.job = job;
        this.folder = folder;
        this.server = server;
        this.limit = limit;
    }

    /** What identifies the content of a file as far as can be told without reading it. */
    private record Version(
            long size, long modifiedNanos, @Nullable Object file) {
        static Version of(BasicFileAttributes attributes) {
            long nanos = attributes.lastModifiedTime().to(TimeUnit.NANOSECONDS);
            return new Version(attributes.size(), nanos, attributes.fileKey());
        }
    }

    /** What the server has of a file, and since when the file looks as it does. */
    private static final class Track {
        private @Nullable Version shipped;
        private long offset;
        private int cuts;
        private @Nullable Version seen;
        private long seenSinceNanos;
    }

    private record Found(Path path, Version version) {}

    /** Follows the folder until ended; a second call has no effect. */
    void follow() {
        lock.lock();
        try {
            if (follower == null && !ended) {
                follower = Thread.ofVirtual().name("shipper-" + job).start(this::loop);
            }
        } finally {
            lock.unlock();
        }
    }

    /** This file came from the server and need not go back until it changes. */
    void takeAsShipped(Path file) {
        lock.lock();
        try {
            Version version =
                    Version.of(Files.readAttributes(file, BasicFileAttributes.class, LinkOption.NOFOLLOW_LINKS));
            Track track = tracks.computeIfAbsent(file, path -> new Track());
            track.shipped = version;
            track.offset = version.size();
        } catch (IOException e) {
            log.debug("{} is sent back: {}", file, e.toString());
        } finally {
            lock.unlock();
        }
    }

    private void loop() {
        Duration pause = SHORTEST_PAUSE;
        try {
            while (!ended) {
                Thread.sleep(pause);
                long began = System.nanoTime();
                try {
                    pass(false);
                    pause = within(rest(Duration.ofNanos(System.nanoTime() - began)));
                } catch (IOException e) {
                    log.debug("files of job {} are sent later: {}", job, e.toString());
                    pause = within(pause.multipliedBy(2));
                }
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private static Duration rest(Duration pass) {
        Duration rest = pass.multipliedBy(REST);
        Duration longer = pass.multipliedBy(LONG_REST);
        Duration unseen = longer.compareTo(UNSEEN_PAUSE) < 0 ? longer : UNSEEN_PAUSE;
        return rest.compareTo(unseen) < 0 ? unseen : rest;
    }

    private static Duration within(Duration pause) {
        if (pause.compareTo(SHORTEST_PAUSE) < 0) {
            return SHORTEST_PAUSE;
        }
        return pause.compareTo(LONGEST_PAUSE) > 0 ? LONGEST_PAUSE : pause;
    }

    /** Sends everything that is here now, for as long as it takes; returns early only when ended. */
    void drain() throws InterruptedException {
        Duration pause = Duration.ofMillis(100);
        while (!ended) {
            try {
                pass(true);
                return;
            } catch (IOException e) {
                log.info("files of job {} cannot be sent yet: {}", job, e.toString());
                Thread.sleep(pause);
                pause = pause.multipliedBy(2).compareTo(LONGEST_PAUSE) > 0 ? LONGEST_PAUSE : pause.multipliedBy(2);
            }
        }
    }

    /** Sends nothing any more. Does not wait for a file that is on its way. */
    void end() {
        ended = true;
        Thread running = follower;
        if (running != null) {
            running.interrupt();
        }
    }

    private void pass(boolean everything) throws IOException, InterruptedException {
        lock.lockInterruptibly();
        try {
            List<Found> found = find();
            for (Found file : found) {
                if (ended) {
                    return;
                }
                Track track = tracks.computeIfAbsent(file.path(), path -> new Track());
                try {
                    if (folder.relativize(file.path()).startsWith("log")) {
                        grow(file, track);
                    } else {
                        settle(file, track, everything);
                    }
                } catch (NoSuchFileException e) {
                    tracks.remove(file.path());
                } catch (ConcertinaException e) {
                    if (e.code() == ErrorCode.NOT_FOUND) {
                        throw new IOException("the server does not know the job (yet)", e);
                    }
                    log.warn("job {}: {} stays here: {}", job, folder.relativize(file.path()), e.getMessage());
                    track.shipped = file.version();
                    track.offset = file.version().size();
                }
            }
            removeGone(found);
        } finally {
            lock.unlock();
        }
    }

    /** The engine keeps a few checkpoints; without this the server would keep every one there ever was. */
    private void removeGone(List<Found> found) throws IOException, InterruptedException {
        Set<Path> present = new HashSet<>();
        found.forEach(file -> present.add(file.path()));
        boolean another =
                found.stream().anyMatch(file -> isCheckpoint(file.path()) && hasShipped(tracks.get(file.path())));
        for (Path path : List.copyOf(tracks.keySet())) {
            // Once ended, the folder itself is removed; the server's copies are not to follow.
            if (ended) {
                return;
            }
            if (!present.contains(path) && !Files.exists(path, LinkOption.NOFOLLOW_LINKS)) {
                if (isCheckpoint(path) && hasShipped(tracks.get(path)) && !another) {
                    continue;
                }
                Track gone = tracks.remove(path);
                Path relative = folder.relativize(path);
                if (gone == null || gone.shipped == null || !relative.startsWith("checkpoint")) {
                    continue;
                }
                try {
                    server.remove(job, relative.toString());
                } catch (IOException e) {
                    tracks.put(path, gone);
                    throw e;
                } catch (ConcertinaException e) {
                    log.warn("job {}: {} stays at the server: {}", job, relative, e.getMessage());
                }
            }
        }
    }

    private static boolean hasShipped(@Nullable Track track) {
        return track != null && track.shipped != null;
    }

    /** A file that the engine's checkpoint writer renamed to its name when it was whole. */
    private boolean isCheckpoint(Path path) {
        Path relative = folder.relativize(path);
        return relative.startsWith("checkpoint") && relative.toString().endsWith(".state");
    }

    private List<Found> find() throws IOException {
        List<Found> found = new ArrayList<>();
        if (!Files.isDirectory(folder)) {
            return found;
        }
        Files.walkFileTree(folder, new SimpleFileVisitor<>() {
            @Override
            public FileVisitResult preVisitDirectory(Path path, BasicFileAttributes attributes) {
                if (path.equals(folder)) {
                    return FileVisitResult.CONTINUE;
                }
                boolean code = path.equals(folder.resolve("_submitted_code"));
                return code || hidden(path) ? FileVisitResult.SKIP_SUBTREE : FileVisitResult.CONTINUE;
            }

            @Override
            public FileVisitResult visitFile(Path path, BasicFileAttributes attributes) {
                if (attributes.isRegularFile() && !hidden(path)) {
                    found.add(new Found(path, Version.of(attributes)));
                }
                return FileVisitResult.CONTINUE;
            }

            @Override
            public FileVisitResult visitFileFailed(Path path, IOException e) {
                return FileVisitResult.CONTINUE;
            }

            @Override
            public FileVisitResult postVisitDirectory(Path path, @Nullable IOException e) {
                return FileVisitResult.CONTINUE;
            }
        });
        return found;
    }

    private static boolean hidden(Path path) {
        return String.valueOf(path.getFileName()).startsWith(".");
    }

    private void grow(Found file, Track track) throws IOException, InterruptedException {
        limit.shorten(file.path());
        int cuts = limit.times(file.path());
        Version now =
                Version.of(Files.readAttributes(file.path(), BasicFileAttributes.class, LinkOption.NOFOLLOW_LINKS));
        Version before = track.shipped;
        if (now.equals(before) && cuts == track.cuts) {
            return;
        }
        boolean rewritten = before != null
                && (cuts != track.cuts
                        || !Objects.equals(now.file(), before.file())
                        || now.size() < track.offset
                        || (now.size() == track.offset && now.size() > 0));
        if (rewritten) {
            replace(new Found(file.path(), now));
            track.offset = now.size();
        } else {
            append(new Found(file.path(), now), track);
        }
        track.shipped = now;
        track.cuts = cuts;
    }

    private void append(Found file, Track track) throws IOException, InterruptedException {
        String path = folder.relativize(file.path()).toString();
        long end = file.version().size();
        try (FileChannel channel = open(file.path())) {
            do {
                int count = (int) Math.min(PIECE_BYTES, end - track.offset);
                ByteBuffer piece = ByteBuffer.allocate(count);
                while (piece.hasRemaining() && channel.read(piece, track.offset + piece.position()) >= 0) {
                    // The next read goes on where this one ended.
                }
                if (piece.hasRemaining()) {
                    throw new IOException(path + " became shorter while it was read");
                }
                long next = server.write(job, path, track.offset, piece.array());
                if (next < 0 || next > end) {
                    throw new IOException("the server has " + next + " bytes of " + path + ", more than there are");
                }
                track.offset = next;
            } while (track.offset < end && !ended);
        }
    }

    private void settle(Found file, Track track, boolean everything) throws IOException, InterruptedException {
        Version now = file.version();
        if (now.equals(track.shipped)) {
            return;
        }
        long time = System.nanoTime();
        if (!now.equals(track.seen)) {
            track.seen = now;
            track.seenSinceNanos = time;
        }
        if (everything || isCheckpoint(file.path()) || time - track.seenSinceNanos >= SETTLED.toNanos()) {
            replace(file);
            track.shipped = now;
        }
    }

    private void replace(Found file) throws IOException, InterruptedException {
        long size = file.version().size();
        open(file.path()).close();
        BodyPublisher whole = BodyPublishers.ofInputStream(() -> limited(file.path(), size));
        server.replace(
                job,
                folder.relativize(file.path()).toString(),
                size == 0 ? BodyPublishers.noBody() : BodyPublishers.fromPublisher(whole, size));
    }

    /** Exactly so many bytes of a file, so that one that grows meanwhile cannot upset the request. */
    private static InputStream limited(Path path, long size) {
        try {
            FileChannel channel = open(path);
            return new FirstBytes(Channels.newInputStream(channel), size);
        } catch (IOException e) {
            return InputStream.nullInputStream();
        }
    }

    private static FileChannel open(Path path) throws IOException {
        return FileChannel.open(path, Set.of(StandardOpenOption.READ, LinkOption.NOFOLLOW_LINKS));
    }

    private static final class FirstBytes extends FilterInputStream {
        private long left;

        FirstBytes(InputStream in, long left) {
            super(in);
            this.left = left;
        }

        @Override
        public int read() throws IOException {
            byte[] one = new byte[1];
            return read(one, 0, 1) < 0 ? -1 : one[0] & 0xFF;
        }

        @Override
        public int read(byte[] into, int offset, int length) throws IOException {
            if (left == 0) {
                return -1;
            }
            int count = super.read(into, offset, (int) Math.min(length, left));
            if (count < 0) {
                throw new IOException("the file became shorter while it was sent");
            }
            left -= count;
            return count;
        }
    }
}
