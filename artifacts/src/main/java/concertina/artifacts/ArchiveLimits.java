package concertina.artifacts;

/**
 * What an upload may cost. Everything is counted while bytes are read; sizes an archive claims about itself are never
 * believed.
 *
 * @param maxEntries members plus folders implied by them
 * @param maxTotalBytes bytes of all members together, unpacked
 * @param maxRatio unpacked bytes for one uploaded byte; not applied to the first 16 MiB, which repetitive text may reach
 * @param maxUploadBytes size of the uploaded file itself
 * @param maxPathBytes length of a member's path in UTF-8
 * @param maxDepth components of a member's path
 */
public record ArchiveLimits(
        int maxEntries, long maxTotalBytes, int maxRatio, long maxUploadBytes, int maxPathBytes, int maxDepth) {
    /** 20,000 entries, 4 GiB unpacked, ratio 200, 1 GiB uploaded, paths of 512 bytes and 32 components. */
    public static final ArchiveLimits DEFAULT = new ArchiveLimits(20_000, 4L << 30, 200, 1L << 30, 512, 32);

    static final long RATIO_FREE_BYTES = 16L << 20;

    public ArchiveLimits {
        if (maxEntries < 1
                || maxTotalBytes < 1
                || maxRatio < 1
                || maxUploadBytes < 1
                || maxPathBytes < 1
                || maxDepth < 1) {
            throw new IllegalArgumentException("every limit must be at least 1");
        }
    }
}
