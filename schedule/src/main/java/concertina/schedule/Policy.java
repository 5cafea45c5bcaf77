package concertina.schedule;

import java.time.Duration;

/**
 * What the platform's owner may choose.
 *
 * @param settle how long an elastic job keeps its size after the last change before it may grow again; shrinking for
 *     others is never delayed
 */
public record Policy(Duration settle) {
    /** Grows at once. */
    public static final Policy DEFAULT = new Policy(Duration.ZERO);
}
