package concertina.it;

import java.time.Duration;
import java.time.Instant;
import java.util.concurrent.Callable;
import java.util.function.Predicate;
import java.util.function.Supplier;

/** Waits for conditions, never for time alone. A wait that fails says what was awaited and what was there instead. */
final class Waiting {
    private static final Duration PERIOD = Duration.ofMillis(50);

    private Waiting() {}

    /** The first value that satisfies the condition; fails with the latest one when the limit is over. */
    static <T> T until(String awaited, Duration limit, Callable<T> probe, Predicate<T> satisfied) {
        return until(awaited, limit, probe, satisfied, () -> "");
    }

    /** The same, with something more to tell in case of failure. */
    static <T> T until(
            String awaited, Duration limit, Callable<T> probe, Predicate<T> satisfied, Supplier<String> explanation) {
        Instant end = Instant.now().plus(limit);
        Object latest = "nothing";
        while (true) {
            try {
                T value = probe.call();
                if (satisfied.test(value)) {
                    return value;
                }
                latest = value;
            } catch (Exception failed) {
                latest = failed;
            }
            if (Instant.now().isAfter(end)) {
                throw new AssertionError("waited " + limit.toSeconds() + " s for " + awaited + ", there was " + latest
                        + "\n" + explanation.get());
            }
            pause();
        }
    }

    /** The same for a condition without a value. */
    static void until(String awaited, Duration limit, Callable<Boolean> condition) {
        until(awaited, limit, condition, satisfied -> satisfied);
    }

    private static void pause() {
        try {
            Thread.sleep(PERIOD);
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
            throw new AssertionError("interrupted", interrupted);
        }
    }
}
