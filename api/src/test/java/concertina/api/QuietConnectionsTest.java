package concertina.api;

import static org.assertj.core.api.Assertions.assertThat;

import concertina.model.AgentHello;
import concertina.model.AgentId;
import concertina.model.JobState;
import concertina.wire.Json;
import java.io.BufferedReader;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Answers that rightly take longer than a connection may be idle. */
class QuietConnectionsTest {
    @TempDir
    Path folder;

    private TestServer impatient() {
        return new TestServer(
                folder,
                options -> new HttpOptions(
                        options.listenAddress(),
                        options.httpsPort(),
                        options.keyStore(),
                        options.keyStorePassword(),
                        options.httpPort(),
                        options.temporaryFolder(),
                        options.uploadLimitBytes(),
                        options.headerLimitBytes(),
                        options.concurrentUploads(),
                        Duration.ofMillis(300),
                        options.uploadTimeout()));
    }

    @Test
    void aPollIsHeldLongerThanAConnectionMayBeIdle() {
        try (TestServer server = impatient()) {
            server.agents.join(new AgentHello(new AgentId("node1"), "s1", "127.0.0.1", 4, List.of(), List.of()));
            HttpRequest.Builder poll = HttpRequest.newBuilder(server.secureUri("/agent/v1/agents/node1/poll"))
                    .header("Authorization", "Bearer " + TestServer.AGENT_TOKEN)
                    .POST(HttpRequest.BodyPublishers.ofString("{\"session\":\"s1\",\"acknowledged\":0}"));
            assertThat(server.send(poll).body()).isEqualTo("{\"commands\":[]}");
        }
    }

    @Test
    void aFollowedLogMayBeSilentLongerThanAConnectionMayBeIdle() throws Exception {
        try (TestServer server = impatient()) {
            String id = server.submitted("bob", "--exec-start PyTorch --model-main main.py");
            server.jobs.move(id, JobState.RUNNING, 1);
            server.files.put(id, "bob", "log/task1.node1/stdout", "one\n");
            HttpResponse<InputStream> response = server.client.send(
                    HttpRequest.newBuilder(server.secureUri("/concertina/v1/jobs/" + id + "/log?follow=true"))
                            .header("Authorization", TestServer.basic("bob", "secret"))
                            .build(),
                    HttpResponse.BodyHandlers.ofInputStream());
            try (BufferedReader lines =
                    new BufferedReader(new InputStreamReader(response.body(), StandardCharsets.UTF_8))) {
                assertThat(lines.readLine()).isEqualTo("one");
                // Silence is what is tested: the poll of another connection outlasts the limit meanwhile.
                server.agents.join(new AgentHello(new AgentId("node1"), "s1", "127.0.0.1", 4, List.of(), List.of()));
                CompletableFuture<HttpResponse<String>> poll = server.client.sendAsync(
                        server.asAgent("/agent/v1/agents/node1/poll")
                                .POST(HttpRequest.BodyPublishers.ofString(
                                        Json.mapper().writeValueAsString(java.util.Map.of("session", "s1"))))
                                .build(),
                        HttpResponse.BodyHandlers.ofString());
                assertThat(poll.get().statusCode()).isEqualTo(200);
                server.files.put(id, "bob", "log/task1.node1/stdout", "two\n");
                assertThat(lines.readLine()).isEqualTo("two");
                server.jobs.move(id, JobState.FINISHED, 1);
                assertThat(lines.readLine()).isNull();
            }
        }
    }
}
