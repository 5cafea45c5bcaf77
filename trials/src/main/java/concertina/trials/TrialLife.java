package concertina.trials;

import concertina.model.JobId;
import concertina.search.Point;
import concertina.search.Trial;
import java.time.Instant;
import java.util.List;
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

    @Nullable
    Instant retriedAt;

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

    /** The trial as its sampler is told of it when it was asked for. */
    Trial running() {
        return trial(new Trial.State.Running());
    }

    /** The trial as its sampler is told of its end. */
    Trial over(List<Objective> objectives) {
        return trial(
                result instanceof TrialResult.Measured(List<MetricSummary> metrics)
                        ? new Trial.State.Complete(losses(objectives, metrics), new double[0])
                        : new Trial.State.Failed());
    }

    private Trial trial(Trial.State state) {
        return new Trial(
                number,
                point,
                resource == null ? OptionalDouble.empty() : OptionalDouble.of(resource),
                parent == null ? OptionalLong.empty() : OptionalLong.of(parent),
                state);
    }

    private static double[] losses(List<Objective> objectives, List<MetricSummary> metrics) {
        return objectives.stream()
                .mapToDouble(objective -> objective.loss(of(metrics, objective.metric())))
                .toArray();
    }

    /** Throws when the metric is not among them, which a measured trial's objectives always are. */
    static MetricSummary of(List<MetricSummary> metrics, String name) {
        return metrics.stream()
                .filter(summary -> summary.name().equals(name))
                .findFirst()
                .orElseThrow();
    }
}
