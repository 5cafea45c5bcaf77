package concertina.trials;

import concertina.model.JobId;
import concertina.model.UserName;
import concertina.search.Point;
import concertina.search.Trial;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * The durable state of one search: what its events add up to. {@link #apply} is the only way it changes, whether an event has just
 * been stored or is being replayed. Not thread-safe; guarded by the lock of its run. Never does I/O, never reads a clock.
 */
final class SearchLife {
    final String name;
    final UserName creator;
    final SearchSpec spec;
    final Instant createdAt;
    final Deque<Point> line = new ArrayDeque<>();
    private final Map<Long, TrialLife> trials = new LinkedHashMap<>();
    private final Map<Long, TrialLife> open = new LinkedHashMap<>();
    private final Map<JobId, TrialLife> jobs = new HashMap<>();

    @Nullable
    WarmStart earlier;

    SearchEvent.@Nullable Closing closing;

    SearchEvent.@Nullable Ended ended;

    @Nullable
    UserName stoppedBy;

    @Nullable
    TrialLife best;

    int failed;

    /** How many trials failed since it began or was last restarted. */
    int failedInARow;

    /** When it began, was last restarted, or it was last recorded how long it had been led. */
    Instant runningSince;

    /** How long it was led before that, and altogether while it is not active. */
    Duration ran = Duration.ZERO;

    SearchLife(String name, SearchEvent.Created created, Instant at) {
        this.name = name;
        creator = created.creator();
        spec = created.spec();
        createdAt = at;
        runningSince = at;
    }

    void apply(SearchEvent event, Instant at) {
        switch (event) {
            case SearchEvent.LeftBehind ignored -> throw new IllegalStateException(name + " was deleted");
            case SearchEvent.Created ignored -> throw new IllegalStateException(name + " was created twice");
            case SearchEvent.WarmStarted warm -> earlier = warm.earlier();
            case SearchEvent.PointEnqueued enqueued -> line.add(enqueued.point());
            case SearchEvent.TrialAsked asked -> {
                TrialLife trial = new TrialLife(asked);
                trials.put(trial.number, trial);
                open.put(trial.number, trial);
                jobs.put(trial.job, trial);
                if (asked.enqueued()) {
                    line.poll();
                }
            }
            case SearchEvent.SamplerSaved ignored -> {}
            case SearchEvent.TrialRetried retried -> {
                TrialLife trial = trial(retried.number());
                jobs.remove(trial.job);
                trial.job = retried.job();
                jobs.put(trial.job, trial);
                trial.losses += trial.stopped ? 0 : 1;
                trial.stopped = false;
                trial.endBefore = retried.before();
            }
            case SearchEvent.Reported reported ->
                reported.reports().forEach(report -> {
                    TrialLife trial = trial(report.number());
                    trial.report(spec.objective().metric(), report);
                });
            case SearchEvent.TrialStopped verdict -> trial(verdict.number()).verdict = verdict;
            case SearchEvent.TrialEnded end -> {
                TrialLife trial = trial(end.number());
                trial.result = end.result();
                trial.startedAt = end.startedAt();
                trial.endedAt = at;
                open.remove(trial.number);
                jobs.remove(trial.job);
                failedInARow = end.result() instanceof TrialResult.Failed ? failedInARow + 1 : failedInARow;
                if (!trial.valued()) {
                    failed++;
                } else if (best == null || better(trial, best)) {
                    best = trial;
                }
            }
            case SearchEvent.Closing close -> closing = close;
            case SearchEvent.Stopped stopped -> {
                ran = ran(at);
                stoppedBy = stopped.by();
                open.values().forEach(trial -> trial.stopped = trial.verdict == null);
            }
            case SearchEvent.Restarted ignored -> {
                stoppedBy = null;
                closing = null;
                ended = null;
                failedInARow = 0;
                runningSince = at;
            }
            case SearchEvent.Led led -> {
                ran = Duration.ofMillis(led.ranMillis());
                runningSince = at;
            }
            case SearchEvent.Ended end -> {
                ran = ran(at);
                ended = end;
            }
        }
    }

    /** One that was stopped early is behind all that were measured to their ends, and of these one that misses constraints behind others. */
    private boolean better(TrialLife trial, TrialLife than) {
        return trial.measured() == than.measured() ? Arrays.compare(rank(trial), rank(than)) < 0 : trial.measured();
    }

    /** By how much it misses constraints, then its losses: among trials that miss none the least lies on the Pareto front. */
    private double[] rank(TrialLife trial) {
        return switch (trial.over(spec).state()) {
            case Trial.State.Complete(double[] losses, double[] violations) -> {
                double[] rank = new double[losses.length + 1];
                rank[0] = Arrays.stream(violations)
                        .map(violation -> Math.max(violation, 0))
                        .sum();
                System.arraycopy(losses, 0, rank, 1, losses.length);
                yield rank;
            }
            case Trial.State.Stopped(double step, double loss) -> new double[] {0, loss};
            case Trial.State.Running ignored -> new double[] {Double.POSITIVE_INFINITY};
            case Trial.State.Failed ignored -> new double[] {Double.POSITIVE_INFINITY};
        };
    }

    /** Whether even the best trial misses a constraint. */
    boolean bestViolates() {
        return best != null && rank(best)[0] > 0;
    }

    TrialLife trial(long number) {
        TrialLife trial = trials.get(number);
        if (trial == null) {
            throw new IllegalStateException(name + " has no trial " + number);
        }
        return trial;
    }

    /** The trial under way whose job this is. */
    Optional<TrialLife> of(JobId job) {
        return Optional.ofNullable(jobs.get(job));
    }

    /** In order of their numbers. */
    List<TrialLife> trials() {
        return List.copyOf(trials.values());
    }

    /** Trials without an outcome, in order of their numbers. */
    List<TrialLife> open() {
        return List.copyOf(open.values());
    }

    int openCount() {
        return open.size();
    }

    int count() {
        return trials.size();
    }

    /** Whether it was neither stopped nor has come to its end. */
    boolean active() {
        return ended == null && stoppedBy == null;
    }

    boolean mayRestart() {
        return stoppedBy != null || ended != null && ended.failed();
    }

    /** How long it was led until then. A clock that was set back takes nothing away. */
    Duration ran(Instant now) {
        return active() && now.isAfter(runningSince) ? ran.plus(Duration.between(runningSince, now)) : ran;
    }

    /** When it is to be recorded how long it was led, so that a killed server forgets little of it; empty without a limit. */
    Optional<Instant> recordTimeAt() {
        return deadline().map(end -> runningSince.plus(Duration.ofMinutes(Math.max(1, spec.maxMinutes() / 100))));
    }

    /** When its time is over; empty without a limit. */
    Optional<Instant> deadline() {
        return spec.maxMinutes() < 0
                ? Optional.empty()
                : Optional.of(
                        runningSince.plus(Duration.ofMinutes(spec.maxMinutes())).minus(ran));
    }

    /** Whether so many trials were asked for as there may be. */
    boolean full() {
        return count() >= spec.limit();
    }

    /** Why no further point can be put in line, and what could; null when one can: it will be tried, unless the search ends before. */
    @Nullable
    String refusesPoint() {
        if (ended != null) {
            return "has ended, accepted: one that runs or was stopped";
        }
        if (closing != null && stoppedBy == null) {
            return "is coming to its end, accepted: one that goes on";
        }
        return count() + line.size() < spec.limit()
                ? null
                : "has no trial left, of " + spec.limit() + " at most, accepted: one that has";
    }

    /** Whether a trial may be stopped early: it is under way and nobody else stops it. */
    boolean mayStop(long number) {
        TrialLife trial = open.get(number);
        return active() && trial != null && !trial.stopped && trial.verdict == null;
    }
}
