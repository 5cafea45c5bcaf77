package concertina.trials;

import concertina.model.JobState;
import concertina.train.JobView;
import concertina.train.Jobs;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** Puts a search's state and that of its jobs together into what callers see. */
final class SearchViews {
    /** What a trial reached, as far as that counts. */
    private record Reached(List<Double> values, List<Double> violations, List<MetricSummary> metrics) {
        static final Reached NOTHING = new Reached(List.of(), List.of(), List.of());
    }

    private SearchViews() {}

    static SearchView of(SearchLife life, Jobs jobs, String waits, Instant now) {
        List<TrialView> trials = new ArrayList<>();
        boolean anyRan = false;
        for (TrialLife trial : life.trials()) {
            TrialView view = of(trial, life.spec, jobs);
            anyRan = anyRan || view.startedAt() != null || view.endedAt() != null;
            trials.add(view);
        }
        TrialLife best = life.best;
        boolean active = life.active();
        return new SearchView(
                life.name,
                life.creator,
                life.spec,
                state(life, anyRan),
                reason(life, waits),
                life.createdAt,
                life.ran(now),
                List.copyOf(trials),
                best == null ? null : trials.get((int) best.number),
                life.earlier,
                active ? life.openCount() : 0,
                life.count() - life.openCount(),
                life.failed);
    }

    private static SearchState state(SearchLife life, boolean anyRan) {
        if (life.ended != null) {
            return life.ended.failed() ? SearchState.FAILED : SearchState.FINISHED;
        }
        if (life.stoppedBy != null) {
            return SearchState.STOPPED;
        }
        return anyRan ? SearchState.RUNNING : SearchState.SUBMITTED;
    }

    private static String reason(SearchLife life, String waits) {
        if (life.ended != null) {
            return life.ended.reason();
        }
        if (life.stoppedBy != null) {
            return "stopped by " + life.stoppedBy;
        }
        if (life.closing != null) {
            return life.closing.reason() + "; " + life.openCount() + " trials are still under way";
        }
        int open = life.openCount();
        return waits.isEmpty() ? (open == 1 ? "1 trial is" : open + " trials are") + " under way" : waits;
    }

    private static TrialView of(TrialLife trial, SearchSpec spec, Jobs jobs) {
        TrialView known = trial.view;
        if (known != null) {
            return known;
        }
        TrialResult result = trial.result;
        if (result == null) {
            return open(trial, jobs.find(trial.job));
        }
        TrialView view = switch (result) {
            case TrialResult.Measured(List<MetricSummary> metrics) ->
                view(
                        trial,
                        TrialView.State.FINISHED,
                        new Reached(
                                spec.values(metrics),
                                Arrays.stream(spec.violations(metrics)).boxed().toList(),
                                metrics),
                        trial.startedAt,
                        trial.endedAt,
                        trial.reason);
            case TrialResult.Stopped(double step, List<MetricSummary> metrics, String reason) ->
                view(
                        trial,
                        TrialView.State.STOPPED,
                        new Reached(spec.values(metrics), List.of(), metrics),
                        trial.startedAt,
                        trial.endedAt,
                        reason);
            case TrialResult.Failed(String reason) ->
                view(trial, TrialView.State.FAILED, Reached.NOTHING, trial.startedAt, trial.endedAt, reason);
            case TrialResult.Killed(String reason) ->
                view(trial, TrialView.State.KILLED, Reached.NOTHING, trial.startedAt, trial.endedAt, reason);
        };
        trial.view = view;
        return view;
    }

    private static TrialView open(TrialLife trial, Optional<JobView> found) {
        JobState state = found.map(JobView::state).orElse(JobState.PENDING);
        boolean running = state != JobState.PENDING && state != JobState.STARTING;
        TrialView.State shown =
                trial.stopped ? TrialView.State.STOPPED : running ? TrialView.State.RUNNING : TrialView.State.SUBMITTED;
        return view(
                trial,
                shown,
                Reached.NOTHING,
                found.map(JobView::startedAt).orElse(null),
                trial.stopped ? found.map(JobView::endedAt).orElse(null) : null,
                trial.stopped ? "the search was stopped" : trial.reason);
    }

    private static TrialView view(
            TrialLife trial,
            TrialView.State state,
            Reached reached,
            @Nullable Instant startedAt,
            @Nullable Instant endedAt,
            String reason) {
        return new TrialView(
                trial.number,
                trial.point,
                trial.resource,
                trial.parent,
                trial.job,
                state,
                reached.values.isEmpty() ? null : reached.values.getFirst(),
                reached.values,
                reached.violations,
                reached.metrics,
                startedAt,
                endedAt,
                reason);
    }
}
