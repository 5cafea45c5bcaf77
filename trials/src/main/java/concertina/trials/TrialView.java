package concertina.trials;

import concertina.model.JobId;
import concertina.search.Point;
import java.time.Instant;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A trial as it looked at one moment.
 *
 * @param resource how much of the resource it was given; null where the algorithm has none
 * @param parent number of the trial it went on from; null for a fresh start
 * @param value of the first objective; null unless it was measured or stopped early
 * @param values one for each objective; empty unless it was measured or stopped early
 * @param violations by how much it misses each constraint, 0 or less where it keeps it; empty unless it was measured
 * @param metrics what it reported; empty unless it was measured or stopped early
 * @param reason why it ended as it did, or why this point is tried
 */
public record TrialView(
        long number,
        Point point,
        @Nullable Double resource,
        @Nullable Long parent,
        JobId job,
        State state,
        @Nullable Double value,
        List<Double> values,
        List<Double> violations,
        List<MetricSummary> metrics,
        @Nullable Instant startedAt,
        @Nullable Instant endedAt,
        String reason) {
    /** Where a trial is in its life. */
    public enum State {
        /** Its job waits for a slot, or to be submitted. */
        SUBMITTED,
        /** Its job runs. */
        RUNNING,
        /** It was measured. */
        FINISHED,
        /** It failed. */
        FAILED,
        /** It was stopped early, or the search was stopped while it was under way and a restart runs it again. */
        STOPPED,
        /** Its job was stopped for good. */
        KILLED
    }
}
