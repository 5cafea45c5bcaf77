package concertina.agent;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@Timeout(20)
class LastLineTest {
    @TempDir
    private Path folder;

    private Path written(String text) throws IOException {
        return Files.writeString(folder.resolve("stderr"), text);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "Traceback:%  File x%ValueError: no ünïcode%% %|ValueError: no ünïcode",
                "only one|only one",
                "progress 1~ progress 2|progress 2",
                "%|''",
                "''|''"
            })
    void itIsTheLastThatIsNotBlank(String text, String last) throws IOException {
        assertThat(LastLine.of(written(text.replace('%', '\n').replace('~', '\r'))))
                .isEqualTo(last);
    }

    @Test
    void ofAVeryLongLineTheEndIsRead() throws IOException {
        assertThat(LastLine.of(written("x".repeat(10_000) + " end")))
                .hasSizeLessThanOrEqualTo(4096)
                .endsWith("x end");
    }

    @Test
    void whatIsNoFileHasNone() throws Exception {
        assertThat(LastLine.of(folder)).isEmpty();
        assertThat(LastLine.of(folder.resolve("missing"))).isEmpty();
        Path pipe = folder.resolve("pipe");
        assertThat(new ProcessBuilder("mkfifo", pipe.toString()).start().waitFor())
                .isZero();
        assertThat(LastLine.of(pipe)).isEmpty();
        assertThat(LastLine.of(Files.createSymbolicLink(folder.resolve("link"), written("secret"))))
                .isEmpty();
    }
}
