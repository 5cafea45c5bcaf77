package concertina.api;

import concertina.wire.Json;
import io.javalin.http.Context;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.function.Function;
import tools.jackson.databind.json.JsonMapper;

/** Writes answers that several contracts share. */
public final class Answers {
    private static final JsonMapper JSON = Json.mapper();

    private Answers() {}

    public static void json(Context context, Object value) {
        context.contentType("application/json").result(JSON.writeValueAsString(value));
    }

    /** The same for an answer with long lists, written as it is made; what it is made of must not fail any more. */
    public static void stream(Context context, Object value) throws IOException {
        context.contentType("application/json");
        try (OutputStream out = context.outputStream()) {
            JSON.writeValue(out, value);
        }
    }

    /** A list each item of which is made when it is written. */
    public static <T, R> Iterable<R> each(List<T> list, Function<? super T, R> item) {
        return () -> list.stream().map(item).iterator();
    }

    public static void text(Context context, String value) {
        context.contentType("text/plain; charset=utf-8").result(value);
    }

    /** Sends a file and its size. */
    public static void file(Context context, Path file, String contentType) throws IOException {
        context.contentType(contentType)
                .header("Content-Length", Long.toString(Files.size(file)))
                .result(Files.newInputStream(file));
    }

    /** Sends a file that is removed once it has been read, or could not be. */
    public static void temporaryFile(Context context, Path file, String contentType) throws IOException {
        context.contentType(contentType)
                .header("Content-Length", Long.toString(Files.size(file)))
                .result(Files.newInputStream(file, StandardOpenOption.DELETE_ON_CLOSE));
    }

    /** A {@code Content-Disposition} file name cannot hold every character; what it cannot becomes an underscore. */
    public static String headerName(String fileName) {
        byte[] ascii = fileName.getBytes(StandardCharsets.US_ASCII);
        return new String(ascii, StandardCharsets.US_ASCII).replaceAll("[^A-Za-z0-9._-]", "_");
    }
}
