package concertina.agent;

import concertina.model.AgentCommand;
import concertina.model.AgentHello;
import concertina.model.AgentId;
import concertina.model.AgentReport;
import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import concertina.model.JobId;
import concertina.wire.Json;
import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandler;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Supplier;
import javax.net.ssl.SSLContext;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * The agent's calls to the server, one method per call of docs/protocol.md. An unreachable or ailing server is an {@link
 * IOException}, to be retried; a refusal is a {@link ConcertinaException}, CONFLICT meaning an unknown session. Never
 * retries by itself. Thread-safe.
 */
final class ServerLink {
    private static final Logger log = LoggerFactory.getLogger(ServerLink.class);
    private static final Duration SHORT_CALL = Duration.ofSeconds(20);
    private static final Duration POLL = Duration.ofSeconds(35);
    private static final Duration TRANSFER = Duration.ofMinutes(30);

    private final AgentId agent;
    private final URI server;
    private final Supplier<String> token;
    private final HttpClient client;
    private final JsonMapper json = Json.mapper();

    /**
     * @param token read for every call, so that a replaced token file is noticed
     * @param trust what the server's certificate is checked against; null for plain HTTP
     */
    ServerLink(AgentId agent, URI server, Supplier<String> token, @Nullable SSLContext trust) {
        this.agent = agent;
        this.server = server;
        this.token = token;
        HttpClient.Builder builder = HttpClient.newBuilder()
                .version(HttpClient.Version.HTTP_1_1)
                .connectTimeout(Duration.ofSeconds(5))
                .followRedirects(HttpClient.Redirect.NEVER);
        if (trust != null) {
            builder.sslContext(trust);
        }
        this.client = builder.build();
    }

    /** A command with its place in the order of the session. Absent when this agent does not understand it. */
    record NumberedCommand(long sequence, Optional<AgentCommand> command) {}

    /** Code as it was uploaded. */
    record Download(Path file, String name) {}

    private record PollBody(String session, long acknowledged, List<Integer> ports) {}

    private record ReportsBody(String session, List<AgentReport> reports) {}

    void join(AgentHello hello) throws IOException, InterruptedException {
        send("POST", "/join", body(hello), SHORT_CALL, BodyHandlers.ofByteArray());
    }

    List<NumberedCommand> poll(String session, long acknowledged, List<Integer> ports)
            throws IOException, InterruptedException {
        byte[] answer = send(
                        "POST",
                        "/agents/" + text(agent) + "/poll",
                        body(new PollBody(session, acknowledged, ports)),
                        POLL,
                        BodyHandlers.ofByteArray())
                .body();
        List<NumberedCommand> commands = new ArrayList<>();
        try {
            for (JsonNode entry : json.readTree(answer).path("commands")) {
                commands.add(new NumberedCommand(entry.path("sequence").asLong(), command(entry.path("command"))));
            }
        } catch (JacksonException e) {
            throw new IOException("the server's answer to a poll is not JSON", e);
        }
        return commands;
    }

    private Optional<AgentCommand> command(JsonNode node) {
        try {
            return Optional.of(json.treeToValue(node, AgentCommand.class));
        } catch (JacksonException | IllegalArgumentException e) {
            log.warn(
                    "command not understood and skipped: kind {}",
                    node.path("kind").asString("?"));
            return Optional.empty();
        }
    }

    void report(String session, List<AgentReport> reports) throws IOException, InterruptedException {
        send(
                "POST",
                "/agents/" + text(agent) + "/reports",
                body(new ReportsBody(session, reports)),
                SHORT_CALL,
                BodyHandlers.ofByteArray());
    }

    /** Downloads a job's code into a new file of a folder; empty when the job has none. */
    Optional<Download> code(JobId job, Path folder) throws IOException, InterruptedException {
        try {
            HttpResponse<InputStream> response = send(
                    "GET",
                    "/jobs/" + text(job) + "/code",
                    BodyPublishers.noBody(),
                    TRANSFER,
                    BodyHandlers.ofInputStream());
            String name = response.headers().firstValue("Concertina-Code-Name").orElse("code");
            return Optional.of(new Download(save(response, folder), name));
        } catch (ConcertinaException e) {
            if (e.code() == ErrorCode.NOT_FOUND) {
                return Optional.empty();
            }
            throw e;
        }
    }

    List<String> checkpoints(JobId job) throws IOException, InterruptedException {
        return paths(job, "checkpoints");
    }

    /** Paths below RESULT_DIR of what a job has left, without its code and logs. */
    List<String> results(JobId job) throws IOException, InterruptedException {
        return paths(job, "results");
    }

