package concertina.trials;

import java.util.List;

/** What came of a trial. */
public sealed interface TrialResult {
    /** It ended in good order and wrote every objective. */
    record Measured(List<MetricSummary> metrics) implements TrialResult {
        public Measured {
            metrics = List.copyOf(metrics);
        }
    }

    /**
     * It was stopped on its way because others were better.
     *
     * @param step of the report that decided
     * @param metrics what it had reached; every objective is among them, as far as it had reported it
     */
    record Stopped(double step, List<MetricSummary> metrics, String reason) implements TrialResult {
        public Stopped {
            metrics = List.copyOf(metrics);
        }
    }

    /** Its job failed, or what it wrote is of no use. */
    record Failed(String reason) implements TrialResult {}

    /** Somebody stopped its job, or the search's time was over. */
    record Killed(String reason) implements TrialResult {}
}
