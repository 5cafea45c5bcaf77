package concertina.agent;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Map;
import java.util.TreeMap;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The file {@code launcher} of a worker's log folder: what its owner needs to see why it ran as it ran. Secrets are named,
 * never shown. A full disk loses lines, not workers.
 */
final class LauncherLog {
    private static final Logger log = LoggerFactory.getLogger(LauncherLog.class);

    private final Path file;

    LauncherLog(Path logFolder) {
        this.file = logFolder.resolve("launcher");
    }

    void line(String text) {
        write(oneLine(text) + "\n");
    }

    /** One line for each variable, in order of their names. */
    void environment(Map<String, String> environment) {
        StringBuilder text = new StringBuilder();
        new TreeMap<>(environment)
                .forEach((name, value) -> text.append("Exposed the environment variable ")
                        .append(name)
                        .append(" to: ")
                        .append(WorkerEnvironment.secret(name) ? "(not shown)" : oneLine(value))
                        .append('\n'));
        write(text.toString());
    }

    private static String oneLine(String text) {
        return text.replace('\n', ' ').replace('\r', ' ');
    }

    private void write(String text) {
        try {
            Files.writeString(file, text, StandardCharsets.UTF_8, StandardOpenOption.CREATE, StandardOpenOption.APPEND);
        } catch (IOException e) {
            log.warn("{} cannot be written: {}", file, e.toString());
        }
    }
}
