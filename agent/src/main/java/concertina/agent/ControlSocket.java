package concertina.agent;

import concertina.model.WorkerId;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.MessageDigest;
import java.security.SecureRandom;
import java.time.Duration;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executors;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.function.BiConsumer;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import tools.jackson.core.JacksonException;
import tools.jackson.core.json.JsonReadFeature;
import tools.jackson.core.type.TypeReference;
import tools.jackson.databind.json.JsonMapper;

/**
 * The Unix socket through which workers' runtimes talk to the agent: one JSON object per line, the first a hello with the
 * worker's token. Whoever says anything else is turned away; a line that is not a message is skipped. A worker that does
 * not read never holds up anybody else. Thread-safe.
 */
final class ControlSocket implements AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(ControlSocket.class);
    static final int LONGEST_LINE = 256 << 10;
    private static final int LONGEST_PATH = 100;
    private static final int LONGEST_QUEUE = 10_000;
    private static final int MOST_TYPES = 16;
    private static final Duration HELLO = Duration.ofSeconds(10);
    private static final Duration LAST_WORDS = Duration.ofMillis(500);
    private static final Duration THINNING = Duration.ofMillis(200);
    /** Whoever looks at a job looks most at its beginning; each message costs agent and server milliseconds that workers lack. */
    private static final Duration BEGINNING = Duration.ofSeconds(10);

    private static final Duration LATER_THINNING = Duration.ofMillis(500);
    private static final TypeReference<LinkedHashMap<String, Object>> MESSAGE = new TypeReference<>() {};

    private final Path path;
    private final ServerSocketChannel server;
    private final BiConsumer<WorkerId, Map<String, Object>> said;
    private final Map<WorkerId, Channel> channels = new ConcurrentHashMap<>();

    /** Connections that were accepted and have not said yet whose they are; guarded by itself. */
    private final Set<SocketChannel> unknown = new HashSet<>();

    private final SecureRandom random = new SecureRandom();
    private final ScheduledExecutorService timer = Executors.newSingleThreadScheduledExecutor(
            Thread.ofPlatform().daemon().name("control-timer").factory());
    private final JsonMapper json = JsonMapper.builder()
            .enable(JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS)
            .build();

    private ControlSocket(Path path, ServerSocketChannel server, BiConsumer<WorkerId, Map<String, Object>> said) {
        this.path = path;
        this.server = server;
        this.said = said;
    }

    /**
     * Listens below the folder, or below a temporary one when that path is too long for a socket.
     *
     * @param said gets every message of a worker, those of one worker in order
     */
    static ControlSocket open(Path folder, BiConsumer<WorkerId, Map<String, Object>> said) throws IOException {
        var ownerOnly = PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------"));
        Path home = folder.resolve("control");
        if (home.resolve("agent.sock").toString().getBytes(StandardCharsets.UTF_8).length > LONGEST_PATH) {
            home = Files.createTempDirectory("concertina-", ownerOnly);
        } else {
            Files.createDirectories(folder);
            if (!Files.isDirectory(home)) {
                Files.createDirectory(home, ownerOnly);
            }
        }
        Path path = home.resolve("agent.sock");
        Files.deleteIfExists(path);
        ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
        server.bind(UnixDomainSocketAddress.of(path));
        Files.setPosixFilePermissions(path, PosixFilePermissions.fromString("rw-------"));
        ControlSocket socket = new ControlSocket(path, server, said);
        Thread.ofPlatform().daemon().name("control").start(socket::accept);
        return socket;
    }

    Path path() {
        return path;
    }

    /** Expects a worker and returns the token it has to show. */
    String expect(WorkerId worker) {
        byte[] secret = new byte[32];
        random.nextBytes(secret);
        String token = HexFormat.of().formatHex(secret);
        channels.put(worker, new Channel(worker, token));
        return token;
    }

    /** Hands a message to a worker's runtime, now or when it connects; no effect for a worker that is not expected. */
    void send(WorkerId worker, Map<String, Object> message) {
        Channel channel = channels.get(worker);
        if (channel != null) {
            channel.queue(json.writeValueAsBytes(message));
        }
    }

    /** The worker's process is gone: passes on what it still said and forgets it. Waits a short time at most. */
    void finish(WorkerId worker) throws InterruptedException {
        Channel channel = channels.get(worker);
        if (channel != null) {
            if (!channel.seen()) {
                awaitGreetings();
            }
            channels.remove(worker);
            channel.finish();
        }
    }

    /** Waits until whoever has connected up to now has said whose connection it is. */
    private void awaitGreetings() throws InterruptedException {
        long end = System.nanoTime() + LAST_WORDS.toNanos();
        knock();
        synchronized (unknown) {
            Set<SocketChannel> asked = Set.copyOf(unknown);
            long left = end - System.nanoTime();
            while (left > 0 && asked.stream().anyMatch(unknown::contains)) {
                TimeUnit.NANOSECONDS.timedWait(unknown, left);
                left = end - System.nanoTime();
            }
        }
    }

    /** Connections are accepted in their order: once this one has been, all those before it have. */
    private void knock() {
        try (SocketChannel own = SocketChannel.open(StandardProtocolFamily.UNIX)) {
            var limit = timer.schedule(() -> close(own), LAST_WORDS.toMillis(), TimeUnit.MILLISECONDS);
            own.connect(UnixDomainSocketAddress.of(path));
            own.shutdownOutput();
            while (own.read(ByteBuffer.allocate(1)) >= 0) {}
            limit.cancel(false);
        } catch (IOException | RejectedExecutionException e) {
            log.debug("the control socket did not answer: {}", e.toString());
        }
    }

    private void known(SocketChannel connection) {
        synchronized (unknown) {
            unknown.remove(connection);
            unknown.notifyAll();
        }
    }

    private void accept() {
        while (server.isOpen()) {
            try {
                SocketChannel connection = server.accept();
                synchronized (unknown) {
                    unknown.add(connection);
                }
                Thread.ofVirtual().name("control-connection").start(() -> converse(connection));
            } catch (IOException e) {
                if (server.isOpen()) {
                    log.warn("a worker's connection was not accepted: {}", e.toString());
                }
            }
        }
    }

    private void converse(SocketChannel connection) {
        var deadline = timer.schedule(() -> close(connection), HELLO.toMillis(), TimeUnit.MILLISECONDS);
        Channel channel = null;
        try (connection) {
            Lines lines = new Lines(connection);
            byte[] first = lines.next();
            if (first == null || !deadline.cancel(false)) {
                return;
            }
            channel = greeted(first);
            if (channel == null) {
                log.warn("a connection to the control socket did not say who it is, and was closed");
                return;
            }
            boolean attached = channel.attach(connection);
            known(connection);
            if (!attached) {
                log.warn(
                        "worker {} is connected already, another process that says it is it was turned away",
                        channel.worker);
                return;
            }
            for (byte[] line = lines.next(); line != null; line = lines.next()) {
                Map<String, Object> message = message(line);
                if (message == null) {
                    log.warn("worker {} wrote a line that is not a message", channel.worker);
                } else {
                    channel.hear(message);
                }
            }
        } catch (IOException e) {
            log.debug("a worker's connection ended: {}", e.toString());
        } finally {
            deadline.cancel(false);
            known(connection);
            if (channel != null) {
                channel.detach(connection);
            }
        }
    }

    private @Nullable Channel greeted(byte[] line) {
        Map<String, Object> hello = message(line);
        if (hello == null
                || !"hello".equals(hello.get("type"))
                || !(hello.get("worker") instanceof String name)
                || !(hello.get("token") instanceof String token)) {
            return null;
        }
        try {
            Channel channel = channels.get(WorkerId.parse(name));
            return channel != null && same(channel.token, token) ? channel : null;
        } catch (IllegalArgumentException e) {
            return null;
        }
    }

    private static boolean same(String expected, String shown) {
        return MessageDigest.isEqual(expected.getBytes(StandardCharsets.UTF_8), shown.getBytes(StandardCharsets.UTF_8));
    }

    /** A message with a type, without members that are absent or not finite; null for anything else. */
    private @Nullable Map<String, Object> message(byte[] line) {
        try {
            Map<String, Object> message = json.readValue(line, MESSAGE);
            if (message == null || !(message.get("type") instanceof String)) {
                return null;
            }
            message.values().removeIf(value -> value == null || (value instanceof Double it && !Double.isFinite(it)));
            return message;
        } catch (JacksonException e) {
            return null;
        }
    }

    private static void close(SocketChannel connection) {
        try {
            connection.close();
        } catch (IOException e) {
            log.debug("a connection could not be closed: {}", e.toString());
        }
    }

    @Override
    public void close() throws IOException {
        server.close();
        timer.shutdownNow();
        Files.deleteIfExists(path);
    }

    /** What is shared about one expected worker; its lock is the object itself. */
    private final class Channel {
        private final WorkerId worker;
        private final String token;
        private final BlockingQueue<byte[]> outgoing = new LinkedBlockingQueue<>(LONGEST_QUEUE);
        private final ProgressThinning thinning = new ProgressThinning(THINNING, BEGINNING, LATER_THINNING);
        private final Set<String> types = new HashSet<>();
        private @Nullable SocketChannel connection;
        private @Nullable Thread writer;
        private CountDownLatch detached = new CountDownLatch(0);
        private boolean flushPlanned;
        private boolean seen;

        Channel(WorkerId worker, String token) {
            this.worker = worker;
            this.token = token;
        }

        /** Whoever comes first is the worker for as long as it stays; its script may have forked others that know the token too. */
        synchronized boolean attach(SocketChannel opened) {
            if (connection != null) {
                return false;
            }
            connection = opened;
            seen = true;
            detached = new CountDownLatch(1);
            writer = Thread.ofVirtual().name("control-writer").start(() -> write(opened));
            return true;
        }

        /** Whether the worker has ever connected. */
        synchronized boolean seen() {
            return seen;
        }

        synchronized void detach(SocketChannel closed) {
            if (connection == closed) {
                connection = null;
                stopWriter();
                detached.countDown();
            }
        }

        private void stopWriter() {
            if (writer != null) {
                writer.interrupt();
            }
        }

        void queue(byte[] line) {
            if (!outgoing.offer(line)) {
                log.warn("worker {} does not read its messages, its connection is closed", worker);
                synchronized (this) {
                    if (connection != null) {
                        ControlSocket.close(connection);
                    }
                }
            }
        }

        private void write(SocketChannel to) {
            try {
                while (true) {
                    byte[] message = outgoing.take();
                    ByteBuffer line = ByteBuffer.allocate(message.length + 1);
                    line.put(message).put((byte) '\n').flip();
                    while (line.hasRemaining()) {
                        to.write(line);
                    }
                }
            } catch (IOException e) {
                log.debug("worker {} cannot be written to: {}", worker, e.toString());
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }

        synchronized void hear(Map<String, Object> message) {
            String type = String.valueOf(message.get("type"));
            if (type.equals("hello") || (!types.contains(type) && types.size() >= MOST_TYPES)) {
                return;
            }
            types.add(type);
            pass(thinning.offer(message, System.nanoTime()));
            planFlush();
        }

        private void pass(List<Map<String, Object>> messages) {
            for (Map<String, Object> message : messages) {
                said.accept(worker, message);
            }
        }

        private void planFlush() {
            Duration wait = thinning.untilDue(System.nanoTime());
            if (wait != null && !flushPlanned) {
                flushPlanned = true;
                timer.schedule(this::flushDue, wait.toNanos(), TimeUnit.NANOSECONDS);
            }
        }

        private synchronized void flushDue() {
            flushPlanned = false;
            pass(thinning.due(System.nanoTime()));
            planFlush();
        }

        void finish() throws InterruptedException {
            CountDownLatch ending;
            synchronized (this) {
                ending = detached;
            }
            if (!ending.await(LAST_WORDS.toMillis(), TimeUnit.MILLISECONDS)) {
                log.debug("the connection of worker {} outlived its process", worker);
            }
            synchronized (this) {
                if (connection != null) {
                    ControlSocket.close(connection);
                }
                pass(thinning.flush(System.nanoTime()));
            }
        }
    }

    /** Splits a connection into lines; too long a one ends the connection. */
    private static final class Lines {
        private final SocketChannel connection;
        private final ByteBuffer buffer = ByteBuffer.allocate(1 << 16).flip();

        Lines(SocketChannel connection) {
            this.connection = connection;
        }

        /** The next line without its end; null at the end of the connection. */
        byte @Nullable [] next() throws IOException {
            ByteArrayOutputStream line = new ByteArrayOutputStream();
            while (true) {
                while (buffer.hasRemaining()) {
                    byte next = buffer.get();
                    if (next == '\n') {
                        return line.toByteArray();
                    }
                    line.write(next);
                }
                if (line.size() > LONGEST_LINE) {
                    throw new IOException("a line is longer than " + LONGEST_LINE + " bytes");
                }
                buffer.clear();
                int count = connection.read(buffer);
                buffer.flip();
                if (count < 0) {
                    return null;
                }
            }
        }
    }
}
