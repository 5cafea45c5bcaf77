package concertina.artifacts;

import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import java.io.Closeable;
import java.io.IOException;
import java.io.InputStream;
import org.jspecify.annotations.Nullable;

/**
 * Walks the members of one archive in its order, in bounded memory. A damaged archive ends in INVALID_ARGUMENT, never in
 * another exception. Not thread-safe.
 */
interface ArchiveReader extends Closeable {
    /** The next member; null at the proper end of the archive. */
    @Nullable
    Member next() throws IOException;

    /** The content of the member returned last; reading to its end proves it complete. Only for files. */
    InputStream content() throws IOException;

    static ConcertinaException damaged(String what) {
        return new ConcertinaException(
                ErrorCode.INVALID_ARGUMENT,
                "file: the archive is damaged (" + what + "), accepted: a complete archive");
    }

    /** A member as the archive names it, unchecked. */
    record Member(String name, Kind kind, boolean executable) {}

    enum Kind {
        FILE,
        FOLDER,
        /** Symbolic or hard. */
        LINK,
        /** Device, pipe or anything else that is neither file nor folder. */
        SPECIAL
    }
}
