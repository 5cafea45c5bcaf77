package concertina.trials;

import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;

/** Stands still until a test moves it, but for a nanosecond at each look, so that no two moments are the same. */
final class TestingClock implements InstantSource {
    private Instant now = Instant.parse("2030-01-01T12:00:00Z");

    @Override
    public synchronized Instant instant() {
        now = now.plusNanos(1);
        return now;
    }

    synchronized void advance(Duration duration) {
        now = now.plus(duration);
    }
}
