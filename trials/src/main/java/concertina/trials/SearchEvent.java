package concertina.trials;

import concertina.model.JobId;
import concertina.model.UserName;
import concertina.search.Point;
import java.time.Instant;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Something that happened to a search and must survive a restart of the server. Trials are named by their numbers. */
public sealed interface SearchEvent {
    /** The search was accepted. */
    record Created(UserName creator, SearchSpec spec) implements SearchEvent {}

    /** The algorithm begins with what earlier searches found; stored together with the creation. */
    record WarmStarted(WarmStart earlier) implements SearchEvent {}

    /** A user put a point in line, to be tried before what the algorithm proposes. */
    record PointEnqueued(Point point) implements SearchEvent {}

    /**
     * A trial got its number, its point and the id of its job; recorded before the job is submitted, so that a job is never
     * submitted twice and a point never forgotten.
     *
     * @param resource how much of the resource it is given; null where the algorithm has none
     * @param parent number of the trial it goes on from; null for a fresh start
     * @param enqueued whether the point came from the head of the line
     * @param reason why this point, as a sentence
     */
    record TrialAsked(
            long number,
            Point point,
            @Nullable Double resource,
            @Nullable Long parent,
            JobId job,
            boolean enqueued,
            String reason)
            implements SearchEvent {}

    /**
     * What the algorithm needs to go on after the trial just asked for, where telling it of all trials is not enough. Only the last one
     * counts, and only that is kept.
     */
    record SamplerSaved(String state) implements SearchEvent {}

    /**
     * A trial that was under way when the search was stopped, or whose job was lost with an agent, runs again; under the same id if its
     * job can go on.
     *
     * @param before when that job had ended, by which its next end is told apart; null for a new job
     */
    record TrialRetried(long number, JobId job, @Nullable Instant before) implements SearchEvent {}

    /** Trials under way reported; in the order in which the reports count. Only where trials are stopped early. */
    record Reported(List<TrialReport> reports) implements SearchEvent {
        public Reported {
            reports = List.copyOf(reports);
        }
    }

    /**
     * A trial reports worse than others and is to be stopped; its outcome follows when its job has ended.
     *
     * @param step of the report that decided
     * @param value what it reported there, of the first objective
     */
    record TrialStopped(long number, double step, double value, String reason) implements SearchEvent {}

    /** A trial's outcome. */
    record TrialEnded(
            long number, TrialResult result, @Nullable Instant startedAt) implements SearchEvent {}

    /** No further trial is asked for; the search ends with the last that runs. */
    record Closing(boolean stopTrials, boolean failed, String reason) implements SearchEvent {}

    /** A user stopped the search; jobs of its trials are being stopped. */
    record Stopped(UserName by) implements SearchEvent {}

    /** A stopped or failed search goes on. */
    record Restarted(UserName by) implements SearchEvent {}

    /** It had been led for so long altogether. What lay between that and this entry does not count: no server was there. */
    record Led(long ranMillis) implements SearchEvent {}

    /**
     * In place of a deleted search: what is still to be put away. Or before a search begins, the code that is laid down for it.
     *
     * @param by whoever deleted it
     * @param jobs of trials that were under way
     * @param code id under which its code lies; null for none
     */
    record LeftBehind(
            UserName creator,
            UserName by,
            List<JobId> jobs,
            @Nullable JobId code) implements SearchEvent {
        public LeftBehind {
            jobs = List.copyOf(jobs);
        }
    }

    /** The search has come to its end by itself. */
    record Ended(boolean failed, String reason) implements SearchEvent {}
}
