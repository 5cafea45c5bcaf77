package concertina.server;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

class ProcessFileTest {
    @TempDir
    Path folder;

    @Test
    @Timeout(30)
    void aProcessThatEndedButThatNobodyWaitedForDoesNotLive() throws IOException, InterruptedException {
        assumeTrue(Files.exists(Path.of("/proc/self/stat")));
        Process parent = new ProcessBuilder("sh", "-c", "sleep 100 & echo $!; exec sleep 100").start();
        try (BufferedReader said = new BufferedReader(new InputStreamReader(parent.getInputStream(), US_ASCII))) {
            ProcessHandle child =
                    ProcessHandle.of(Long.parseLong(said.readLine())).orElseThrow();
            ProcessFile file = new ProcessFile(folder.resolve("process"));
            file.write(child, "");
            assertThat(file.living()).contains(child);

            assertThat(file.end(Duration.ofSeconds(20))).isTrue();

            file.write(child, "");
            assertThat(child.isAlive()).isTrue();
            assertThat(file.living()).isEmpty();
            assertThat(file.end(Duration.ofSeconds(20))).isFalse();
        } finally {
            parent.destroyForcibly();
        }
    }
}
