package concertina.trials;

import concertina.model.JobId;
import concertina.search.Point;
import concertina.search.Trial;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import org.jspecify.annotations.Nullable;

/** The durable state of one trial. Not thread-safe; guarded by its search's lock. */
final class TrialLife {
    final long number;
    final Point point;
    final @Nullable Double resource;
    final @Nullable Long parent;
    final String reason;

    JobId job;

    /** Whether the search was stopped while this was under way, and it has not been retried since. */
    boolean stopped;

    /** How often it began again because an agent was lost with its job. */
    int losses;

    /** That it is to be stopped early, once that is decided. */
    SearchEvent.@Nullable TrialStopped verdict;

    /** Of its reports that count: how many, the step of the last, and the first objective's values. */
    int reports;

    double lastStep = Double.NEGATIVE_INFINITY;

    @Nullable
    MetricSummary reported;

    /** The end of its job from which it is to go on; null where it has not been retried under the same id. */
    @Nullable
    Instant endBefore;

    @Nullable
    TrialResult result;

    @Nullable
    Instant startedAt;

    @Nullable
    Instant endedAt;

    /** Made once the trial has ended. */
    @Nullable
    TrialView view;

    TrialLife(SearchEvent.TrialAsked asked) {
        number = asked.number();
        point = asked.point();
        resource = asked.resource();
        parent = asked.parent();
        reason = asked.reason();
        job = asked.job();
    }

    boolean open() {
        return result == null;
    }

    boolean measured() {
        return result instanceof TrialResult.Measured;
    }

    /** Whether it was measured, or stopped early with what it had reached. */
    boolean valued() {
        return measured() || result instanceof TrialResult.Stopped;
    }

    /** The trial as its sampler is told of it when it was asked for. */
    Trial running() {
        return trial(new Trial.State.Running());
    }

    /** The trial as its sampler is told of its end. */
    Trial over(SearchSpec spec) {
        return trial(
                switch (result) {
                    case TrialResult.Measured(List<MetricSummary> metrics) ->
                        new Trial.State.Complete(spec.losses(metrics), spec.violations(metrics));
                    case TrialResult.Stopped(double step, List<MetricSummary> metrics, String reason) ->
                        new Trial.State.Stopped(
                                step,
                                spec.loss(
                                        spec.objective(),
                                        of(metrics, spec.objective().metric())));
                    case TrialResult.Failed ignored -> new Trial.State.Failed();
                    case TrialResult.Killed ignored -> new Trial.State.Failed();
                    case null -> throw new IllegalStateException("trial " + number + " has not ended");
                });
    }

    void report(String metric, TrialReport report) {
        reports++;
        lastStep = report.step();
        MetricSummary before = reported;
        double value = report.value();
        reported = before == null
                ? new MetricSummary(metric, value, value, value)
                : new MetricSummary(metric, Math.min(before.min(), value), Math.max(before.max(), value), value);
    }

    private Trial trial(Trial.State state) {
        return new Trial(
                number,
                point,
                resource == null ? OptionalDouble.empty() : OptionalDouble.of(resource),
                parent == null ? OptionalLong.empty() : OptionalLong.of(parent),
                state);
    }

    static Optional<MetricSummary> find(List<MetricSummary> metrics, String name) {
        return metrics.stream().filter(summary -> summary.name().equals(name)).findFirst();
    }

    /** Throws when the metric is not among them, which those of the objectives and constraints of a measured trial always are. */
    static MetricSummary of(List<MetricSummary> metrics, String name) {
        return find(metrics, name).orElseThrow();
    }
}
