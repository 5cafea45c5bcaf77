package concertina.api.wmla;

import concertina.model.ConcertinaException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Collectors;

/**
 * Decides which scripts that already lie on the server a job without an upload may name: files below the configured folders,
 * links followed before the comparison. Thread-safe.
 */
final class ServerScripts {
    private final List<Path> folders;

    ServerScripts(List<Path> folders) {
        this.folders = folders.stream()
                .map(folder -> folder.toAbsolutePath().normalize())
                .toList();
    }

    /** Throws INVALID_ARGUMENT naming {@code --model-main} unless the path is a file below one of the folders. */
    void check(String modelMain) {
        String accepted = folders.isEmpty()
                ? "a file of an uploaded archive"
                : "a file of an uploaded archive, or the absolute path of a file below "
                        + folders.stream().map(Path::toString).collect(Collectors.joining(" or "));
        if (!modelMain.startsWith("/") || !exists(modelMain)) {
            throw ConcertinaException.invalid(Flag.MODEL_MAIN.label(), modelMain, accepted);
        }
    }

    private boolean exists(String modelMain) {
        try {
            Path path = Path.of(modelMain).toRealPath();
            if (!Files.isRegularFile(path)) {
                return false;
            }
            for (Path folder : folders) {
                if (Files.isDirectory(folder) && path.startsWith(folder.toRealPath())) {
                    return true;
                }
            }
            return false;
        } catch (IOException | InvalidPathException unreadable) {
            return false;
        }
    }
}
