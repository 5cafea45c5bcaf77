package concertina.server;

import concertina.model.ConcertinaException;
import concertina.server.SubmitCommand.Submission;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/** A request that a user wrote down, and the code that goes with it. The server reads what it says. */
final class SearchRequestFile {
    private static final int LIMIT_BYTES = 1 << 20;

    private SearchRequestFile() {}

    /** @param name a file; {@code -} for standard input */
    static String read(String name) throws IOException {
        try (InputStream in = name.equals("-") ? System.in : Files.newInputStream(Path.of(name))) {
            byte[] bytes = in.readNBytes(LIMIT_BYTES + 1);
            if (bytes.length > LIMIT_BYTES) {
                throw ConcertinaException.invalid("request", name, "a text of at most " + LIMIT_BYTES + " bytes");
            }
            String text = new String(bytes, StandardCharsets.UTF_8);
            if (text.isBlank()) {
                throw ConcertinaException.invalid("request", "", "a JSON object or a Python dict");
            }
            return text;
        }
    }

    /** A script as it is, a folder to be packed. */
    static Submission code(Path path) {
        Path name = path.toAbsolutePath().normalize().getFileName();
        if (name != null && Files.isDirectory(path)) {
            return new Submission("", path, null, name + ".modelDir.tar");
        }
        if (name != null && Files.isRegularFile(path)) {
            return new Submission("", null, path, name.toString());
        }
        throw ConcertinaException.invalid("code", path.toString(), "a script or a folder on this machine");
    }
}
