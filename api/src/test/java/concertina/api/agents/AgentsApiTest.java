package concertina.api.agents;

import static org.assertj.core.api.Assertions.assertThat;

import concertina.api.ServedTest;
import concertina.model.AgentCommand;
import concertina.model.AgentHello;
import concertina.model.AgentId;
import concertina.model.AgentReport;
import concertina.model.JobId;
import concertina.model.Slot;
import concertina.model.SlotId;
import concertina.model.WorkerId;
import concertina.train.Agents.NumberedCommand;
import concertina.wire.Json;
import java.io.IOException;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class AgentsApiTest extends ServedTest {
    private static final WorkerId WORKER = new WorkerId(new JobId("concertina-1"), 2);
    private final JsonMapper json = Json.mapper();

    private HttpResponse<String> post(String path, Object body) {
        return server.send(
                server.asAgent(path).POST(HttpRequest.BodyPublishers.ofString(json.writeValueAsString(body))));
    }

    private HttpResponse<String> put(String path, String body) {
        return server.send(server.asAgent(path).PUT(HttpRequest.BodyPublishers.ofString(body)));
    }

    private void join() {
        AgentHello hello = new AgentHello(
                new AgentId("node1"),
                "s1",
                "127.0.0.1",
                4,
                List.of(new Slot(new SlotId("node1/0"), Slot.Kind.CPU, "", "CPU share", 0)),
                List.of(new AgentHello.KnownWorker(WORKER, List.of(new AgentReport.Started(WORKER, 17)))));
        assertThat(post("/agent/v1/join", hello).statusCode()).isEqualTo(204);
        assertThat(server.agents.joined).containsExactly(hello);
    }

    @Test
    void aPollHandsOverTheCommandsAboveTheAcknowledgedOne() {
        join();
        server.agents.commands.add(new NumberedCommand(17, new AgentCommand.Forget(new JobId("concertina-1"))));
        server.agents.commands.add(new NumberedCommand(18, new AgentCommand.Stop(WORKER, 5)));
        HttpResponse<String> response = post(
                "/agent/v1/agents/node1/poll",
                Map.of("session", "s1", "acknowledged", 17, "ports", List.of(40001, 40002)));
        assertThat(response.statusCode()).isEqualTo(200);
        assertThat(server.agents.ports).containsExactly(40001, 40002);
        JsonNode commands = json.readTree(response.body()).get("commands");
        assertThat(commands).hasSize(1);
        assertThat(commands.get(0).get("sequence").asInt()).isEqualTo(18);
        assertThat(json.treeToValue(commands.get(0).get("command"), AgentCommand.class))
                .isEqualTo(new AgentCommand.Stop(WORKER, 5));
    }

    @Test
    void aPollWithoutCommandsIsHeldAndThenAnsweredEmpty() {
        join();
        HttpResponse<String> response = post("/agent/v1/agents/node1/poll", Map.of("session", "s1", "acknowledged", 0));
        assertThat(response.body()).isEqualTo("{\"commands\":[]}");
    }

    @Test
    void anUnknownSessionIsAConflict() {
        for (String call : List.of("poll", "reports")) {
            HttpResponse<String> response =
                    post("/agent/v1/agents/node1/" + call, Map.of("session", "old", "acknowledged", 0));
            assertThat(response.statusCode()).isEqualTo(409);
            assertThat(json.readTree(response.body()).get("error").asString()).isEqualTo("unknown session");
        }
    }

    @Test
    void reportsArriveAsTheyWereSent() {
        join();
        List<AgentReport> reports = List.of(
                new AgentReport.Message(WORKER, Map.of("type", "formed", "generation", 2)),
                new AgentReport.Exited(WORKER, -1, 9, ""));
        String body = "{\"session\":\"s1\",\"reports\":["
                + json.writerFor(AgentReport.class).writeValueAsString(reports.get(0)) + ","
                + json.writerFor(AgentReport.class).writeValueAsString(reports.get(1)) + "]}";
        HttpResponse<String> response = server.send(
                server.asAgent("/agent/v1/agents/node1/reports").POST(HttpRequest.BodyPublishers.ofString(body)));
        assertThat(response.statusCode()).isEqualTo(204);
        assertThat(server.agents.reports).isEqualTo(reports);
    }

    @Test
    void logsGrowByOffsetAndAGapIsAnsweredWithTheSize() throws IOException {
        String id = server.submitted("bob", "--exec-start PyTorch --model-main main.py");
        String files = "/agent/v1/jobs/" + id + "/files?path=log/task1.node1/stdout";
        assertThat(put(files + "&offset=0", "one\n").statusCode()).isEqualTo(204);
        assertThat(put(files + "&offset=4", "two\n").statusCode()).isEqualTo(204);
        HttpResponse<String> gap = put(files + "&offset=99", "far");
        assertThat(gap.statusCode()).isEqualTo(409);
        assertThat(gap.body()).isEqualTo("{\"size\":8}");
        assertThat(put(files + "&offset=-1", "x").statusCode()).isEqualTo(400);
        assertThat(put(files + "&offset=x", "x").statusCode()).isEqualTo(400);
        Path log = folder.resolve("results/bob/batchworkdir/" + id + "/log/task1.node1/stdout");
        assertThat(Files.readString(log)).isEqualTo("one\ntwo\n");
    }

    @Test
    void aLogWithoutAnOffsetReplacesTheOldOneWhole() throws IOException {
        String id = server.submitted("bob", "--exec-start PyTorch --model-main main.py");
        String files = "/agent/v1/jobs/" + id + "/files?path=log/task1.node1/metrics";
        assertThat(put(files + "&offset=0", "a long first version\n").statusCode())
                .isEqualTo(204);
        assertThat(put(files, "short\n").statusCode()).isEqualTo(204);
        Path log = folder.resolve("results/bob/batchworkdir/" + id + "/log/task1.node1/metrics");
        assertThat(Files.readString(log)).isEqualTo("short\n");
    }

    @Test
    void resultFilesComeWholeAndCheckpointsGoBack() {
        String id = server.submitted("bob", "--exec-start PyTorch --model-main main.py");
        String job = "/agent/v1/jobs/" + id;
        assertThat(put(job + "/files?path=checkpoint/deep/step%205.pth", "state")
                        .statusCode())
                .isEqualTo(204);
        HttpResponse<String> list = server.send(server.asAgent(job + "/checkpoints"));
        assertThat(list.body()).isEqualTo("[\"checkpoint/deep/step 5.pth\"]");
        put(job + "/files?path=model/x.pth", "weights");
        put(job + "/files?path=checkpoint/step-1.state", "state");
        put(job + "/files?path=log/task1.node1/output", "text");
        assertThat(server.send(server.asAgent(job + "/results")).body())
                .isEqualTo("[\"checkpoint/deep/step 5.pth\",\"model/x.pth\"]");
        assertThat(server.send(server.asAgent(job + "/files?path=checkpoint/deep/step%205.pth"))
                        .body())
                .isEqualTo("state");
        assertThat(server.send(server.asAgent(job + "/files?path=checkpoint/none"))
                        .statusCode())
                .isEqualTo(404);
    }

    @Test
    void onlyCheckpointsAreRemoved() {
        String job = "/agent/v1/jobs/" + server.submitted("bob", "--exec-start PyTorch --model-main main.py");
        put(job + "/files?path=checkpoint/step-1", "state");
        put(job + "/files?path=model/x.pth", "weights");
        assertThat(remove(job, "checkpoint/step-1")).isEqualTo(204);
        assertThat(remove(job, "model/x.pth")).isEqualTo(400);
        assertThat(server.send(server.asAgent(job + "/checkpoints")).body()).isEqualTo("[]");
        assertThat(server.send(server.asAgent(job + "/files?path=model/x.pth")).body())
                .isEqualTo("weights");
    }

    private int remove(String job, String path) {
        return server.send(server.asAgent(job + "/files?path=" + path).DELETE()).statusCode();
    }

    @Test
    void aPathThatLeavesTheJobsFolderIsRefused() throws IOException {
        String id = server.submitted("bob", "--exec-start PyTorch --model-main main.py");
        Files.writeString(folder.resolve("results/outside"), "secret");
        Files.createSymbolicLink(
                folder.resolve("results/bob/batchworkdir/" + id + "/link"), folder.resolve("results/outside"));
        String files = "/agent/v1/jobs/" + id + "/files?path=";
        for (String path : List.of("../../../outside", "/etc/hostname", "link", "a%00b")) {
            HttpResponse<String> response = server.send(server.asAgent(files + path));
            assertThat(response.statusCode()).as(path).isIn(400, 404);
            assertThat(response.body()).doesNotContain("secret");
        }
        assertThat(put(files + "../../../outside", "overwritten").statusCode()).isEqualTo(400);
        assertThat(Files.readString(folder.resolve("results/outside"))).isEqualTo("secret");
    }

    @Test
    void codeIsHandedOutUnderItsName() {
        String id = server.submitted("bob", "--exec-start PyTorch --model-main main.py");
        HttpResponse<String> code = server.send(server.asAgent("/agent/v1/jobs/" + id + "/code"));
        assertThat(code.headers().firstValue("Concertina-Code-Name")).contains("main.py");
        assertThat(code.body()).isEqualTo("print(1)\n");
        assertThat(server.send(server.asAgent("/agent/v1/jobs/none-1/code")).statusCode())
                .isEqualTo(404);
    }

    @Test
    void aUsersCredentialsOpenNothingHere() {
        assertThat(server.get("ada", "/agent/v1/jobs/concertina-1/code").statusCode())
                .isEqualTo(401);
    }

    @Test
    void aBodyThatIsNotTheProtocolsIsRefused() {
        for (String body : List.of("", "null", "[]", "{\"session\":5", "{}")) {
            HttpResponse<String> response = server.send(
                    server.asAgent("/agent/v1/agents/node1/reports").POST(HttpRequest.BodyPublishers.ofString(body)));
            assertThat(response.statusCode()).as(body).isEqualTo(400);
            assertThat(json.readTree(response.body()).get("code").asString()).isEqualTo("INVALID_ARGUMENT");
        }
    }
}
