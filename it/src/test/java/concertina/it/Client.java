package concertina.it;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** Speaks to a platform over HTTPS as one user. Thread-safe. */
final class Client {
    static final String EXEC = "/platform/rest/deeplearning/v1";
    static final String NATIVE = "/concertina/v1";
    private static final JsonMapper JSON = JsonMapper.builder().build();
    private static final Duration REQUEST = Duration.ofSeconds(60);

    private final Platform platform;
    private final String user;
    private final String password;
    private final HttpClient http;
    private volatile @Nullable String token;

    Client(Platform platform, String user, String password) {
        this.platform = platform;
        this.user = user;
        this.password = password;
        this.http = HttpClient.newBuilder()
                .sslContext(platform.trust())
                .version(HttpClient.Version.HTTP_1_1)
                .connectTimeout(REQUEST)
                .build();
    }

    /** The administrator whom the first start made and left in the client file. */
    static Client fromFile(Platform platform) {
        Map<String, String> entries = new HashMap<>();
        try {
            for (String line : Files.readAllLines(platform.data().resolve("run/client.yaml"))) {
                int colon = line.indexOf(": ");
                if (colon > 0) {
                    entries.put(
                            line.substring(0, colon),
                            line.substring(colon + 2).strip().replace("\"", ""));
                }
            }
        } catch (IOException failed) {
            throw new UncheckedIOException(failed);
        }
        String user = entries.get("user");
        String password = entries.get("password");
        if (user == null || password == null) {
            throw new IllegalStateException("client file without user or password");
        }
        return new Client(platform, user, password);
    }

    String user() {
        return user;
    }

    String password() {
        return password;
    }

    String basic() {
        return "Basic " + Base64.getEncoder().encodeToString((user + ":" + password).getBytes(StandardCharsets.UTF_8));
    }

    /** A token of this user; logs on the first time. */
    String token() {
        String known = token;
        if (known == null) {
            HttpResponse<String> answer = text("GET", "/auth/v1/logon", Map.of("Authorization", basic()), new byte[0]);
            assertThat(answer.statusCode()).as(answer.body()).isEqualTo(200);
            known = JSON.readTree(answer.body()).get("accessToken").asString();
            token = known;
        }
        return known;
    }

    boolean healthy() {
        return text("GET", "/healthz", Map.of(), new byte[0]).statusCode() == 200;
    }

    // --- Exec API ---------------------------------------------------------------------------------------------------

    /** Submits and insists on success. */
    JsonNode submit(String arguments, Upload... parts) {
        HttpResponse<String> answer = trySubmit(arguments, parts);
        assertThat(answer.statusCode()).as(answer.body()).isEqualTo(200);
        return JSON.readTree(answer.body());
    }

    HttpResponse<String> trySubmit(String arguments, Upload... parts) {
        String path = EXEC + "/execs?args=" + encoded(arguments);
        if (parts.length == 0) {
            return text("POST", path, authorized(), new byte[0]);
        }
        return upload(path, parts);
    }

    /** Posts parts with this user's token. */
    HttpResponse<String> upload(String path, Upload... parts) {
        Map<String, String> headers = new HashMap<>(authorized());
        headers.put("Content-Type", "multipart/form-data; boundary=" + Upload.BOUNDARY);
        return text("POST", path, headers, Upload.body(List.of(parts)));
    }

    JsonNode exec(String id) {
        return json(get(EXEC + "/execs/" + id));
    }

    String state(String id) {
        return exec(id).get("state").asString();
    }

    /** Waits until the job has ended in that state; fails at once when it ended in another. */
    JsonNode awaitState(String id, String state, Duration limit) {
        List<String> ends = List.of("FINISHED", "KILLED", "ERROR");
        JsonNode ended = Waiting.until(
                "job " + id + " to be " + state,
                limit,
                () -> exec(id),
                exec -> exec.get("state").asString().equals(state)
                        || ends.contains(exec.get("state").asString()),
                () -> explain(id));
        assertThat(ended.get("state").asString()).as(() -> explain(id)).isEqualTo(state);
        return ended;
    }

