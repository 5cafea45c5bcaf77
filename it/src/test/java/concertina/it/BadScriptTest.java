package concertina.it;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.time.Duration;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Scripts that are wrong end their own job with the reason, give the slots back and harm no other job. */
class BadScriptTest {
    private static final Duration LIMIT = Duration.ofSeconds(120);

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

    private static String submit(int workers, String rest) {
        return client.submit(Elastic.arguments(workers, "--epochs 6 --pause-ms 6 " + rest), Elastic.upload())
                .get("id")
                .asString();
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', textBlock = """
            --fail-at 5 --only 2            | the script fails here
            --exit-at 5 --exit-code 3       | ended with exit code 3
            --exit-at 5                     | ended with exit code 0 in the middle of training
            --uneven                        | the script must give every worker the same data set
            """)
    void theJobFailsWithItsReasonAndTheOtherGoesOn(String rest, String reason) {
        String other = submit(2, "--workers 2");
        String bad = submit(2, "--workers 2 " + rest);

        client.awaitState(bad, "ERROR", LIMIT);

        assertThat(client.job(bad).get("reason").asString()).contains(reason);
        assertThat(Elastic.livingProcesses(client.job(bad))).isEmpty();
        client.awaitState(other, "FINISHED", LIMIT);
        assertThat(client.job(other).get("step")).isEqualTo(client.job(other).get("steps"));
    }

    @Test
    void aWorkerThatEndsWithoutAnErrorInTheMiddleOfTheOthersTrainingFailsTheJobOrChangesNothing() {
        String bad = submit(2, "--workers 2 --exit-at 5 --only 2");

        client.awaitJob(
                "the end", bad, LIMIT, job -> job.get("state").asString().matches("ERROR|FINISHED"));

        if (client.state(bad).equals("FINISHED")) {
            assertThat(client.job(bad).get("weightsSha256").asString())
                    .isEqualTo(Elastic.undisturbed(
                                    folder.resolve("undisturbed"),
                                    4,
                                    "--epochs",
                                    "6",
                                    "--pause-ms",
                                    "0",
                                    "--workers",
                                    "2")
                            .weightsSha256());
        }
    }
}
