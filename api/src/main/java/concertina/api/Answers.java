package concertina.api;

import concertina.wire.Json;
import io.javalin.http.Context;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import tools.jackson.databind.json.JsonMapper;

/** Writes answers that several contracts share. */
public final class Answers {
    private static final JsonMapper JSON = Json.mapper();

    private Answers() {}

    public static void json(Context context, Object value) {
        context.contentType("application/json").result(JSON.writeValueAsString(value));
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
