package concertina.it;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

/** A training loop of the user's own grows and loses workers, and ends with the weights of an undisturbed FabricModel. */
class NativeLoopTest {
    private static final Duration LIMIT = Duration.ofSeconds(90);

    @TempDir
    private static Path folder;

    private static Platform platform;
    private static Client client;

    @BeforeAll
    static void start() {
        platform = Platform.start(folder.resolve("platform"), 4);
        client = platform.administrator();
    }

    @AfterAll
    static void stop() {
        platform.close();
    }

    @Test
    void aLoopOfItsOwnSharesDiesAndEndsLikeAFabricModel() {
        String job = submit("--epochs 60 --pause-ms 4 --native");
        JsonNode wide = client.awaitJob("four workers", job, LIMIT, each -> Elastic.size(each) == 4);
        String other = submit("--epochs 12 --pause-ms 4 --native");
        client.awaitJob("the first to give back", job, LIMIT, each -> Elastic.size(each) == 2);
        List<Long> left = Elastic.livingProcesses(client.awaitJob(
                "the leaver to be gone",
                job,
                LIMIT,
                each -> Elastic.livingProcesses(each).size() == 2));
        assertThat(Elastic.livingProcesses(wide)).containsAll(left);

        Elastic.kill(left.getFirst());

        client.awaitState(other, "FINISHED", LIMIT);
        client.awaitState(job, "FINISHED", LIMIT);
        assertThat(digest(job)).as(() -> client.explain(job)).isEqualTo(undisturbed("first", 60));
        assertThat(digest(other)).as(() -> client.explain(other)).isEqualTo(undisturbed("second", 12));
    }

    @Test
    void anErrorInTheLoopFailsTheJobWithItsLastLine() {
        String job = submit("--epochs 3 --pause-ms 1 --native --fail-at 5");

        client.awaitState(job, "ERROR", LIMIT);

        assertThat(client.explain(job)).contains("RuntimeError: the script fails here");
    }

    private static String submit(String rest) {
        return client.submit(Elastic.arguments(4, rest), Elastic.upload())
                .get("id")
                .asString();
    }

    private static String digest(String job) {
        return client.job(job).get("weightsSha256").asString();
    }

    private static String undisturbed(String name, int epochs) {
        return Elastic.undisturbed(folder.resolve(name), 4, "--epochs", Integer.toString(epochs), "--pause-ms", "0")
                .weightsSha256();
    }
}
