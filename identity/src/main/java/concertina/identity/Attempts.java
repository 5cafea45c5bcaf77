package concertina.identity;

import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import concertina.model.UserName;
import java.time.Duration;
import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Slows down guessing: each pair of user and address has ten attempts, and gets one back every six seconds; a success gives all
 * back. Nobody is ever locked out for longer than that, and passwords known to be right do not pass through here at all.
 * Bounded; thread-safe.
 */
final class Attempts {
    private static final int BURST = 10;
    private static final Duration REFILL = Duration.ofSeconds(6);
    private static final int MOST = 10_000;

    /** When each pair's attempts will all be back. Guarded by this. */
    private final Map<Source, Instant> fullAt = new LinkedHashMap<>(64, 0.75f, true) {
        @Override
        protected boolean removeEldestEntry(Map.Entry<Source, Instant> eldest) {
            return size() > MOST;
        }
    };

    /** Takes one attempt; throws QUOTA_EXCEEDED when none is left. */
    synchronized void take(UserName user, String address, Instant now) {
        Source source = new Source(user, address);
        Instant present = fullAt.get(source);
        Instant full = (present == null || present.isBefore(now) ? now : present).plus(REFILL);
        Duration wait = Duration.between(now.plus(REFILL.multipliedBy(BURST)), full);
        if (wait.isPositive()) {
            throw new ConcertinaException(
                    ErrorCode.QUOTA_EXCEEDED,
                    "too many failed log-ons, accepted: the next one in " + (wait.toSeconds() + 1) + " seconds");
        }
        fullAt.put(source, full);
    }

    /** The attempt was right. */
    synchronized void succeeded(UserName user, String address) {
        fullAt.remove(new Source(user, address));
    }

    private record Source(UserName user, String address) {}
}
