package concertina.api.wmla;

import static org.assertj.core.api.Assertions.assertThat;

import concertina.api.TestServer;
import concertina.model.JobState;
import java.io.IOException;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

class SchedulerApiTest {
    private static final String BASE = "/platform/rest/deeplearning/v1";
    private static final String APPLICATIONS = BASE + "/scheduler/applications";

    @TempDir
    Path folder;

    private TestServer server;

    @BeforeEach
    void start() {
        server = new TestServer(folder);
        server.submitted("bob", "--exec-start edtPyTorch --model-main main.py --numWorker 4 --appName growing");
        server.submitted("bob", "--exec-start PyTorch --model-main main.py --msd-priority 9");
        server.submitted("eve", "--exec-start PyTorch --model-main main.py");
        server.jobs.move("concertina-1", JobState.RUNNING, 2);
    }

    @AfterEach
    void stop() {
        server.close();
    }

    private List<String> ids(String user, String path) {
        return server.json(user, path).values().stream()
                .map(item -> item.get("id").asString())
                .toList();
    }

    @Test
    void applicationsAreFilteredSearchedSortedAndPaged() {
        assertThat(ids("bob", APPLICATIONS)).containsExactly("concertina-1", "concertina-2");
        assertThat(ids("ada", APPLICATIONS)).hasSize(3);
        assertThat(ids("bob", APPLICATIONS + "?applicationid=concertina-2")).containsExactly("concertina-2");
        assertThat(ids("bob", APPLICATIONS + "?applicationid=concertina-3")).isEmpty();
        assertThat(ids("bob", APPLICATIONS + "?applicationname=growing")).containsExactly("concertina-1");
        assertThat(ids("ada", APPLICATIONS + "?search=EVE")).containsExactly("concertina-3");
        assertThat(ids("bob", APPLICATIONS + "?state=RUNNING,FINISHED")).containsExactly("concertina-1");
        assertThat(ids("ada", APPLICATIONS + "?sort=id&order=desc&start=1&length=1"))
                .containsExactly("concertina-2");
        assertThat(ids("ada", APPLICATIONS + "?start=7")).isEmpty();
        for (String wrong : List.of("start=-1", "length=x", "order=up", "sort=password", "state=ASLEEP")) {
            HttpResponse<String> response = server.get("bob", APPLICATIONS + "?" + wrong);
            assertThat(response.statusCode()).as(wrong).isEqualTo(400);
            assertThat(response.body()).startsWith("Error 400: " + wrong.substring(0, wrong.indexOf('=')) + " is '");
        }
    }

    @Test
    void anApplicationListsItsTasksAndSlots() {
        JsonNode item =
                server.json("bob", APPLICATIONS + "?applicationid=concertina-1").get(0);
        assertThat(item.get("task0").isArray()).isTrue();
        assertThat(item.get("task12n")).hasSize(2);
        assertThat(item.get("slots").asInt()).isEqualTo(2);
        assertThat(item.get("demandslots").asInt()).isEqualTo(4);
        assertThat(item.at("/executors/0/state").asString()).isEqualTo("RUNNING");
        assertThat(item.at("/driver/id").asString()).isEqualTo("concertina-1");
    }

    @Test
    void theEngineTellsWhatEachJobUsesAndSince() {
        String engine = BASE + "/scheduler/engine/applications";
        assertThat(ids("bob", engine + "?sort=-priority&state=RUNNING,PENDING_CRD_SCHEDULER"))
                .containsExactly("concertina-1", "concertina-2");
        JsonNode item = server.json("bob", engine + "/concertina-1");
        assertThat(item).hasSize(1);
        assertThat(item.at("/0/type").asString()).isEqualTo("ELASTIC");
        assertThat(item.at("/0/task12n_num").asInt()).isEqualTo(2);
        assertThat(item.at("/0/used_cpu").asInt()).isEqualTo(2);
        assertThat(item.at("/0/submit_time").asLong()).isEqualTo(1772940280L);
        assertThat(item.at("/0/end_time").asLong()).isZero();
        assertThat(server.get("eve", engine + "/concertina-1").statusCode()).isEqualTo(400);
    }

