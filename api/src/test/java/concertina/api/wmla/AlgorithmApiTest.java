package concertina.api.wmla;

import static org.assertj.core.api.Assertions.assertThat;

import concertina.api.Multipart;
import concertina.api.TestServer;
import java.io.IOException;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class AlgorithmApiTest {
    private static final String ALGORITHMS = "/platform/rest/deeplearning/v1/hypersearch/algorithm";

    private static final String TRIED =
            "{'name': 'mine', 'hyperParams': [{'name': 'rate', 'type': 'Range', 'dataType': 'DOUBLE', 'minDbVal': 0.0, 'maxDbVal': 1.0,"
                    + " 'step': 0.2}]}";

    @TempDir
    Path folder;

    private TestServer server;

    @BeforeEach
    void start() throws IOException {
        server = new TestServer(folder);
        Files.createDirectories(folder.resolve("shared/mine"));
        Files.writeString(folder.resolve("shared/mine/optimizer.py"), "pass");
    }

    @AfterEach
    void stop() {
        server.close();
    }

    private HttpResponse<String> post(String user, String path, Multipart form) {
        return server.send(server.as(user, ALGORITHMS + path)
                .header("Content-Type", form.contentType())
                .POST(form.publisher()));
    }

    private HttpResponse<String> get(String path) {
        return server.send(server.as("ada", ALGORITHMS + path).GET());
    }

    private static JsonNode json(HttpResponse<String> answer) {
        assertThat(answer.statusCode()).as(answer.body()).isEqualTo(200);
        return JsonMapper.shared().readTree(answer.body());
    }

    private String local(String more) {
        return "{'name': 'mine', 'path': '" + folder.resolve("shared/mine") + "'" + more + "}";
    }

    @Test
    void aPluginIsInstalledListedAndDeleted() {
        // The client of the original posts the JSON as a field and as a file of the same name.
        String data = local(", 'logLevel': 'DEBUG'");
        JsonNode answer =
                json(post("ada", "/install", new Multipart().field("data", data).file("data", "data", data)));
        assertThat(answer.get("href").asString()).isEqualTo(ALGORITHMS + "/mine");
        JsonNode plugin = json(get("/mine"));
        assertThat(plugin.get("type").asString()).isEqualTo("USER_PLUGIN");
        assertThat(plugin.get("creator").asString()).isEqualTo("ada");
        assertThat(plugin.get("logLevel").asString()).isEqualTo("DEBUG");
        assertThat(json(get("?type=USER_PLUGIN"))).hasSize(1);
        assertThat(json(get("?type=BUILD_IN")).get(0).toString())
                .isEqualTo("{\"name\":\"Random\",\"type\":\"BUILD_IN\",\"remoteExec\":false}");
        assertThat(json(get("/nothing"))).isEmpty();

        assertThat(server.send(server.as("bob", ALGORITHMS + "/mine").DELETE()).statusCode())
                .isEqualTo(403);
        assertThat(server.send(server.as("ada", ALGORITHMS + "/mine").DELETE()).statusCode())
                .isEqualTo(204);
        assertThat(server.send(server.as("ada", ALGORITHMS + "/mine").DELETE()).statusCode())
                .isEqualTo(404);
        assertThat(server.send(server.as("ada", ALGORITHMS + "/random").DELETE())
                        .statusCode())
                .isEqualTo(400);
    }

    @Test
    void onlyAnAdministratorInstallsWhatRunsBesideTheServer() {
        HttpResponse<String> answer = post("bob", "/install", new Multipart().field("data", local("")));
        assertThat(answer.statusCode()).as(answer.body()).isEqualTo(403);
        assertThat(answer.body()).contains("only an administrator may do this");
        assertThat(json(get("?type=USER_PLUGIN"))).isEmpty();
    }

    @Test
    void aPluginIsTriedWithoutAJob() {
        json(post("ada", "/install", new Multipart().field("data", local(""))));
        JsonNode answer = json(post("ada", "/debug", new Multipart().field("data", TRIED)));
        assertThat(answer.get("points").get(0).toString()).isEqualTo("{\"rate\":\"0.2\"}");
        assertThat(answer.get("points")).hasSize(4);
        assertThat(answer.get("error").asString()).isEmpty();
        assertThat(answer.get("log").asString()).contains("thinking");
    }

    @Test
    void settingsOfATrialRunAreWrittenAsThoseOfASearch() {
        json(post("ada", "/install", new Multipart().field("data", local(""))));
        for (String settings : List.of("{'shuffle': True, 'seed': 3}", "[{'name': 'shuffle', 'value': True}]")) {
            String data = TRIED.substring(0, TRIED.lastIndexOf('}')) + ", 'algoParams': " + settings + "}";
            assertThat(json(post("ada", "/debug", new Multipart().field("data", data)))
                            .get("points"))
                    .hasSize(4);
        }
        String twice = TRIED.substring(0, TRIED.lastIndexOf('}'))
                + ", 'algoParams': [{'name': 'seed', 'value': 1}, {'name': 'seed', 'value': 2}]}";
        HttpResponse<String> refused = post("ada", "/debug", new Multipart().field("data", twice));
        assertThat(refused.statusCode()).isEqualTo(400);
        assertThat(refused.body()).contains("algoParams[1].name is 'seed', accepted: names that differ");
    }

    @Test
    void oneUserTriesOnePluginAtATime() {
        json(post("ada", "/install", new Multipart().field("data", local(""))));
        Multipart form = new Multipart().field("data", TRIED);
        CountDownLatch begun = new CountDownLatch(1);
        CountDownLatch gate = new CountDownLatch(1);
        server.thinking = () -> {
            begun.countDown();
            await(gate);
        };
        CompletableFuture<HttpResponse<String>> first =
                CompletableFuture.supplyAsync(() -> post("bob", "/debug", form));
        await(begun);
        HttpResponse<String> second = post("bob", "/debug", form);
        assertThat(second.statusCode()).isEqualTo(409);
        assertThat(second.body()).contains("user 'bob' is trying a plug-in already, accepted: one at a time");
        gate.countDown();
        assertThat(json(post("eve", "/debug", form)).get("points")).hasSize(4);
        assertThat(json(first.join()).get("points")).hasSize(4);
        assertThat(json(post("bob", "/debug", form)).get("points")).hasSize(4);
    }

    private static void await(CountDownLatch latch) {
        try {
            assertThat(latch.await(30, TimeUnit.SECONDS)).isTrue();
        } catch (InterruptedException interrupted) {
            throw new IllegalStateException(interrupted);
        }
    }

    @Test
    void aPluginThatASearchUsesIsNotDeleted() {
        json(post("ada", "/install", new Multipart().field("data", local(""))));
        Multipart form = new Multipart()
                .field(
                        "data",
                        "{'hpoName': 'user', 'modelSpec': {'args': '--exec-start PyTorch --model-main main.py'}, 'algoDef':"
                                + " {'algorithm': 'mine', 'objectiveMetric': 'loss'}, 'hyperParams': [{'name': 'rate', 'type':"
                                + " 'Range', 'dataType': 'DOUBLE', 'minDbVal': 0, 'maxDbVal': 1}]}")
                .file("main.py", "main.py", "print(1)");
        String searches = ALGORITHMS.replace("/algorithm", "");
        json(server.send(server.as("bob", searches)
                .header("Content-Type", form.contentType())
                .POST(form.publisher())));
        HttpResponse<String> refused =
                server.send(server.as("ada", ALGORITHMS + "/mine").DELETE());
        assertThat(refused.statusCode()).isEqualTo(409);
        assertThat(refused.body()).contains("algorithm 'mine' is used by 1 search under way");
        assertThat(server.send(server.as("bob", searches + "/user").PUT(HttpRequest.BodyPublishers.noBody()))
                        .statusCode())
                .isEqualTo(204);
        assertThat(server.send(server.as("ada", ALGORITHMS + "/mine").DELETE()).statusCode())
                .isEqualTo(204);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "{} | 400 | name is ''",
                "[] | 400 | data is",
                "{'name': 'random', 'path': '/tmp'} | 409 | a built-in algorithm",
                "{'name': 'other', 'path': '/etc'} | 400 | path is '/etc', accepted: a folder below",
                "{'name': 'other', 'path': '/nowhere'} | 400 | path is '/nowhere'",
                "{'name': 'other'} | 400 | path is ''",
                "{'name': 'other', 'path': '/tmp', 'remoteExec': true} | 400 | remoteExec is 'true', accepted: false",
                "{'name': 'other', 'path': '/tmp', 'logLevel': 'LOUD'} | 400 | logLevel is 'LOUD', accepted: one of DEBUG",
            })
    void badInstallationsAreRefused(String data, int status, String reason) {
        HttpResponse<String> answer = post("ada", "/install", new Multipart().field("data", data));
        assertThat(answer.statusCode()).as(answer.body()).isEqualTo(status);
        assertThat(answer.body()).contains(reason);
    }
}
