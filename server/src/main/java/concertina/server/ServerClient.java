package concertina.server;

import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.ConnectException;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.SecureRandom;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.time.Duration;
import java.util.Base64;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * Calls a server on behalf of the command line, over the same HTTP everybody uses. Logs on at the first call that needs
 * it. Every refusal and every failure to connect is a one-line {@link ConcertinaException}. Not thread-safe.
 */
final class ServerClient implements AutoCloseable {
    private static final String EXEC_API = "/platform/rest/deeplearning/v1";
    private static final JsonMapper JSON = JsonMapper.builder().build();
    private static final Duration PATIENCE = Duration.ofSeconds(60);

    private final Access access;
    private final HttpClient http;
    private @Nullable String token;

    ServerClient(Access access) {
        this.access = access;
        HttpClient.Builder builder =
                HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).connectTimeout(Duration.ofSeconds(10));
        if (access.certificate() != null) {
            builder.sslContext(trusting(access.certificate()));
        }
        this.http = builder.build();
    }

    Access access() {
        return access;
    }

    /** Whether the server says that all of it is up. */
    boolean healthy() throws InterruptedException {
        try {
            return http.send(request("/healthz").timeout(Duration.ofSeconds(5)).build(), BodyHandlers.discarding())
                            .statusCode()
                    == 200;
        } catch (IOException unreachable) {
            return false;
        }
    }

    /** GET of our own API. */
    JsonNode get(String path) throws InterruptedException {
        return json(send(authorized(path).GET().build()));
    }

    /** A call of our own API with a JSON body. */
    JsonNode call(String method, String path, JsonNode body) throws InterruptedException {
        return json(send(authorized(path)
                .header("Content-Type", "application/json")
                .method(method, BodyPublishers.ofString(body.toString()))
                .build()));
    }

    /**
     * Submits a job through the exec API.
     *
     * @param arguments the command line, words quoted as a shell would
     * @param fileName name under which the code is sent
     * @return the job's id
     */
    String submit(String arguments, @Nullable Path code, String fileName) throws InterruptedException {
        HttpRequest.Builder request = authorized(EXEC_API + "/execs?args=" + encoded(arguments));
        if (code == null) {
            request.POST(BodyPublishers.noBody());
        } else {
            form(request, "", code, fileName);
        }
        return json(send(request.build())).path("id").asString("");
    }

    /**
     * Begins a search.
     *
     * @param data the search as the API of the contract takes it
     * @return the search's name
     */
    String createSearch(String data, @Nullable Path code, String fileName) throws InterruptedException {
        HttpRequest.Builder request = authorized(EXEC_API + "/hypersearch");
        if (code == null) {
            request.header("Content-Type", "application/json").POST(BodyPublishers.ofString(data));
        } else {
            form(request, data, code, fileName);
        }
        return json(send(request.build())).path("uid").asString("");
    }

    /** Puts a point in line to be tried next. */
    void enqueue(String search, String point) throws InterruptedException {
        body(send(authorized(SearchCommand.path(search) + "/points")
                .header("Content-Type", "application/json")
                .POST(BodyPublishers.ofString(point))
                .build()));
    }

    /** Stops (PUT), restarts (PUT of {@code /restart}) or deletes (DELETE) a search. */
    void changeSearch(String method, String search, String rest) throws InterruptedException {
        body(send(authorized(EXEC_API + "/hypersearch/" + encoded(search) + rest)
                .method(method, BodyPublishers.noBody())
                .build()));
    }

    private static void form(HttpRequest.Builder request, String data, Path code, String fileName) {
        String boundary = "concertina-" + HexFormat.of().toHexDigits(new SecureRandom().nextLong());
        String field = data.isEmpty()
                ? ""
                : "--" + boundary + "\r\nContent-Disposition: form-data; name=\"data\"\r\n\r\n" + data + "\r\n";
        String head = field + "--" + boundary + "\r\nContent-Disposition: form-data; name=\"file\"; filename=\""
                + fileName.replace("\"", "%22").replaceAll("[\\r\\n]", "_")
                + "\"\r\nContent-Type: application/octet-stream\r\n\r\n";
        request.header("Content-Type", "multipart/form-data; boundary=" + boundary)
                .timeout(Duration.ofHours(1))
                .POST(BodyPublishers.concat(
                        BodyPublishers.ofString(head),
                        file(code),
                        BodyPublishers.ofString("\r\n--" + boundary + "--\r\n")));
    }

    void stop(String job) throws InterruptedException {
        send(authorized(EXEC_API + "/execs/" + encoded(job) + "/stop")
                .POST(BodyPublishers.noBody())
                .build());
    }

    void resume(String job) throws InterruptedException {
        send(authorized("/concertina/v1/jobs/" + encoded(job) + "/resume")
                .POST(BodyPublishers.noBody())
                .build());
    }

    /**
     * Copies a job's log to a stream.
     *
     * @param follow whether to go on until the job has ended
     */
    void log(String job, String stream, boolean follow, OutputStream out) throws InterruptedException {
        String path = "/concertina/v1/jobs/" + encoded(job) + "/log?stream=" + stream + "&follow=" + follow;
        copy(path, out);
    }

    /** Copies what a path of our own API answers, as it comes. */
    void copy(String path, OutputStream out) throws InterruptedException {
        HttpResponse<InputStream> answer = send(authorized(path).build());
        byte[] buffer = new byte[1 << 14];
        try (InputStream body = answer.body()) {
            for (int count = body.read(buffer); count >= 0; count = body.read(buffer)) {
                out.write(buffer, 0, count);
                out.flush();
            }
        } catch (IOException broken) {
            throw new ConcertinaException(ErrorCode.NO_CAPACITY, "the answer broke off: " + reason(broken), broken);
        }
    }

    /** Saves the job's result, a zip, in a file. */
    void result(String job, Path file) throws InterruptedException {
        HttpResponse<InputStream> answer = send(authorized(EXEC_API + "/execs/" + encoded(job) + "/result")
                .timeout(Duration.ofHours(1))
                .build());
        try (InputStream body = answer.body()) {
            Files.copy(body, file, StandardCopyOption.REPLACE_EXISTING);
        } catch (IOException broken) {
            throw new ConcertinaException(
                    ErrorCode.INTERNAL,
                    "the result could not be saved in " + file + ": " + broken.getMessage(),
                    broken);
        }
    }

    @Override
    public void close() {
        http.shutdownNow();
    }

    static String encoded(String text) {
        return URLEncoder.encode(text, StandardCharsets.UTF_8).replace("+", "%20");
    }

    private HttpRequest.Builder request(String path) {
        return HttpRequest.newBuilder(URI.create(access.url() + path)).timeout(PATIENCE);
    }

    private HttpRequest.Builder authorized(String path) throws InterruptedException {
        String held = token;
        if (held == null) {
            String pair = access.user() + ":" + access.password();
            String basic = Base64.getEncoder().encodeToString(pair.getBytes(StandardCharsets.UTF_8));
            JsonNode answer = json(send(request("/auth/v1/logon")
                    .header("Authorization", "Basic " + basic)
                    .build()));
            held = answer.path("accessToken").asString("");
            token = held;
        }
        return request(path).header("Authorization", "Bearer " + held);
    }

    private HttpResponse<InputStream> send(HttpRequest request) throws InterruptedException {
        HttpResponse<InputStream> answer;
        try {
            answer = http.send(request, BodyHandlers.ofInputStream());
        } catch (ConnectException refused) {
            throw new ConcertinaException(
                    ErrorCode.NO_CAPACITY,
                    "no server answers at " + access.url() + "; './concertina up' starts one",
                    refused);
        } catch (IOException failed) {
            throw new ConcertinaException(
                    ErrorCode.NO_CAPACITY,
                    "the server at " + access.url() + " cannot be talked to: " + reason(failed),
                    failed);
        }
        if (answer.statusCode() >= 400) {
            throw new ConcertinaException(kind(answer.statusCode()), message(answer));
        }
        return answer;
    }

    private static String message(HttpResponse<InputStream> answer) {
        String body = body(answer).strip();
        if (body.startsWith("{")) {
            try {
                body = JSON.readTree(body).path("error").asString(body);
            } catch (tools.jackson.core.JacksonException notJson) {
                return "HTTP " + answer.statusCode() + ": " + firstLine(body);
            }
        }
        String line = firstLine(body).replaceFirst("^Error \\d{3}: ", "");
        return line.isEmpty() ? "the server answered with HTTP status " + answer.statusCode() : line;
    }

    private static String firstLine(String text) {
        return text.lines().findFirst().orElse("");
    }

    private static ErrorCode kind(int status) {
        return switch (status) {
            case 400 -> ErrorCode.INVALID_ARGUMENT;
            case 401 -> ErrorCode.NOT_AUTHENTICATED;
            case 403 -> ErrorCode.FORBIDDEN;
            case 404 -> ErrorCode.NOT_FOUND;
            case 409 -> ErrorCode.CONFLICT;
            case 413 -> ErrorCode.TOO_LARGE;
            case 429 -> ErrorCode.QUOTA_EXCEEDED;
            case 503 -> ErrorCode.NO_CAPACITY;
            case 507 -> ErrorCode.NO_SPACE;
            default -> ErrorCode.INTERNAL;
        };
    }

    private static JsonNode json(HttpResponse<InputStream> answer) {
        String body = body(answer);
        return body.isBlank() ? JSON.createObjectNode() : JSON.readTree(body);
    }

    private static String body(HttpResponse<InputStream> answer) {
        try (InputStream body = answer.body()) {
            return new String(body.readAllBytes(), StandardCharsets.UTF_8);
        } catch (IOException broken) {
            throw new ConcertinaException(ErrorCode.NO_CAPACITY, "the server's answer broke off", broken);
        }
    }

    private static BodyPublisher file(Path code) {
        try {
            return BodyPublishers.ofFile(code);
        } catch (IOException missing) {
            throw new ConcertinaException(ErrorCode.NOT_FOUND, code + " cannot be read", missing);
        }
    }

    private static String reason(IOException failed) {
        return Optional.ofNullable(failed.getMessage()).orElse(failed.getClass().getSimpleName());
    }

    private static SSLContext trusting(Path certificateFile) {
        try {
            KeyStore trusted = KeyStore.getInstance(KeyStore.getDefaultType());
            trusted.load(null, null);
            int number = 0;
            for (Certificate certificate : CertificateFactory.getInstance("X.509")
                    .generateCertificates(new ByteArrayInputStream(Files.readAllBytes(certificateFile)))) {
                trusted.setCertificateEntry("given-" + number++, certificate);
            }
            TrustManagerFactory factory = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
            factory.init(trusted);
            SSLContext context = SSLContext.getInstance("TLS");
            context.init(null, factory.getTrustManagers(), null);
            return context;
        } catch (GeneralSecurityException | IOException unusable) {
            throw new ConcertinaException(
                    ErrorCode.INVALID_ARGUMENT,
                    "certificate is '" + certificateFile + "', accepted: a readable PEM certificate",
                    unusable);
        }
    }

    /** Words as one line that a shell, and the exec API, would split into the same words. */
    static String quoted(List<String> words) {
        StringBuilder line = new StringBuilder();
        for (String word : words) {
            if (!line.isEmpty()) {
                line.append(' ');
            }
            line.append(
                    word.matches("[A-Za-z0-9_@%+=:,./{}\\[\\]-]+") ? word : "'" + word.replace("'", "'\"'\"'") + "'");
        }
        return line.toString();
    }
}