    void stop(String id) {
        HttpResponse<String> answer = text("POST", EXEC + "/execs/" + id + "/stop", authorized(), new byte[0]);
        assertThat(answer.statusCode()).as(answer.body()).isEqualTo(204);
    }

    /** The log of the given type as raw text; the training log for an empty type. */
    String log(String id, String type) {
        Map<String, String> headers = new HashMap<>(authorized());
        headers.put("Accept", "text/plain");
        HttpResponse<String> answer = text(
                "GET",
                EXEC + "/execs/" + id + "/log" + (type.isEmpty() ? "" : "?logType=" + type),
                headers,
                new byte[0]);
        assertThat(answer.statusCode()).as(answer.body()).isEqualTo(200);
        return answer.body();
    }

    // --- Own API ----------------------------------------------------------------------------------------------------

    /** The job as the platform itself describes it: generation, step, workers, switches, digest. */
    JsonNode job(String id) {
        return json(get(NATIVE + "/jobs/" + id));
    }

    JsonNode cluster() {
        return json(get(NATIVE + "/cluster"));
    }

    List<String> connectedAgents() {
        List<String> names = new ArrayList<>();
        for (JsonNode agent : cluster().get("agents")) {
            if (agent.get("connected").asBoolean()) {
                names.add(agent.get("agent").asString());
            }
        }
        return names;
    }

    /** Waits until the job, as the platform describes it, satisfies a condition; fails at once when it ended in ERROR. */
    JsonNode awaitJob(String awaited, String id, Duration limit, Predicate<JsonNode> condition) {
        JsonNode job = Waiting.until(
                awaited,
                limit,
                () -> job(id),
                view -> view.get("state").asString().equals("ERROR") || condition.test(view),
                () -> explain(id));
        assertThat(condition.test(job)).as(() -> awaited + "\n" + explain(id)).isTrue();
        return job;
    }

    /** What is known of a job, for the message of a failure. */
    String explain(String id) {
        return get(NATIVE + "/jobs/" + id).body() + "\n" + platform.logs();
    }

    // --- HTTP -------------------------------------------------------------------------------------------------------

    Map<String, String> authorized() {
        return Map.of("X-Auth-Token", token());
    }

    HttpResponse<String> get(String path) {
        return text("GET", path, authorized(), new byte[0]);
    }

    HttpResponse<String> send(String method, String path) {
        return text(method, path, authorized(), new byte[0]);
    }

    HttpResponse<String> text(String method, String path, Map<String, String> headers, byte[] body) {
        return send(request(method, path, headers, body), BodyHandlers.ofString());
    }

    HttpResponse<byte[]> bytes(String path) {
        return send(request("GET", path, authorized(), new byte[0]), BodyHandlers.ofByteArray());
    }

    HttpResponse<Path> file(String path, Path target) {
        return send(request("GET", path, authorized(), new byte[0]), BodyHandlers.ofFile(target));
    }

    static JsonNode json(HttpResponse<String> answer) {
        assertThat(answer.statusCode()).as(answer.body()).isEqualTo(200);
        return JSON.readTree(answer.body());
    }

    static JsonNode parse(String text) {
        return JSON.readTree(text);
    }

    static String encoded(String text) {
        return URLEncoder.encode(text, StandardCharsets.UTF_8).replace("+", "%20");
    }

    private HttpRequest request(String method, String path, Map<String, String> headers, byte[] body) {
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(platform.address() + path))
                .timeout(REQUEST)
                .method(method, body.length == 0 ? BodyPublishers.noBody() : BodyPublishers.ofByteArray(body));
        headers.forEach(request::header);
        return request.build();
    }

    private <T> HttpResponse<T> send(HttpRequest request, HttpResponse.BodyHandler<T> handler) {
        try {
            return http.send(request, handler);
        } catch (IOException failed) {
            throw new UncheckedIOException(failed);
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(interrupted);
        }
    }
}
