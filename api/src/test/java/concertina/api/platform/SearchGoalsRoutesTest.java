package concertina.api.platform;

import static org.assertj.core.api.Assertions.assertThat;

import concertina.api.Multipart;
import concertina.api.ServedTest;
import concertina.model.JobId;
import concertina.model.JobState;
import java.io.IOException;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.JsonNode;

/** Searches with several objectives and with constraints, over the routes that users call. */
class SearchGoalsRoutesTest extends ServedTest {
    private static final String HYPERSEARCH = "/platform/rest/deeplearning/v1/hypersearch";
    private static final String SEARCHES = "/concertina/v1/searches";

    private void create(String name, String goals, int trials) {
        String data = """
                {"hpoName": "%s", "modelSpec": {"args": "--exec-start PyTorch --model-main main.py"},
                 "algoDef": {"algorithm": "TPE", "maxJobNum": %d, "maxParalleJobNum": %d, %s},
                 "hyperParams": [{"name": "x", "type": "Range", "dataType": "DOUBLE", "minDbVal": 0, "maxDbVal": 1}]}
                """.formatted(name, trials, trials, goals);
        Multipart form = new Multipart().field("data", data).file("main.py", "main.py", "print(1)\n");
        HttpResponse<String> answer = server.send(server.as("bob", HYPERSEARCH)
                .header("Content-Type", form.contentType())
                .POST(form.publisher()));
        assertThat(answer.statusCode()).as(answer.body()).isEqualTo(200);
        await(() -> search(name).get("trials").size() == trials);
    }

    private JsonNode search(String name) {
        return server.json("bob", SEARCHES + "/" + name);
    }

    private static void await(BooleanSupplier condition) {
        long deadline = System.nanoTime() + Duration.ofSeconds(30).toNanos();
        while (!condition.getAsBoolean()) {
            assertThat(System.nanoTime()).as("waiting").isLessThan(deadline);
            LockSupport.parkNanos(5_000_000);
        }
    }

    private void finish(String name, String... metrics) throws IOException {
        JsonNode trials = search(name).get("trials");
        for (int i = 0; i < metrics.length; i++) {
            String job = trials.get(i).get("job").asString();
            await(() -> server.jobs.find(new JobId(job)).isPresent());
            server.jobs.move(job, JobState.RUNNING, 1);
            Path result = folder.resolve("results/bob/batchworkdir").resolve(job);
            Files.createDirectories(result);
            Files.writeString(result.resolve("val_dict_list.json"), metrics[i]);
            server.jobs.move(job, JobState.FINISHED, 1);
        }
        await(() -> search(name).get("state").asString().equals("FINISHED"));
    }

    @Test
    void severalObjectivesGiveAFrontOfTrials() throws IOException {
        create(
                "two",
                "\"objectives\": [{\"metric\": \"loss\"}, {\"metric\": \"speed\", \"objective\": \"Maximize\"}]",
                4);
        finish(
                "two",
                "[{\"loss\": 0.1, \"speed\": 99}, {\"loss\": 1, \"speed\": 5}]",
                "{\"loss\": 2, \"speed\": 8}",
                "{\"loss\": 2, \"speed\": 5}",
                "{\"loss\": 1, \"speed\": 4}");

        JsonNode search = search("two");
        assertThat(search.get("objectives").toString())
                .isEqualTo("[{\"metric\":\"loss\",\"maximize\":false},{\"metric\":\"speed\",\"maximize\":true}]");
        assertThat(search.at("/trials/0/values").toString()).isEqualTo("{\"loss\":1.0,\"speed\":5.0}");
        assertThat(search.at("/best/trial").asInt()).isZero();
        assertThat(trials(server.json("bob", SEARCHES + "/two/pareto-front"))).containsExactly(0, 1);
        JsonNode slice = server.json("bob", SEARCHES + "/two/slice?parameter=x&metric=speed");
        assertThat(slice.at("/points/1/value").asDouble()).isEqualTo(8);
        JsonNode task = server.json("bob", HYPERSEARCH + "/two");
        assertThat(task.at("/best/metricVal").asDouble()).isEqualTo(1);
        assertThat(task.at("/algoDef/objectiveMetric").asString()).isEqualTo("loss");
        assertThat(task.at("/algoDef/objectives/1/metric").asString()).isEqualTo("speed");
    }

    private static List<Integer> trials(JsonNode answer) {
        List<Integer> numbers = new ArrayList<>();
        answer.get("trials").forEach(trial -> numbers.add(trial.get("trial").asInt()));
        return numbers;
    }

    @Test
    void trialsThatMissAConstraintAreShownAndNeverBestOrOnTheFront() throws IOException {
        create(
                "bounded",
                "\"objectiveMetric\": \"score\", \"objective\": \"maximize\", \"constraints\":"
                        + " [{\"metric\": \"memory\", \"atMost\": 16}, {\"metric\": \"score\", \"atLeast\": \"0.5\"}]",
                3);
        finish(
                "bounded",
                "{\"score\": 9, \"memory\": 18.5}",
                "{\"score\": 2, \"memory\": 4}",
                "{\"score\": 0.25, \"memory\": 2}");

        JsonNode search = search("bounded");
        assertThat(search.get("constraints").toString())
                .isEqualTo("[{\"metric\":\"memory\",\"atMost\":16.0},{\"metric\":\"score\",\"atLeast\":0.5}]");
        assertThat(search.at("/best/trial").asInt()).isEqualTo(1);
        assertThat(search.at("/trials/0/violations").toString()).isEqualTo("{\"memory\":2.5}");
        assertThat(search.at("/trials/1/violations")).isEmpty();
        assertThat(search.at("/trials/2/violations").toString()).isEqualTo("{\"score\":0.25}");
        assertThat(trials(server.json("bob", SEARCHES + "/bounded/pareto-front")))
                .containsExactly(1);
        assertThat(server.json("bob", SEARCHES + "/bounded/improvements").get("improvements"))
                .hasSize(1);
        String table =
                server.get("bob", SEARCHES + "/bounded/trials?format=csv").body();
        assertThat(table.lines().findFirst().orElseThrow()).contains(",\"missed by memory\",\"missed by score\",");
        assertThat(table.lines().skip(1).findFirst().orElseThrow()).contains(",18.5,18.5,18.5,2.5,0.0,");
    }
}
