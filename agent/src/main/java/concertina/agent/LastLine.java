package concertina.agent;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;

/** The last line that is not blank of what a script left on its standard error. Thread-safe; reads no more than the file's end. */
final class LastLine {
    private static final int MOST_BYTES = 4096;

    private LastLine() {}

    /** Empty when there is none, or when it cannot be read: nothing depends on it. */
    static String of(Path file) {
        // The script may have put anything else there, of which some would keep a reader waiting.
        if (!Files.isRegularFile(file, LinkOption.NOFOLLOW_LINKS)) {
            return "";
        }
        try (RandomAccessFile reader = new RandomAccessFile(file.toFile(), "r")) {
            byte[] end = new byte[(int) Math.min(reader.length(), MOST_BYTES)];
            reader.seek(reader.length() - end.length);
            reader.readFully(end);
            String text = new String(end, StandardCharsets.UTF_8).strip();
            return text.substring(Math.max(text.lastIndexOf('\n'), text.lastIndexOf('\r')) + 1)
                    .strip();
        } catch (IOException e) {
            return "";
        }
    }
}
