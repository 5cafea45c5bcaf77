package concertina.agent;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(60)
class LogLimitTest {
    private static final LogLimit.Kept KEPT = new LogLimit.Kept(1, 1);
    private static final Pattern MARKER = Pattern.compile(
            "\\[([\\d,]+) bytes are left out here: the first 1 MB and the last 1 MB of a log are kept]\n");

    private final LogLimit limit = new LogLimit();

    @TempDir
    Path folder;

    private Path file;

    @BeforeEach
    void name() {
        file = folder.resolve("stdout");
    }

    @AfterEach
    void end() {
        limit.end();
    }

    /** Numbered lines of 100 bytes. */
    private static String lines(int from, int count) {
        StringBuilder text = new StringBuilder();
        for (int number = from; number < from + count; number++) {
            text.append(String.format(Locale.ROOT, "%-99d\n", number));
        }
        return text.toString();
    }

    private void append(String text) throws IOException {
        Files.writeString(file, text, StandardOpenOption.CREATE, StandardOpenOption.APPEND);
    }

    private static long number(String line) {
        return Long.parseLong(line.strip());
    }

    @Test
    void beginningAndEndStayAndTheLineBetweenSaysHowMuchIsLeftOut() throws Exception {
        limit.watch(List.of(file), KEPT);
        int written = 0;
        for (int round = 0; round < 9; round++) {
            append(lines(written, 12_000));
            written += 12_000;
            limit.shorten(file);
            assertThat(Files.size(file)).isLessThan(3 << 20);
        }
        limit.release(List.of(file));

        String text = Files.readString(file);
        Matcher marker = MARKER.matcher(text);
        assertThat(marker.find()).isTrue();
        String head = text.substring(0, marker.start());
        String tail = text.substring(marker.end());
        assertThat(head).isEqualTo(lines(0, (1 << 20) / 100));
        long dropped = Long.parseLong(marker.group(1).replace(",", ""));
        assertThat(dropped + head.length() + tail.length()).isEqualTo(100L * written);
        assertThat(tail).isEqualTo(lines((int) number(tail.substring(0, 100)), tail.length() / 100));
        assertThat(tail.length()).isBetween((1 << 20) - 100, 2 << 20);
        assertThat(limit.times(file)).isPositive();
    }

    @Test
    void aWriterIsNeitherStoppedNorAllowedToFillTheDisk() throws Exception {
        limit.watch(List.of(file), KEPT);
        byte[] block = "x".repeat(999).concat("\n").repeat(100).getBytes(StandardCharsets.UTF_8);
        try (OutputStream output = Files.newOutputStream(file, StandardOpenOption.CREATE, StandardOpenOption.APPEND)) {
            output.write("first\n".getBytes(StandardCharsets.UTF_8));
            for (int count = 0; limit.times(file) < 5; count++) {
                output.write(block);
                if (count % 20 == 0) {
                    Thread.onSpinWait();
                }
            }
            output.write("last\n".getBytes(StandardCharsets.UTF_8));
        }
        limit.release(List.of(file));

        String text = Files.readString(file);
        assertThat(text).startsWith("first\n").endsWith("last\n").containsPattern(MARKER);
        assertThat(text.length()).isLessThanOrEqualTo(3 << 20);
    }

    @Test
    void aFileWithinTheLimitAndAFileWithoutLinesAreLeftWholeOrCutAnywhere() throws Exception {
        limit.watch(List.of(file), KEPT);
        append("y".repeat(3 << 20));
        limit.shorten(file);
        assertThat(limit.times(file)).isZero();
        append("z".repeat(3 << 20));
        limit.shorten(file);
        assertThat(Files.readString(file)).startsWith("yyyy").endsWith("zzzz").containsPattern(MARKER);
        assertThat(Files.size(file)).isBetween(2L << 20, (2L << 20) + 200);
    }

    @Test
    void linksAndFilesThatAreGoneAreNoConcern() throws Exception {
        Path secret = Files.writeString(folder.resolve("secret"), "s".repeat(4 << 20));
        Files.createSymbolicLink(file, secret);
        limit.watch(List.of(file, folder.resolve("none")), KEPT);
        limit.shorten(file);
        limit.shorten(folder.resolve("none"));
        assertThat(Files.size(secret)).isEqualTo(4 << 20);
    }

    @Test
    void aServerThatSaysNothingMeansTheDefault() {
        assertThat(LogLimit.Kept.from(Map.of())).isEqualTo(LogLimit.Kept.DEFAULT);
        assertThat(LogLimit.Kept.from(
                        Map.of("CONCERTINA_LOG_FIRST_MEGABYTES", "2", "CONCERTINA_LOG_LAST_MEGABYTES", "3")))
                .isEqualTo(new LogLimit.Kept(2, 3));
    }
}
