package concertina.schedule;

import java.util.stream.IntStream;

/**
 * The sizes at which an elastic job of V logical workers is faster than at every smaller one. W workers compute a step in
 * ceil(V/W) rounds, so only a W that lowers this number is worth its slots: for V = 8 these are 1, 2, 3, 4 and 8.
 *
 * <p>Notation: V logical workers, W workers, r rounds of a step. The smallest W with at most r rounds is ceil(V/r), hence
 * every useful size has that form. Pure arithmetic, thread-safe.
 */
public final class UsefulSizes {
    private UsefulSizes() {}

    /** Rounds of one step: ceil(V/W). */
    public static int rounds(int logicalWorkers, int workers) {
        return Math.ceilDiv(logicalWorkers, workers);
    }

    /** How many times faster than with one worker: V / ceil(V/W). */
    public static double speedup(int logicalWorkers, int workers) {
        return (double) logicalWorkers / rounds(logicalWorkers, workers);
    }

    public static boolean useful(int logicalWorkers, int workers) {
        return workers >= 1 && workers <= logicalWorkers && atMost(logicalWorkers, workers) == workers;
    }

    /** The largest useful size that is not above the given number of workers, 0 when that is 0. */
    public static int atMost(int logicalWorkers, int workers) {
        if (workers < 1) {
            return 0;
        }
        return Math.ceilDiv(logicalWorkers, rounds(logicalWorkers, workers));
    }

    /** The smallest useful size above the given number of workers; that number itself when more would not help. */
    public static int next(int logicalWorkers, int workers) {
        if (workers < 1) {
            return 1;
        }
        int rounds = rounds(logicalWorkers, workers);
        return rounds == 1 ? workers : Math.ceilDiv(logicalWorkers, rounds - 1);
    }

    /** All useful sizes, ascending from 1 to V. */
    public static IntStream all(int logicalWorkers) {
        return IntStream.iterate(1, size -> size <= logicalWorkers, size -> {
            int next = next(logicalWorkers, size);
            return next == size ? Integer.MAX_VALUE : next;
        });
    }
}
