package concertina.train;

import concertina.train.JobPulse.Heartbeat;
import concertina.train.TrainOptions.Patience;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Which workers of an elastic job hang. Pure.
 *
 * <p>Goals: a worker that stops stepping is named whatever stopped it, one that is merely slow is left alone. Constraints: a worker
 * whose watch lives knows best what it is doing, and judges itself by its own limits; one that is stopped as a process says nothing.
 * Algorithm: believe a watch that calls its own work late; of workers that others wait for, take those whose watch is silent; without
 * anybody waiting, take silence only when it is ten times as long. Workers that wait for each other alone have lost a
 * message: nobody is killed, the generation is made anew.
 */
final class Watch {
    /** So many times longer is silence borne that nobody waits behind, or in work that may take long. */
    private static final int UNCONFIRMED = 10;

    /** Ten times as long from now is still a date. */
    private static final double LONGEST_SECONDS = 1e9;

    private final Patience patience;

    Watch(Patience patience) {
        this.patience = patience;
    }

    List<JobEvent> hung(JobLife job, JobPulse pulse, Instant now) {
        List<JobEvent> found = new ArrayList<>();
        Set<String> awaited = awaited(job, pulse);
        for (Worker worker : job.workers.values()) {
            if (!worker.living() || !worker.hung.isEmpty()) {
                continue;
            }
            String reason =
                    worker.prepared() ? training(job, pulse, worker, awaited, now) : loading(pulse, worker, now);
            if (reason != null) {
                found.add(new JobEvent.WorkerHung(worker.ordinal(), !worker.prepared(), reason));
            }
        }
        return found;
    }

    private @Nullable String loading(JobPulse pulse, Worker worker, Instant now) {
        Instant started = worker.startedAt;
        if (started == null || worker.leaving || patience.loading().isZero()) {
            return null;
        }
        return over(started, patience.loading(), now)
                ? "on " + worker.agent + " did not reach train within "
                        + patience.loading().toSeconds() + " s of its start"
                : null;
    }

    private @Nullable String training(JobLife job, JobPulse pulse, Worker worker, Set<String> awaited, Instant now) {
        Heartbeat last = pulse.beats.get(worker.ordinal());
        if (hang(job).isZero() || !job.inGeneration(worker)) {
            return null;
        }
        WorkerMessage.Beat beat = last != null && takesPart(job, last.beat()) ? last.beat() : null;
        boolean missed = awaited.contains(worker.id.toString());
        String step = "on " + worker.agent + " did not finish step "
                + (Math.max(0, beat == null ? pulse.step : beat.step()) + 1) + ": ";
        String where = beat == null || beat.where().isEmpty() ? "" : ", at " + beat.where();
        if (beat != null && beat.late() && !beat.waiting()) {
            return step + beat.phase() + " for " + beat.seconds() + " s" + where;
        }
        Instant heard = last == null ? pulse.since : last.at();
        if (beat == null) {
            heard = later(heard, began(job, worker));
        }
        boolean confirmed = missed && (beat == null || !beat.mayTakeLong());
        return over(heard, confirmed ? hang(job) : hang(job).multipliedBy(UNCONFIRMED), now)
                ? step + "nothing was heard of it for "
                        + Duration.between(heard, now).toSeconds() + " s" + where
                : null;
    }

    /** When the generation a member has not said a word in began; it cannot have been late before. */
    private static Instant began(JobLife job, Worker worker) {
        if (job.pending != null && job.pending.members().contains(worker.ordinal())) {
            return job.pending.at();
        }
        return job.current == null ? job.submittedAt : job.current.at();
    }

    private static Instant later(Instant one, Instant other) {
        return one.isAfter(other) ? one : other;
    }

    /** Whom others wait for longer than they bear. */
    private static Set<String> awaited(JobLife job, JobPulse pulse) {
        Set<String> awaited = new HashSet<>();
        for (Heartbeat each : pulse.beats.values()) {
            if (each.beat().late() && each.beat().waiting() && takesPart(job, each.beat())) {
                awaited.addAll(each.beat().waitsFor());
            }
        }
        return awaited;
    }

    private static boolean takesPart(JobLife job, WorkerMessage.Beat beat) {
        return (job.current != null && job.current.number() == beat.generation())
                || (job.pending != null && job.pending.number() == beat.generation());
    }

    /** Why the generation cannot go on though no member hangs: some wait for each other, and for nobody else. */
    Optional<String> deadlock(JobLife job, JobPulse pulse) {
        Set<String> waiting = new HashSet<>();
        pulse.beats.forEach((ordinal, each) -> {
            if (each.beat().late() && each.beat().waiting() && takesPart(job, each.beat())) {
                waiting.add(job.worker(ordinal).id.toString());
            }
        });
        return !waiting.isEmpty() && waiting.containsAll(awaited(job, pulse))
                ? Optional.of(
                        "workers " + String.join(", ", waiting.stream().sorted().toList())
                                + " wait for each other, a message between them was lost")
                : Optional.empty();
    }

    /** Whether a worker that owes an answer to a break has not said anything since it was asked. */
    boolean silent(JobLife job, JobPulse pulse, Worker worker, Instant asked, Instant now) {
        Heartbeat last = pulse.beats.get(worker.ordinal());
        if (last == null || hang(job).isZero()) {
            return false;
        }
        return over(asked, hang(job), now) && over(last.at(), hang(job), now);
    }

    /** A job's own limit, which its workers go by too, else the platform's. */
    private Duration hang(JobLife job) {
        String own = job.spec.environment().getOrDefault("CONCERTINA_HANG_SECONDS", "");
        try {
            double seconds = own.isEmpty() ? Double.NaN : Double.parseDouble(own);
            return Double.isNaN(seconds)
                    ? patience.hang()
                    : Duration.ofMillis((long) (1000 * Math.clamp(seconds, 0, LONGEST_SECONDS)));
        } catch (NumberFormatException notANumber) {
            return patience.hang();
        }
    }

    private static boolean over(Instant since, Duration limit, Instant now) {
        return !now.isBefore(Objects.requireNonNull(since).plus(limit));
    }
}
