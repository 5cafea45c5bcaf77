package concertina.artifacts;

import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;

/** Counts what one archive has cost so far and ends the reading with TOO_LARGE at the first limit. Not thread-safe. */
final class ArchiveBudget {
    private final ArchiveLimits limits;
    private final long uploadBytes;
    private int entries;
    private long decompressed;
    private long written;

    ArchiveBudget(ArchiveLimits limits, long uploadBytes) {
        this.limits = limits;
        this.uploadBytes = Math.max(1, uploadBytes);
    }

    void entry() {
        entries++;
        if (entries > limits.maxEntries()) {
            throw tooLarge("the archive has more than " + limits.maxEntries() + " members and folders");
        }
    }

    /** Bytes that came out of decompression, headers included. */
    void decompressed(long bytes) {
        decompressed += bytes;
        check(decompressed);
    }

    /** Bytes of member content, holes of sparse members included. */
    void written(long bytes) {
        written += bytes;
        check(written);
    }

    private void check(long total) {
        if (total > limits.maxTotalBytes()) {
            throw tooLarge("the archive unpacks to more than " + limits.maxTotalBytes() + " bytes");
        }
        if (total > ArchiveLimits.RATIO_FREE_BYTES && total / uploadBytes >= limits.maxRatio()) {
            throw tooLarge("the archive unpacks to more than " + limits.maxRatio() + " times its size");
        }
    }

    private static ConcertinaException tooLarge(String what) {
        return new ConcertinaException(ErrorCode.TOO_LARGE, "file: " + what + ", accepted: archives within that limit");
    }
}
