package concertina.api;

import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import io.javalin.http.Context;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CoderResult;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.eclipse.jetty.http.HttpFields;
import org.eclipse.jetty.http.MultiPart;
import org.eclipse.jetty.io.Content;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Reads request bodies within their limits. A multipart body streams to files in a folder of its own that vanishes with the
 * {@link Form}, whatever happened. Thread-safe.
 */
public final class Uploads {
    private static final Logger LOG = LoggerFactory.getLogger(Uploads.class);
    private static final String PREFIX = "upload-";
    private static final long DRAIN_BYTES = 64L << 20;
    private static final long FIELD_LIMIT_BYTES = 1 << 20;
    private static final int MAX_PARTS = 100;
    private static final Duration DRAIN_TIME = Duration.ofSeconds(10);
    private static final Duration SMALL_BODY_TIME = Duration.ofSeconds(60);
    private static final int SECONDS_IN_QUEUE = 20;

    private final HttpOptions options;
    private final Semaphore places;

    public Uploads(HttpOptions options) {
        this.options = options;
        this.places = new Semaphore(options.concurrentUploads(), true);
    }

    /** Removes what a killed server was receiving; only before anything is received. */
    public void sweep() {
        try (DirectoryStream<Path> left = Files.newDirectoryStream(options.temporaryFolder(), PREFIX + "*")) {
            for (Path folder : left) {
                new Form(folder).close();
            }
        } catch (NoSuchFileException none) {
            LOG.debug("nothing has been uploaded yet");
        } catch (IOException | DirectoryIteratorException failure) {
            LOG.warn("leftovers of uploads in {} cannot be removed: {}", options.temporaryFolder(), failure.toString());
        }
    }

    /** A part with a file name; its bytes lie at {@code path} until the form is closed. */
    public record FilePart(String name, String fileName, Path path) {}

    /** A multipart body; closing it removes what is left of its files. */
    public static final class Form implements AutoCloseable {
        private final Map<String, String> fields = new LinkedHashMap<>();
        private final List<FilePart> files = new ArrayList<>();
        private final @Nullable Path folder;

        private Form(@Nullable Path folder) {
            this.folder = folder;
        }

        public Optional<String> field(String name) {
            return Optional.ofNullable(fields.get(name));
        }

        /** A text that clients send as a field or, some of them, as a file part of that name; empty when neither says anything. */
        public Optional<String> text(String name, int limitBytes) throws IOException {
            Optional<String> field = field(name).filter(text -> !text.isBlank());
            if (field.isPresent()) {
                return field;
            }
            for (FilePart file : files) {
                if (file.name().equals(name)) {
                    if (Files.size(file.path()) > limitBytes) {
                        throw tooLarge("part", name, limitBytes);
                    }
                    return Optional.of(utf8(Files.readAllBytes(file.path()), "part " + name));
                }
            }
            return Optional.empty();
        }

        /** File parts in the order in which they came, whatever their names. */
        public List<FilePart> files() {
            return List.copyOf(files);
        }

        @Override
        public void close() throws IOException {
            if (folder == null) {
                return;
            }
            try (Stream<Path> left = Files.list(folder)) {
                for (Path file : left.toList()) {
                    Files.deleteIfExists(file);
                }
            }
            Files.deleteIfExists(folder);
        }
    }

    /** Reads the body; a body that is not multipart gives an empty form and is left alone. */
    public Form receive(Context context) throws IOException, InterruptedException {
        checkLength(context, options.uploadLimitBytes());
        String type = context.req().getContentType();
        if (type == null || !type.regionMatches(true, 0, "multipart/form-data", 0, 19)) {
            return new Form(null);
        }
        String boundary = MultiPart.extractBoundary(type);
        if (boundary == null || boundary.isEmpty()) {
            throw ConcertinaException.invalid("Content-Type", type, "multipart/form-data; boundary=...");
        }
        if (!places.tryAcquire(SECONDS_IN_QUEUE, TimeUnit.SECONDS)) {
            throw new ConcertinaException(
                    ErrorCode.NO_CAPACITY,
                    options.concurrentUploads() + " uploads are being read already; try again later");
        }
        try {
            Files.createDirectories(options.temporaryFolder());
            Form form = new Form(Files.createTempDirectory(options.temporaryFolder(), PREFIX));
            try {
                parse(context, boundary, form);
                return form;
            } catch (IOException | RuntimeException failure) {
                form.close();
                throw failure;
            }
        } finally {
            places.release();
        }
    }

    /** Reads a small body whole. */
    public byte[] small(Context context, int limitBytes) throws IOException {
        checkLength(context, limitBytes);
        try (InputStream body = guarded(context, limitBytes, SMALL_BODY_TIME)) {
            return body.readAllBytes();
        }
    }

    /** The body as a stream that fails when it is larger or slower than allowed. */
    public InputStream stream(Context context, long limitBytes, Duration timeout) throws IOException {
        checkLength(context, limitBytes);
        return guarded(context, limitBytes, timeout);
    }

    /**
     * Reads what is left of a refused body, within bounds: many clients look for the answer only after they have sent
     * everything.
     */
    static void drain(Context context) {
        try (InputStream body = context.req().getInputStream()) {
            byte[] buffer = new byte[1 << 16];
            long deadline = System.nanoTime() + DRAIN_TIME.toNanos();
            long left = DRAIN_BYTES;
            while (left > 0 && System.nanoTime() < deadline) {
                int count = body.read(buffer);
                if (count < 0) {
                    return;
                }
                left -= count;
            }
            context.header("Connection", "close");
        } catch (IOException | IllegalStateException gone) {
            context.header("Connection", "close");
        }
    }

