package concertina.api;

import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.LinkOption;
import java.nio.file.Path;

/** Finds files below a job's folder by a relative path that a client gave. Links are never followed. */
public final class ResultPaths {
    private ResultPaths() {}

    /** The file or folder; throws INVALID_ARGUMENT for a path that leaves the folder and NOT_FOUND when nothing is there. */
    public static Path below(Path folder, String relative) {
        try {
            Path path = Path.of(relative);
            boolean dots = false;
            for (Path part : path) {
                dots |= part.toString().equals("..");
            }
            if (path.isAbsolute() || dots) {
                throw ConcertinaException.invalid("path", relative, "a relative path without ..");
            }
            Path current = folder;
            for (Path part : path) {
                current = current.resolve(part);
                if (Files.isSymbolicLink(current) || !Files.exists(current, LinkOption.NOFOLLOW_LINKS)) {
                    throw new ConcertinaException(ErrorCode.NOT_FOUND, "no file " + relative);
                }
            }
            return current;
        } catch (InvalidPathException malformed) {
            throw ConcertinaException.invalid("path", relative.replace("\0", "\\0"), "a relative path without ..");
        }
    }

    /** Like {@link #below}, but only for a regular file. */
    public static Path existing(Path folder, String relative) {
        Path path = below(folder, relative);
        if (!Files.isRegularFile(path, LinkOption.NOFOLLOW_LINKS)) {
            throw new ConcertinaException(ErrorCode.NOT_FOUND, "no file " + relative);
        }
        return path;
    }
}
