package concertina.wire;

import static org.assertj.core.api.Assertions.assertThat;

import concertina.model.AgentCommand;
import concertina.model.AgentHello;
import concertina.model.AgentId;
import concertina.model.AgentReport;
import concertina.model.Framework;
import concertina.model.JobId;
import concertina.model.JobSpec;
import concertina.model.Slot;
import concertina.model.SlotId;
import concertina.model.UserName;
import concertina.model.WorkerId;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.json.JsonMapper;

class JsonTest {
    private final JsonMapper json = Json.mapper();
    private final WorkerId worker = new WorkerId(new JobId("concertina-12"), 3);

    @Test
    void aCommandSurvivesTheRoundTrip() {
        JobSpec spec = new JobSpec(
                Framework.EDT_PYTORCH,
                "demo",
                "--exec-start  edtPyTorch",
                "main.py",
                "digits",
                List.of(),
                List.of("--epochs", "3"),
                4,
                1,
                false,
                5000,
                Map.of("A", "b"),
                "",
                "",
                "",
                0);
        AgentCommand start = new AgentCommand.Start(
                worker, new UserName("admin"), spec, List.of(new SlotId("node1/0")), "log/task3.node1", true, Map.of());
        String text = json.writerFor(AgentCommand.class).writeValueAsString(start);
        assertThat(text).contains("\"kind\":\"Start\"").contains("\"concertina-12.3\"");
        assertThat(json.readValue(text, AgentCommand.class)).isEqualTo(start);
        JobSpec trial = spec.asTrial(
                new JobSpec.Trial("s", 3, "{\"x\":1}", new JobId("concertina-2"), new JobId("concertina-1")));
        assertThat(json.readValue(json.writeValueAsString(trial), JobSpec.class))
                .isEqualTo(trial);
    }

    @Test
    void aSpecificationWrittenBeforeThereWereTrialsIsOfAJobThatIsNone() {
        String text = """
                {"framework":"PYTORCH","applicationName":"a","arguments":"","modelMain":"m.py","modelDirectory":"",
                "userCommand":[],"scriptArguments":[],"workers":1,"slotsPerWorker":1,"gpu":false,"priority":5000,
                "environment":{},"dataPath":"","condaEnvironment":"","consumer":"","pendingTimeoutSeconds":0}""";
        assertThat(json.readValue(text, JobSpec.class).trial()).isNull();
    }

    @Test
    void aHelloWithReportsSurvivesTheRoundTrip() {
        AgentHello hello = new AgentHello(
                new AgentId("node1"),
                "s",
                "127.0.0.1",
                4,
                List.of(new Slot(new SlotId("node1/0"), Slot.Kind.CPU, "", "CPU share", 0)),
                List.of(new AgentHello.KnownWorker(
                        worker,
                        List.of(
                                new AgentReport.Started(worker, 17),
                                new AgentReport.Message(worker, Map.of("type", "formed", "generation", 2))))));
        assertThat(json.readValue(json.writeValueAsString(hello), AgentHello.class))
                .isEqualTo(hello);
    }
}
