package concertina.it;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Predicate;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

/** Elastic trials use what trials that were stopped early leave. */
class ElasticSearchTest {
    private static final Duration LIMIT = Duration.ofSeconds(90);
    private static final String SEARCHES = Client.EXEC + "/hypersearch";
    private static final int SLOTS = 4;

    @TempDir
    private static Path folder;

    private static Platform platform;
    private static Client client;

    @BeforeAll
    static void start() throws IOException {
        platform = Platform.start(folder.resolve("platform"), SLOTS);
        client = platform.administrator();
        Files.createDirectories(folder.resolve("platform/data"));
    }

    @AfterAll
    static void stop() {
        platform.close();
    }

    @Test
    void theSurvivorGrowsIntoTheSlotsOfTrialsThatWereStoppedAndComputesTheSame() throws IOException {
        create("growing", List.of(0.1, 0.5, 0.6, 0.7));
        JsonNode task = await(
                "three stopped trials",
                each -> states(each).equals(List.of("RUNNING", "STOPPED", "STOPPED", "STOPPED")));
        String survivor = task.get("experiments").get(0).get("appId").asString();
        JsonNode wide = client.awaitJob("four workers", survivor, LIMIT, job -> Elastic.size(job) == SLOTS);
        List<Integer> sizes = new ArrayList<>();
        wide.get("switches").forEach(change -> sizes.add(change.get("members").asInt()));
        Files.writeString(folder.resolve("platform/data/open"), "");
        JsonNode ended = await("the end", each -> !each.get("state").asString().equals("RUNNING"));

        assertThat(sizes).as("it had one slot while the others ran").contains(1).endsWith(SLOTS);
        assertThat(states(ended)).containsExactly("FINISHED", "STOPPED", "STOPPED", "STOPPED");
        assertThat(ended.get("best").get("metricVal").asDouble()).isEqualTo(0.1);
        Path alone = Files.createDirectories(folder.resolve("alone"));
        Files.writeString(alone.resolve("config.json"), "{\"rate\": 0.1}");
        Files.writeString(alone.resolve("open"), "");
        assertThat(new Elastic.Undisturbed(
                        client.job(survivor).get("weightsSha256").asString(),
                        Elastic.shippedMicroBatches(platform, client.user(), survivor)))
                .as(() -> client.explain(survivor))
                .isEqualTo(Elastic.undisturbedTrial(alone, SLOTS));
    }

    private static void create(String name, List<Double> rates) {
        StringBuilder experiments = new StringBuilder("'experiments': [");
        for (int i = 0; i < rates.size(); i++) {
            experiments.append("{'id': " + i + ", 'hyperParams': [{'name': 'rate', 'dataType': 'DOUBLE', 'fixedVal': '"
                    + rates.get(i) + "'}]},");
        }
        String data = "{'hpoName': '" + name + "', 'modelSpec': {'args': '"
                + Elastic.arguments(SLOTS, "").replace("main.py", "trial.py") + "'}, 'algoDef': {"
                + "'algorithm': 'ExperimentGridSearch', 'earlyStopping': {'rule': 'asha', 'maxSteps': 60, 'eta': 2},"
                + " 'objectiveMetric': 'test_loss', 'objective': 'minimize', 'maxParalleJobNum': " + SLOTS + "}, "
                + experiments + "]}";
        HttpResponse<String> answer = client.upload(SEARCHES, Upload.field("data", data), Elastic.upload());
        assertThat(answer.statusCode()).as(answer.body()).isEqualTo(200);
    }

    private static JsonNode await(String awaited, Predicate<JsonNode> condition) {
        return Waiting.until(
                awaited,
                LIMIT,
                () -> Client.json(client.get(SEARCHES + "/growing")),
                condition,
                () -> client.get(SEARCHES + "/growing").body() + "\n" + platform.logs());
    }

    private static List<String> states(JsonNode task) {
        List<String> states = new ArrayList<>();
        task.get("experiments").forEach(each -> states.add(each.get("state").asString()));
        return states;
    }
}
