package concertina.server;

import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import java.nio.file.Files;
import java.nio.file.Path;

/** Where the product itself lies: the folder that holds {@code python/} and {@code examples/}. */
final class Home {
    private Home() {}

    /** {@code CONCERTINA_HOME}, else the present folder. */
    static Path path() {
        return Path.of(System.getenv().getOrDefault("CONCERTINA_HOME", ""))
                .toAbsolutePath()
                .normalize();
    }

    /** The Python that runs jobs. Throws NOT_FOUND when the environment names none. */
    static Path python() {
        Path python = Path.of(System.getenv().getOrDefault("CONCERTINA_PYTHON", "python3"));
        if (python.isAbsolute()) {
            return python;
        }
        for (String folder : System.getenv().getOrDefault("PATH", "").split(":")) {
            Path candidate =
                    Path.of(folder.isEmpty() ? "." : folder).resolve(python).toAbsolutePath();
            if (Files.isExecutable(candidate)) {
                return candidate;
            }
        }
        throw new ConcertinaException(
                ErrorCode.NOT_FOUND, "no Python: set CONCERTINA_PYTHON to a Python 3.10 or later that imports torch");
    }
}
