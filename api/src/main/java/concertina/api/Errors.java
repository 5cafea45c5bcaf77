package concertina.api;

import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import io.javalin.http.Context;
import io.javalin.http.HttpResponseException;
import java.io.IOException;
import java.nio.file.FileSystemException;
import java.util.Map;
import java.util.UUID;
import org.eclipse.jetty.ee10.servlet.ServletContextRequest;
import org.eclipse.jetty.io.EofException;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import tools.jackson.databind.json.JsonMapper;

/**
 * Turns what went wrong into an answer. Below {@code /concertina} and {@code /agent} errors are JSON, everywhere else the text
 * line {@code Error <status>: <message>} of the exec API. What is not a user's mistake is logged under an incident number and
 * answered with that number alone.
 */
final class Errors {
    private static final Logger LOG = LoggerFactory.getLogger(Errors.class);
    private static final JsonMapper JSON = JsonMapper.builder().build();

    private Errors() {}

    static void answer(Throwable failure, Context context) {
        if (context.res().isCommitted() || abandoned(failure)) {
            LOG.debug("{} {} ended early: {}", context.method(), context.path(), failure.toString());
            cut(context);
            return;
        }
        Uploads.drain(context);
        if (failure instanceof HttpResponseException known) {
            write(context, known);
        } else if (failure instanceof ConcertinaException known && known.code().kind() != ErrorCode.Kind.INTERNAL) {
            write(context, known.code().httpStatus(), known.code().name(), oneLine(known.getMessage()));
        } else if (withoutSpace(failure)) {
            LOG.error("{} {} found a full disk", context.method(), context.path(), failure);
            ErrorCode code = ErrorCode.NO_SPACE;
            write(
                    context,
                    code.httpStatus(),
                    code.name(),
                    "the disk of the server's files is full; free some and try again");
        } else {
            incident(failure, context);
        }
    }

    private static void write(Context context, HttpResponseException known) {
        switch (known.getStatus()) {
            case 404 -> write(context, 404, "NOT_FOUND", "no such path: " + context.path());
            case 405 ->
                write(context, 405, "METHOD_NOT_ALLOWED", context.method() + " is not available for " + context.path());
            case 413 -> write(context, 413, "TOO_LARGE", "the body is over the limit");
            default -> write(context, known.getStatus(), "HTTP_" + known.getStatus(), oneLine(known.getMessage()));
        }
    }

    private static void incident(Throwable failure, Context context) {
        String number = UUID.randomUUID().toString().substring(0, 13);
        LOG.error("incident {}: {} {} failed", number, context.method(), context.path(), failure);
        write(context, 500, "INTERNAL", "the server failed; its log says more under incident " + number);
    }

    private static void write(Context context, int status, String code, String message) {
        context.res().resetBuffer();
        context.status(status);
        if (status == 401) {
            context.res().addHeader("WWW-Authenticate", "Bearer realm=\"concertina\"");
            context.res().addHeader("WWW-Authenticate", "Basic realm=\"concertina\", charset=\"UTF-8\"");
        }
        context.removeHeader("Content-Length").removeHeader("Content-Disposition");
        context.contentType(contentType(context.path()));
        context.result(body(context.path(), status, code, message));
    }

    static String contentType(String path) {
        return json(path) ? "application/json" : "text/plain; charset=utf-8";
    }

    /** An error's body in the shape of the contract that owns the path. */
    static String body(String path, int status, String code, String message) {
        return json(path)
                ? JSON.writeValueAsString(Map.of("error", message, "code", code))
                : "Error " + status + ": " + message + "\n";
    }

    private static boolean json(String path) {
        return path.startsWith("/concertina/") || path.startsWith("/agent/");
    }

    private static boolean abandoned(Throwable failure) {
        return failure instanceof EofException
                || (failure instanceof IOException && failure.getCause() instanceof EofException);
    }

    /** Java has only the system's words for it. */
    private static boolean withoutSpace(Throwable failure) {
        for (Throwable cause = failure; cause != null; cause = cause.getCause()) {
            String words = cause instanceof FileSystemException inFiles ? inFiles.getReason() : cause.getMessage();
            if (cause instanceof IOException
                    && words != null
                    && (words.contains("No space left on device") || words.contains("Disk quota exceeded"))) {
                return true;
            }
        }
        return false;
    }

    private static String oneLine(@Nullable String message) {
        if (message == null) {
            return "not accepted";
        }
        String line = message.replaceAll("\\p{Cntrl}+", " ").strip();
        return line.length() > 2000 ? line.substring(0, 2000) + "…" : line;
    }

    /** The answer had begun or nobody listens any more: an orderly end would pass for a whole answer. */
    private static void cut(Context context) {
        ServletContextRequest.getServletContextRequest(context.req())
                .getConnectionMetaData()
                .getConnection()
                .getEndPoint()
                .close();
    }
}
