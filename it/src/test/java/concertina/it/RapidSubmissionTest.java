package concertina.it;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Ten thousand submissions as fast as they go: some are taken, the others told why not, and the server lives on in its bounds. */
class RapidSubmissionTest {
    private static final int SUBMISSIONS = 10_000;
    private static final int UNFINISHED_LIMIT = 300;
    private static final long RESIDENT_LIMIT_KILOBYTES = 300 * 1024;

    @Test
    void tenThousandRapidSubmissionsLeaveAWorkingServer(@TempDir Path folder) throws Exception {
        try (Platform platform = Platform.serverOnly(folder, "unfinished-jobs-limit: " + UNFINISHED_LIMIT);
                ExecutorService senders = Executors.newFixedThreadPool(16)) {
            Client client = platform.administrator();
            client.token();
            List<Future<HttpResponse<String>>> answers = new ArrayList<>();
            for (int count = 0; count < SUBMISSIONS; count++) {
                answers.add(senders.submit(() -> client.trySubmit(
                        "--exec-start PyTorch --model-main main.py",
                        Upload.file("main.py", "print('one of many')\n"))));
            }
            int accepted = 0;
            for (Future<HttpResponse<String>> each : answers) {
                HttpResponse<String> answer = each.get();
                if (answer.statusCode() == 200) {
                    accepted++;
                } else {
                    assertThat(answer.statusCode()).as(answer.body()).isEqualTo(429);
                    assertThat(answer.body()).startsWith("Error 429: ").contains(Integer.toString(UNFINISHED_LIMIT));
                }
            }

            assertThat(accepted).isEqualTo(UNFINISHED_LIMIT);
            assertThat(Client.json(client.get(Client.EXEC + "/execs"))).hasSize(UNFINISHED_LIMIT);
            assertThat(residentKilobytes(platform.serverProcessId())).isLessThan(RESIDENT_LIMIT_KILOBYTES);
            assertThat(jobFolders(platform, client.user())).isEqualTo(UNFINISHED_LIMIT);

            assertThat(client.send("DELETE", Client.EXEC + "/execs").statusCode())
                    .isEqualTo(204);

            assertThat(Client.json(client.get(Client.EXEC + "/execs"))).isEmpty();
            assertThat(jobFolders(platform, client.user())).isZero();
            assertThat(client.trySubmit(
                                    "--exec-start PyTorch --model-main main.py",
                                    Upload.file("main.py", "print('after the flood')\n"))
                            .statusCode())
                    .isEqualTo(200);
        }
    }

    private static long residentKilobytes(long process) throws IOException {
        return Files.readAllLines(Path.of("/proc/" + process + "/status")).stream()
                .filter(line -> line.startsWith("VmRSS:"))
                .mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")))
                .findFirst()
                .orElseThrow();
    }

    private static long jobFolders(Platform platform, String user) throws IOException {
        Path folder = platform.data().resolve("results").resolve(user).resolve("batchworkdir");
        if (!Files.exists(folder)) {
            return 0;
        }
        try (Stream<Path> jobs = Files.list(folder)) {
            return jobs.count();
        }
    }
}