    @Test
    void logsOfWorkersCountFromOneAndMayBeCutToTheirLastLines() throws IOException {
        server.files.put("concertina-1", "bob", "log/task1.node1/output", "a\nb\nc\n");
        server.files.put("concertina-1", "bob", "log/task2.node1/output", "x".repeat(200_000) + "\nlast");
        server.files.put("concertina-1", "bob", "log/task1.node1/launcher", "Exposed\n");
        String executor = APPLICATIONS + "/concertina-1/executor/";
        assertThat(server.get("bob", executor + "1/logs/stdout").body()).isEqualTo("a\nb\nc\n");
        assertThat(server.get("bob", executor + "1/logs/stdout?lastlines=2").body())
                .isEqualTo("b\nc\n");
        assertThat(server.get("bob", executor + "1/logs/stdout?lastlines=1000").body())
                .isEqualTo("a\nb\nc\n");
        assertThat(server.get("bob", executor + "2/logs/stdout?lastlines=1").body())
                .isEqualTo("last");
        assertThat(server.get("bob", executor + "2/logs/stdout").body()).hasSize(200_005);
        assertThat(server.get("bob", executor + "1/logs/launcherlog").body()).isEqualTo("Exposed\n");
        assertThat(server.get("bob", executor + "2/logs/stderr").body()).isEmpty();
        assertThat(server.get("bob", APPLICATIONS + "/concertina-1/driver/logs/stdout")
                        .body())
                .isEqualTo("a\nb\nc\n");
        HttpResponse<String> download = server.get("bob", executor + "1/logs/stdout/download");
        assertThat(download.headers().firstValue("Content-Disposition"))
                .contains("attachment;filename=concertina-1-executor-1-stdout.log");
        assertThat(server.get("bob", executor + "3/logs/stdout").body())
                .isEqualTo("Error 404: executor is '3', accepted: a whole number from 1 to 2\n");
        assertThat(server.get("bob", executor + "0/logs/stdout").statusCode()).isEqualTo(404);
        assertThat(server.get("bob", executor + "1/logs/secrets").statusCode()).isEqualTo(400);
        assertThat(server.get("bob", executor + "1/logs/stdout?lastlines=0").statusCode())
                .isEqualTo(400);
        assertThat(server.get("eve", executor + "1/logs/stdout").statusCode()).isEqualTo(400);
        assertThat(server.get("bob", APPLICATIONS + "/concertina-2/executor/1/logs/stdout")
                        .body())
                .isEmpty();
    }

    @Test
    void anApplicationIsStoppedByItsOwnerOnly() {
        String stop = APPLICATIONS + "/concertina-1/stop";
        HttpRequest.BodyPublisher nothing = HttpRequest.BodyPublishers.noBody();
        assertThat(server.send(server.as("eve", stop).PUT(nothing)).statusCode())
                .isEqualTo(400);
        assertThat(server.send(server.as("bob", stop).PUT(nothing)).statusCode())
                .isEqualTo(204);
        assertThat(server.json("bob", BASE + "/scheduler/applicationStatistic")
                        .get("KILLED")
                        .asInt())
                .isEqualTo(1);
    }

    @Test
    void instancesAndPlansTellWhatThereIs() {
        JsonNode instance = server.json("bob", BASE + "/scheduler/instances").get(0);
        assertThat(instance.propertyNames())
                .containsExactly("uuid", "name", "version", "masterUrl", "executionUser", "state", "historyServerUrl");
        assertThat(ids("bob", APPLICATIONS + "?sigId=" + instance.get("uuid").asString()))
                .hasSize(2);
        assertThat(ids("bob", APPLICATIONS + "?sigId=other")).isEmpty();
        JsonNode tree = server.json("bob", BASE + "/resplans/resplantree");
        assertThat(tree.at("/1/pid")).isEqualTo(tree.at("/0/id"));
        assertThat(tree.at("/0/childTreeDto/slots").asInt()).isEqualTo(2);
        assertThat(server.json("bob", BASE + "/resplans/resplan/default")
                        .get("name")
                        .asString())
                .isEqualTo("default");
        assertThat(server.get("bob", BASE + "/resplans/resplan/none").statusCode())
                .isEqualTo(404);
        assertThat(server.send(server.as("ada", BASE + "/resplans/resplan/root").DELETE())
                        .body())
                .startsWith("Error 400: resource plans are fixed");
        assertThat(server.json("bob", BASE + "/scheduler/kubernetesobjects?type=pod"))
                .isEmpty();
    }
}
