package concertina.api.platform;

import static org.assertj.core.api.Assertions.assertThat;

import concertina.api.ServedTest;
import concertina.model.JobState;
import concertina.model.UserName;
import concertina.train.JobView;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class PlatformApiTest extends ServedTest {
    private static final String ARGS = "--exec-start PyTorch --model-main main.py --msd-env HF_TOKEN=hidden";
    private static final String JOBS = "/concertina/v1/jobs";

    @Test
    void healthNeedsNoCredentialsOverHttpsAndPlain() throws Exception {
        for (var uri : List.of(server.uri("/healthz"), server.secureUri("/healthz"))) {
            HttpResponse<String> response =
                    server.client.send(HttpRequest.newBuilder(uri).build(), HttpResponse.BodyHandlers.ofString());
            assertThat(response.statusCode()).isEqualTo(200);
            assertThat(JsonMapper.shared()
                            .readTree(response.body())
                            .get("version")
                            .asString())
                    .isEqualTo("0.1.0");
        }
    }

    @Test
    void aJobIsShownInFullButNotTheValuesOfItsEnvironment() {
        String id = server.submitted("bob", ARGS);
        server.jobs.move(id, JobState.RUNNING, 2);
        JsonNode job = server.json("bob", JOBS + "/" + id);
        assertThat(job.get("state").asString()).isEqualTo("RUNNING");
        assertThat(job.get("creator").asString()).isEqualTo("bob");
        assertThat(job.get("submittedAt").asString()).isEqualTo("2026-03-08T03:24:40.123Z");
        assertThat(job.at("/spec/framework").asString()).isEqualTo("PyTorch");
        assertThat(job.at("/spec/environment").toString()).isEqualTo("[\"HF_TOKEN\"]");
        assertThat(job.at("/workers/1/slots/0").asString()).isEqualTo("node1/1");
        assertThat(job.at("/workers/1/alive").asBoolean()).isTrue();
    }

    @Test
    void ofAJobThatChangedThousandsOfTimesTheLatestIsShownAndTheRestCounted() {
        String id = server.submitted("bob", "--exec-start edtPyTorch --model-main main.py --numWorker 2");
        server.jobs.move(id, JobState.FINISHED, 3000);
        List<JobView.Switch> switches = IntStream.rangeClosed(1, 2000)
                .mapToObj(number -> new JobView.Switch(number, 5L * number, 2, 1.5, "2 → 1 workers", Instant.EPOCH))
                .toList();
        server.jobs.change(id, job -> job.with(job.workers(), switches));
        JsonNode job = server.json("bob", JOBS + "/" + id);
        assertThat(job.get("switches")).hasSize(500);
        assertThat(job.at("/switches/0/generation").asInt()).isEqualTo(1501);
        assertThat(job.get("switchesLeftOut").asInt()).isEqualTo(1500);
        assertThat(job.get("workers")).hasSize(500);
        assertThat(job.at("/workers/499/ordinal").asInt()).isEqualTo(3000);
        assertThat(job.get("workersLeftOut").asInt()).isEqualTo(2500);
        assertThat(server.json("bob", JOBS).at("/jobs/0/switches")).hasSize(20);
        server.jobs.move(id, JobState.RUNNING, 3000);
        assertThat(server.json("bob", JOBS).at("/jobs/0/workers")).hasSize(3000);
        assertThat(server.json("bob", JOBS).at("/jobs/0/workersLeftOut").asInt())
                .isZero();
    }

    @Test
    void aStoppedElasticJobIsResumedAndNothingElse() throws IOException {
        String id = server.submitted("bob", "--exec-start edtPyTorch --model-main main.py --numWorker 2");
        String resume = JOBS + "/" + id + "/resume";
        assertThat(server.post("bob", resume).statusCode()).isEqualTo(409);
        server.jobs.move(id, JobState.KILLED, 2);
        HttpResponse<String> without = server.post("bob", resume);
        assertThat(without.statusCode()).isEqualTo(409);
        assertThat(without.body()).contains("left no checkpoint, accepted: a job that left one");
        server.files.put(id, "bob", "checkpoint/step-000000000007.state", "bytes");
        assertThat(server.post("eve", resume).statusCode()).isEqualTo(404);
        HttpResponse<String> resumed = server.post("bob", resume);
        assertThat(resumed.statusCode()).isEqualTo(200);
        assertThat(JsonMapper.shared().readTree(resumed.body()).get("state").asString())
                .isEqualTo("PENDING");
        assertThat(server.post("bob", resume).statusCode()).isEqualTo(409);
        server.jobs.move(id, JobState.FINISHED, 2);
        assertThat(server.post("bob", resume).statusCode()).isEqualTo(409);
    }

    @Test
    void aJobThatWasStoppedBeforeItTrainedBeginsWhenItIsResumed() {
        String id = server.submitted("bob", "--exec-start edtPyTorch --model-main main.py --numWorker 2");
        server.jobs.move(id, JobState.KILLED, 0);
        assertThat(server.post("bob", JOBS + "/" + id + "/resume").statusCode()).isEqualTo(200);
    }

    @Test
    void aUserListsItsOwnJobsAndAnAdministratorAll() {
        server.submitted("bob", ARGS);
        server.submitted("eve", ARGS);
        assertThat(server.json("bob", JOBS).get("jobs")).hasSize(1);
        assertThat(server.json("ada", JOBS).get("jobs")).hasSize(2);
        assertThat(server.get("eve", JOBS + "/concertina-1").statusCode()).isEqualTo(404);
    }

    @Test
    void aFollowedLogArrivesAsItGrowsAndEndsWithTheJob() throws Exception {
        String id = server.submitted("bob", ARGS);
        server.jobs.move(id, JobState.RUNNING, 1);
        server.files.put(id, "bob", "log/task1.node1/stdout", "one\n");
        HttpResponse<InputStream> response = server.client.send(
                server.as("bob", JOBS + "/" + id + "/log?follow=true")
                        .timeout(Duration.ofSeconds(30))
                        .build(),
                HttpResponse.BodyHandlers.ofInputStream());
        try (BufferedReader lines =
                new BufferedReader(new InputStreamReader(response.body(), StandardCharsets.UTF_8))) {
            assertThat(lines.readLine()).isEqualTo("one");
            server.files.put(id, "bob", "log/task1.node1/stdout", "two\n");
            assertThat(lines.readLine()).isEqualTo("two");
            server.files.put(id, "bob", "log/task2.node1/stdout", "three");
            server.jobs.move(id, JobState.FINISHED, 1);
            assertThat(lines.readLine()).isEqualTo("three");
            assertThat(lines.readLine()).isNull();
        }
    }

    @Test
    void oneWorkersLogIsReadFromAnOffset() throws IOException {
        String id = server.submitted("bob", "--exec-start edtPyTorch --model-main main.py --numWorker 2");
        server.jobs.move(id, JobState.RUNNING, 2);
        server.files.put(id, "bob", "log/task2.node1/output", "0123456789");
        String log = JOBS + "/" + id + "/log?stream=output";
        assertThat(server.get("bob", log + "&worker=2&offset=7").body()).isEqualTo("789");
        assertThat(server.get("bob", log + "&worker=2&offset=70").body()).isEmpty();
        assertThat(server.get("bob", log + "&worker=1").body()).isEmpty();
        assertThat(server.get("bob", log + "&worker=9").statusCode()).isEqualTo(404);
        assertThat(server.get("bob", log + "&offset=7").statusCode()).isEqualTo(400);
        assertThat(server.get("bob", JOBS + "/" + id + "/log?stream=noise").statusCode())
                .isEqualTo(400);
    }

    @Test
    void filesAreListedAndDownloadedButNoneOutsideTheJob() throws IOException {
        String id = server.submitted("bob", ARGS);
        server.files.put(id, "bob", "model/train/final model.pth", "weights");
        Files.writeString(folder.resolve("results/outside"), "secret");
        Files.createSymbolicLink(
                folder.resolve("results/bob/batchworkdir/" + id + "/model/link"), folder.resolve("results/outside"));
        List<String> paths = server.json("bob", JOBS + "/" + id + "/files").get("files").values().stream()
                .map(file -> file.get("path").asString())
                .toList();
        assertThat(paths).contains("model/train/final model.pth").doesNotContain("model/link");
        assertThat(server.get("bob", JOBS + "/" + id + "/files/model/train/final%20model.pth")
                        .body())
                .isEqualTo("weights");
        for (String path : List.of("model/link", "..%2F..%2F..%2Foutside", "model", "none")) {
            HttpResponse<String> response = server.get("bob", JOBS + "/" + id + "/files/" + path);
            assertThat(response.statusCode()).as(path).isIn(400, 404);
            assertThat(response.body()).doesNotContain("secret");
        }
    }

    @Test
    void theClusterNamesAJobOnlyToThoseWhoMaySeeIt() {
        server.submitted("bob", ARGS);
        String slot = "/agents/0/slots/0";
        assertThat(server.json("bob", "/concertina/v1/cluster")
                        .at(slot + "/job")
                        .asString())
                .isEqualTo("concertina-1");
        JsonNode strangers = server.json("eve", "/concertina/v1/cluster");
        assertThat(strangers.at(slot + "/held").asBoolean()).isTrue();
        assertThat(strangers.at(slot + "/job").isMissingNode()).isTrue();
        assertThat(strangers.at("/agents/0/slots/1/held").asBoolean()).isFalse();
    }

    @Test
    void onlyAnAdministratorListsAndAddsUsers() {
        String users = "/concertina/v1/users";
        assertThat(server.get("bob", users).statusCode()).isEqualTo(403);
        HttpResponse<String> added = send("ada", "POST", users, "{\"name\":\"zoe\",\"password\":\"long enough\"}");
        assertThat(added.statusCode()).as(added.body()).isEqualTo(201);
        assertThat(server.get("ada", users).body())
                .contains("\"zoe\"")
                .doesNotContain("hash-of")
                .doesNotContain("assword");
        assertThat(send("ada", "POST", users, "{\"name\":\"zoe\",\"password\":\"long enough\"}")
                        .statusCode())
                .isEqualTo(409);
        for (String body : List.of(
                "{\"name\":\"\",\"password\":\"long enough\"}",
                "{\"name\":\"../x\",\"password\":\"long enough\"}",
                "{\"name\":\"yan\",\"password\":\"long enough\",\"role\":\"KING\"}",
                "{\"name\":\"yan\",\"password\":[\"long enough\"",
                "")) {
            HttpResponse<String> refused = send("ada", "POST", users, body);
            assertThat(refused.statusCode()).as(body).isEqualTo(400);
            assertThat(refused.body()).doesNotContain("long enough");
        }
    }

    @Test
    void aPasswordIsChangedByItsOwnerWhoKnowsTheOldOneOrByAnAdministrator() {
        String path = "/concertina/v1/users/bob/password";
        String before = hash("bob");
        assertThat(send("eve", "PUT", path, "{\"password\":\"brand new one\"}").statusCode())
                .isEqualTo(403);
        assertThat(send("bob", "PUT", path, "{\"password\":\"brand new one\"}").statusCode())
                .isEqualTo(400);
        assertThat(send("bob", "PUT", path, "{\"password\":\"brand new one\",\"oldPassword\":\"wrong\"}")
                        .statusCode())
                .isEqualTo(403);
        assertThat(hash("bob")).isEqualTo(before);
        assertThat(send("bob", "PUT", path, "{\"password\":\"brand new one\",\"oldPassword\":\"secret\"}")
                        .statusCode())
                .isEqualTo(204);
        assertThat(hash("bob")).isNotEqualTo(before);
        assertThat(send("ada", "PUT", path, "{\"password\":\"another new one\"}")
                        .statusCode())
                .isEqualTo(204);
    }

    @Test
    void metricsCountJobsSlotsAndRequests() {
        server.submitted("bob", ARGS);
        String metrics = server.get("bob", "/metrics").body();
        assertThat(metrics)
                .contains("concertina_jobs{state=\"pending\"} 1.0")
                .contains("concertina_slots{state=\"free\"} 1.0")
                .contains("concertina_slots{state=\"held\"} 1.0")
                .contains("http_server_requests_seconds_count{method=\"POST\"");
    }

    private String hash(String user) {
        return server.identity.find(new UserName(user)).orElseThrow().passwordHash();
    }

    private HttpResponse<String> send(String user, String method, String path, String body) {
        return server.send(server.as(user, path).method(method, HttpRequest.BodyPublishers.ofString(body)));
    }
}
