package concertina.train;

import concertina.model.JobId;
import concertina.model.UserName;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/**
 * A job's files on the server: uploaded code, logs and results, laid out as {@code <results>/<user>/batchworkdir/<job>/}.
 * Every relative path is checked to stay inside that folder, links are never followed out of it. Thread-safe.
 */
public interface JobFiles {
    /**
     * Checks and unpacks an upload (gzip or plain tar, zip, or a single file) into {@code _submitted_code}. On failure
     * nothing is left on disk. Throws INVALID_ARGUMENT or TOO_LARGE naming the member and the limit.
     *
     * @param fileName the name the client gave the file
     * @param upload file holding the bytes; kept for agents, moved by this call
     */
    StoredCode storeCode(JobId job, UserName user, String fileName, Path upload) throws IOException;

    /**
     * Gives another job of the user the same upload, without a copy of its bytes where the file system allows. Throws NOT_FOUND when
     * the first has none; no effect when the second has it already.
     */
    void shareCode(JobId from, JobId to, UserName user) throws IOException;

    /** The upload as it came, for agents. */
    Optional<Upload> code(JobId job, UserName user);

    /** RESULT_DIR of the job on the server; may not exist yet. */
    Path folder(JobId job, UserName user);

    /**
     * Writes at an offset of a growing file.
     *
     * @return the file's size afterwards; when the offset lies beyond the end, the present size, with nothing written
     */
    long write(JobId job, UserName user, String path, long offset, InputStream bytes) throws IOException;

    /** Replaces a whole file atomically. */
    void replace(JobId job, UserName user, String path, InputStream bytes) throws IOException;

    /** Removes one file; no effect when there is none. */
    void remove(JobId job, UserName user, String path) throws IOException;

    /** Existing files matching a glob relative to RESULT_DIR, in natural order of their names ("task2" before "task10"). */
    List<Path> find(JobId job, UserName user, String glob) throws IOException;

    /** Writes a zip of everything below {@code model/} to a temporary file that the caller deletes. */
    Path zipResult(JobId job, UserName user) throws IOException;

    /** Removes everything the job has on disk; no effect when there is nothing. */
    void delete(JobId job, UserName user) throws IOException;

    /**
     * What was unpacked.
     *
     * @param topFolder name of the single top folder, empty when members lie at the top or a single file came
     * @param files relative paths below {@code _submitted_code}, sorted
     */
    record StoredCode(String topFolder, List<String> files) {}

    /** An upload and the name the client gave it. */
    record Upload(String fileName, Path path) {}
}
