package concertina.train;

import concertina.train.JobPulse.Heartbeat;
import concertina.train.JobPulse.Lag;
import concertina.train.TrainOptions.Slowness;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * Which workers of an elastic job are so slow that all others wait for them. Pure but for noting in the {@link JobPulse} since when.
 *
 * <p>Goals: a slow worker is named, a much slower one replaced between two steps. Constraints: a moment of bad luck is not slowness, tiny
 * differences are nobody's loss, and replacing must come to an end where the slot is slow and not the worker. Algorithm: compare what
 * every member says of its recent time per micro-batch with the median of the other members; whoever stays above for a while and some steps
 * is slow. One at a time, so many per job, and never twice on the same slot.
 */
final class Stragglers {
    /** Below this much more per micro-batch nobody is slow. */
    private static final double TRIFLE_MILLIS = 5;

    /** So many steps the comparison must hold for: a worker's first ones are slower. */
    private static final long STEPS = 10;

    private final Slowness slowness;

    Stragglers(Slowness slowness) {
        this.slowness = slowness;
    }

    /** Notes who lags behind now; to be called when a member has told its time. */
    void heard(JobLife job, JobPulse pulse, Instant now) {
        Generation current = job.current;
        if (current == null) {
            return;
        }
        for (int ordinal : current.members()) {
            double factor = factor(current.members(), pulse, ordinal);
            Heartbeat last = pulse.beats.get(ordinal);
            if (last == null || !reached(factor, slowness.factor())) {
                pulse.lags.remove(ordinal);
                continue;
            }
            Lag lag = pulse.lags.get(ordinal);
            long step = last.beat().step();
            boolean far = reached(factor, slowness.replacementFactor());
            Instant farSince = lag == null || lag.farSince() == null ? now : lag.farSince();
            pulse.lags.put(
                    ordinal,
                    new Lag(lag == null ? now : lag.since(), lag == null ? step : lag.step(), far ? farSince : null));
        }
    }

    /** The next worker to name or to replace. */
    Optional<JobEvent.WorkerSlow> next(JobLife job, JobPulse pulse) {
        Generation current = job.current;
        if (current == null || job.windingDown()) {
            return Optional.empty();
        }
        List<Worker> members = current.members().stream().map(job::worker).toList();
        boolean steady = members.stream().allMatch(worker -> worker.living() && !worker.leaving);
        for (Worker worker : members) {
            Lag lag = pulse.lags.get(worker.ordinal());
            Heartbeat last = pulse.beats.get(worker.ordinal());
            if (lag == null || last == null || worker.leaving || last.beat().step() < lag.step() + STEPS) {
                continue;
            }
            boolean replaced = steady
                    && held(lag.farSince(), last.at())
                    && job.stragglersReplaced() < slowness.replacements()
                    && job.slowBefore(worker).isEmpty();
            if (replaced || (worker.slow.isEmpty() && held(lag.since(), last.at()))) {
                return Optional.of(new JobEvent.WorkerSlow(
                        worker.ordinal(), replaced, sentence(job, pulse, current, worker, lag, last, replaced)));
            }
        }
        return Optional.empty();
    }

    private boolean held(@Nullable Instant since, Instant last) {
        return since != null && !last.isBefore(since.plus(slowness.period()));
    }

    private static boolean reached(double factor, int limit) {
        return limit > 0 && factor >= limit;
    }

    private static String sentence(
            JobLife job, JobPulse pulse, Generation current, Worker worker, Lag lag, Heartbeat last, boolean replaced) {
        double others = others(current.members(), pulse, worker.ordinal());
        double own = last.beat().microMillis();
        String text = String.format(
                Locale.ROOT,
                "on %s takes %.1f ms per micro-batch, %.1f times the %.1f ms of the others, for %d s now",
                worker.agent,
                own,
                own / others,
                others,
                Duration.between(lag.since(), last.at()).toSeconds());
        String kept = job.slowBefore(worker)
                .map(former -> "; so did worker " + former.id + " on the same slot, so it stays")
                .orElse("");
        return text + (replaced ? "; it is replaced" : kept);
    }

    /** How many times the others' time per micro-batch this worker takes; 0 when that is not known or does not matter. */
    private static double factor(List<Integer> members, JobPulse pulse, int ordinal) {
        double own = millis(pulse, ordinal);
        double others = others(members, pulse, ordinal);
        return own == 0 || others == 0 || own - others < TRIFLE_MILLIS ? 0 : own / others;
    }

    /** Median over the other members that have told theirs. */
    private static double others(List<Integer> members, JobPulse pulse, int ordinal) {
        double[] sorted = members.stream()
                .filter(other -> other != ordinal)
                .mapToDouble(other -> millis(pulse, other))
                .filter(millis -> millis > 0)
                .sorted()
                .toArray();
        int middle = sorted.length / 2;
        return sorted.length == 0
                ? 0
                : sorted.length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
    }

    private static double millis(JobPulse pulse, int ordinal) {
        Heartbeat last = pulse.beats.get(ordinal);
        return last == null ? 0 : Math.max(0, last.beat().microMillis());
    }
}
