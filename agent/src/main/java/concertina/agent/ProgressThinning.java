package concertina.agent;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Thins one worker's progress messages to one per interval, which becomes longer after a while: the newest waits, and goes before anything else that the worker
 * says, so that order holds and the last is never lost. Not thread-safe; time comes in as nanoseconds of any steady clock.
 */
final class ProgressThinning {
    private final long atFirstNanos;
    private final long firstNanos;
    private final long laterNanos;
    private @Nullable Map<String, Object> held;
    private boolean sentBefore;
    private long firstSentAtNanos;
    private long sentAtNanos;

    /**
     * @param atFirst interval for as long as {@code first} after the first message
     * @param later interval from then on
     */
    ProgressThinning(Duration atFirst, Duration first, Duration later) {
        this.atFirstNanos = atFirst.toNanos();
        this.firstNanos = first.toNanos();
        this.laterNanos = later.toNanos();
    }

    /** Takes a message and returns what is to be sent now, in order. */
    List<Map<String, Object>> offer(Map<String, Object> message, long nowNanos) {
        if (!"progress".equals(message.get("type"))) {
            List<Map<String, Object>> out = new ArrayList<>(flush(nowNanos));
            out.add(message);
            return out;
        }
        held = message;
        return due(nowNanos);
    }

    /** What waited long enough. */
    List<Map<String, Object>> due(long nowNanos) {
        return sentBefore && nowNanos - sentAtNanos < interval() ? List.of() : flush(nowNanos);
    }

    /** What waits, whether long enough or not; at the end of a worker. */
    List<Map<String, Object>> flush(long nowNanos) {
        Map<String, Object> message = held;
        if (message == null) {
            return List.of();
        }
        held = null;
        firstSentAtNanos = sentBefore ? firstSentAtNanos : nowNanos;
        sentBefore = true;
        sentAtNanos = nowNanos;
        return List.of(message);
    }

    /** How long until the message that waits is due; null when none waits. */
    @Nullable
    Duration untilDue(long nowNanos) {
        return held == null ? null : Duration.ofNanos(Math.max(0, interval() - (nowNanos - sentAtNanos)));
    }

    private long interval() {
        return sentAtNanos - firstSentAtNanos < firstNanos ? atFirstNanos : laterNanos;
    }
}