    private List<String> paths(JobId job, String kind) throws IOException, InterruptedException {
        byte[] answer = send(
                        "GET",
                        "/jobs/" + text(job) + "/" + kind,
                        BodyPublishers.noBody(),
                        SHORT_CALL,
                        BodyHandlers.ofByteArray())
                .body();
        try {
            return List.of(json.readValue(answer, String[].class));
        } catch (JacksonException e) {
            throw new IOException("the server's list of " + kind + " is not JSON", e);
        }
    }

    /** Downloads one of the job's files into a new file of a folder. */
    Path file(JobId job, String path, Path folder) throws IOException, InterruptedException {
        return save(
                send("GET", filePath(job, path), BodyPublishers.noBody(), TRANSFER, BodyHandlers.ofInputStream()),
                folder);
    }

    private static Path save(HttpResponse<InputStream> response, Path folder) throws IOException {
        Path file = Files.createTempFile(folder, ".download-", ".tmp");
        try (InputStream bytes = response.body()) {
            Files.copy(bytes, file, StandardCopyOption.REPLACE_EXISTING);
        } catch (IOException e) {
            Files.deleteIfExists(file);
            throw e;
        }
        return file;
    }

    /**
     * Writes at an offset of a growing file.
     *
     * @return the offset from which to go on: the end of what was written, or the file's size where the server has less
     *     than the offset
     */
    long write(JobId job, String path, long offset, byte[] bytes) throws IOException, InterruptedException {
        HttpResponse<byte[]> response = exchange(
                "PUT",
                filePath(job, path) + "&offset=" + offset,
                BodyPublishers.ofByteArray(bytes),
                TRANSFER,
                BodyHandlers.ofByteArray());
        if (response.statusCode() == 409) {
            try {
                JsonNode size = json.readTree(response.body()).path("size");
                if (size.isIntegralNumber()) {
                    return size.asLong();
                }
            } catch (JacksonException e) {
                throw new IOException("the server's answer to a write is not JSON", e);
            }
        }
        check(response);
        return offset + bytes.length;
    }

    /** Replaces a whole file. */
    void replace(JobId job, String path, BodyPublisher bytes) throws IOException, InterruptedException {
        send("PUT", filePath(job, path), bytes, TRANSFER, BodyHandlers.ofByteArray());
    }

    /** Removes a checkpoint. */
    void remove(JobId job, String path) throws IOException, InterruptedException {
        send("DELETE", filePath(job, path), BodyPublishers.noBody(), TRANSFER, BodyHandlers.ofByteArray());
    }

    private static String filePath(JobId job, String path) {
        return "/jobs/" + text(job) + "/files?path=" + URLEncoder.encode(path, StandardCharsets.UTF_8);
    }

    private BodyPublisher body(Object value) {
        return BodyPublishers.ofByteArray(json.writeValueAsBytes(value));
    }

    private static String text(Object id) {
        return URLEncoder.encode(id.toString(), StandardCharsets.UTF_8).replace("+", "%20");
    }

    private <T> HttpResponse<T> send(
            String method, String path, BodyPublisher body, Duration limit, BodyHandler<T> handler)
            throws IOException, InterruptedException {
        HttpResponse<T> response = exchange(method, path, body, limit, handler);
        check(response);
        return response;
    }

    private <T> HttpResponse<T> exchange(
            String method, String path, BodyPublisher body, Duration limit, BodyHandler<T> handler)
            throws IOException, InterruptedException {
        HttpRequest request = HttpRequest.newBuilder(URI.create(server + "/agent/v1" + path))
                .method(method, body)
                .timeout(limit)
                .header("Authorization", "Bearer " + token.get())
                .header("Content-Type", body.contentLength() == 0 ? "text/plain" : contentType(method))
                .build();
        return client.send(request, handler);
    }

    private static String contentType(String method) {
        return method.equals("PUT") ? "application/octet-stream" : "application/json";
    }

    private static void check(HttpResponse<?> response) throws IOException {
        int status = response.statusCode();
        if (status < 300) {
            return;
        }
        String call =
                response.request().method() + " " + response.request().uri().getPath();
        if (response.body() instanceof InputStream unread) {
            unread.close();
        }
        switch (status) {
            case 400, 413 ->
                throw new ConcertinaException(
                        status == 413 ? ErrorCode.TOO_LARGE : ErrorCode.INVALID_ARGUMENT,
                        call + " was refused: " + status);
            case 403 -> throw new ConcertinaException(ErrorCode.FORBIDDEN, call + " is forbidden");
            case 404 -> throw new ConcertinaException(ErrorCode.NOT_FOUND, call + " found nothing");
            case 409 -> throw new ConcertinaException(ErrorCode.CONFLICT, call + " conflicts with the server's state");
            default -> throw new IOException(call + " was answered with status " + status);
        }
    }
}
