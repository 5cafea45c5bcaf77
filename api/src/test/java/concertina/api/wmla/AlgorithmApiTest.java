package concertina.api.wmla;

import static org.assertj.core.api.Assertions.assertThat;

import concertina.api.Multipart;
import concertina.api.TestServer;
import java.io.IOException;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
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
        JsonNode answer = json(post(
                "ada",
                "/debug",
                new Multipart()
                        .field(
                                "data",
                                "{'name': 'mine', 'hyperParams': [{'name': 'rate', 'type': 'Range', 'dataType': 'DOUBLE',"
                                        + " 'minDbVal': 0.0, 'maxDbVal': 1.0, 'step': 0.2}]}")));
        assertThat(answer.get("points").get(0).toString()).isEqualTo("{\"rate\":\"0.2\"}");
        assertThat(answer.get("points")).hasSize(4);
        assertThat(answer.get("error").asString()).isEmpty();
        assertThat(answer.get("log").asString()).contains("thinking");
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