    private static InputStream guarded(Context context, long limitBytes, Duration timeout) throws IOException {
        return new GuardedInput(context.req().getInputStream(), limitBytes, timeout);
    }

    private static void checkLength(Context context, long limitBytes) {
        if (context.req().getContentLengthLong() > limitBytes) {
            throw GuardedInput.tooLarge(limitBytes);
        }
    }

    private void parse(Context context, String boundary, Form form) throws IOException {
        Collector collector = new Collector(form);
        MultiPart.Parser parser = new MultiPart.Parser(boundary, collector);
        parser.setMaxParts(MAX_PARTS);
        try (InputStream body = guarded(context, options.uploadLimitBytes(), options.uploadTimeout())) {
            byte[] buffer = new byte[1 << 16];
            int count = body.read(buffer);
            while (count >= 0 && !collector.complete) {
                parser.parse(Content.Chunk.from(ByteBuffer.wrap(buffer, 0, count), false));
                collector.check();
                count = body.read(buffer);
            }
            if (!collector.complete) {
                parser.parse(Content.Chunk.EOF);
                collector.check();
            }
        } finally {
            collector.closeFile();
        }
        if (!collector.complete) {
            throw malformed("it ends before its last boundary");
        }
    }

    private static ConcertinaException malformed(String why) {
        return new ConcertinaException(
                ErrorCode.INVALID_ARGUMENT,
                "the body is not a multipart form: " + why + ", accepted: multipart/form-data");
    }

    private static ConcertinaException tooLarge(String kind, @Nullable String name, long limitBytes) {
        return new ConcertinaException(
                ErrorCode.TOO_LARGE,
                "form " + kind + " " + name + " is over the limit, accepted: at most " + limitBytes + " bytes");
    }

    /**
     * Bytes as text.
     *
     * @param what where they come from, for the message
     * @throws ConcertinaException INVALID_ARGUMENT naming the first byte that is not UTF-8
     */
    public static String utf8(byte[] bytes, String what) {
        ByteBuffer left = ByteBuffer.wrap(bytes);
        CharBuffer text = CharBuffer.allocate(bytes.length);
        CoderResult result = StandardCharsets.UTF_8.newDecoder().decode(left, text, true);
        if (result.isError()) {
            throw ConcertinaException.invalid(
                    what, "a byte 0x%02x at %d".formatted(bytes[left.position()] & 0xff, left.position()), "UTF-8");
        }
        return text.flip().toString();
    }

    /** Takes the parser's events in order; the first failure is kept and ends the reading. */
    private static final class Collector extends MultiPart.AbstractPartsListener {
        private final Form form;
        private @Nullable OutputStream file;
        private @Nullable Path path;
        private @Nullable ByteArrayOutputStream text;
        private @Nullable RuntimeException failure;
        private boolean complete;

        Collector(Form form) {
            this.form = form;
        }

        @Override
        public void onPartContent(Content.Chunk chunk) {
            ByteBuffer bytes = chunk.getByteBuffer();
            byte[] copy = new byte[bytes.remaining()];
            bytes.get(copy);
            try {
                if (getFileName() != null) {
                    file().write(copy);
                } else {
                    ByteArrayOutputStream field = text == null ? new ByteArrayOutputStream() : text;
                    text = field;
                    if (field.size() + copy.length > FIELD_LIMIT_BYTES) {
                        throw tooLarge("field", getName(), FIELD_LIMIT_BYTES);
                    }
                    field.writeBytes(copy);
                }
            } catch (IOException cause) {
                fail(new UncheckedIOException(cause));
            } catch (ConcertinaException refused) {
                fail(refused);
            }
        }

        @Override
        public void onPart(@Nullable String name, @Nullable String fileName, HttpFields headers) {
            String partName = name == null ? "" : name;
            try {
                if (fileName == null) {
                    form.fields.putIfAbsent(
                            partName, text == null ? "" : utf8(text.toByteArray(), "field " + partName));
                } else if (!fileName.isEmpty()) {
                    file();
                    closeFile();
                    Path written = path;
                    if (written != null) {
                        form.files.add(new FilePart(partName, baseName(fileName), written));
                    }
                } else {
                    closeFile();
                }
            } catch (IOException cause) {
                fail(new UncheckedIOException(cause));
            } catch (ConcertinaException refused) {
                fail(refused);
            }
            text = null;
            path = null;
        }

        @Override
        public void onComplete() {
            complete = true;
        }

        @Override
        public void onFailure(Throwable cause) {
            fail(malformed(cause.getMessage() == null ? "unreadable" : cause.getMessage()));
        }

        private void fail(RuntimeException cause) {
            if (failure == null) {
                failure = cause;
            }
        }

        private void check() {
            RuntimeException first = failure;
            if (first != null) {
                throw first;
            }
        }

        private OutputStream file() throws IOException {
            OutputStream open = file;
            if (open == null && form.folder != null) {
                Path target = form.folder.resolve("part-" + form.files.size());
                open = Files.newOutputStream(target);
                file = open;
                path = target;
            }
            if (open == null) {
                throw new IOException("no folder for files");
            }
            return open;
        }

        private void closeFile() throws IOException {
            OutputStream open = file;
            file = null;
            if (open != null) {
                open.close();
            }
        }

        private static String baseName(String fileName) {
            String name = fileName.replace('\\', '/');
            name = name.substring(name.lastIndexOf('/') + 1);
            if (name.isBlank()
                    || name.equals(".")
                    || name.equals("..")
                    || name.getBytes(StandardCharsets.UTF_8).length > 255
                    || name.chars().anyMatch(Character::isISOControl)) {
                throw ConcertinaException.invalid(
                        "filename", fileName, "a file name of 1 to 255 bytes without control characters");
            }
            return name;
        }
    }
}
