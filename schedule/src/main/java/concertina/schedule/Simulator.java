package concertina.schedule;

import concertina.model.JobId;
import concertina.model.SlotId;
import concertina.model.UserName;
import concertina.schedule.Demand.Holding;
import concertina.schedule.Demand.Shape;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * Plays a trace of jobs against the planner, so that policies are compared on evidence. Time is simulated: no clock, no
 * I/O, the same trace gives the same outcome. A worker counts from the moment it starts and no longer once it is told to
 * leave; its slots come back a fixed time after that. One instance plays one trace; not thread-safe.
 */
public final class Simulator {
    private final Trace trace;
    private final Policy policy;
    private final Consumer<Moment> watcher;
    private final Map<JobId, Run> unfinished = new LinkedHashMap<>();
    private final List<JobOutcome> outcomes = new ArrayList<>();
    /** Slots in use, and for those on their way back the moment at which they are free. */
    private final Map<SlotId, Instant> occupied = new HashMap<>();

    private Instant now = Instant.MIN;
    private double busySlotSeconds;

    private Simulator(Trace trace, Policy policy, Consumer<Moment> watcher) {
        this.trace = trace;
        this.policy = policy;
        this.watcher = watcher;
    }

    /**
     * A job to come.
     *
     * @param work how long it runs when it has one worker, or, for a rigid job, all of its workers
     */
    public record Arrival(
            JobId job,
            UserName creator,
            int priority,
            Instant submittedAt,
            boolean gpu,
            int slotsPerWorker,
            Shape shape,
            Duration work) {}

    /** The worker of this rank of an elastic job dies; nothing happens when there is none. */
    public record Death(Instant at, JobId job, int rank) {}

    /**
     * What happens, whatever the policy.
     *
     * @param cluster the slots, all taken as free at the beginning
     * @param leaving from telling a worker to go until its slots are free
     */
    public record Trace(ClusterView cluster, List<Arrival> arrivals, List<Death> deaths, Duration leaving) {
        public Trace {
            arrivals = arrivals.stream()
                    .sorted(Comparator.comparing(Arrival::submittedAt))
                    .toList();
            deaths = deaths.stream().sorted(Comparator.comparing(Death::at)).toList();
        }
    }

    /** One plan and what it was made from. */
    public record Moment(ClusterView view, List<Demand> demands, Plan plan, Instant at) {}

    /**
     * How a job fared.
     *
     * @param resizes plans that started or took back workers, the first start among them
     */
    public record JobOutcome(JobId job, Instant submittedAt, Instant startedAt, Instant endedAt, int resizes) {
        public Duration waited() {
            return Duration.between(submittedAt, startedAt);
        }

        public Duration turnaround() {
            return Duration.between(submittedAt, endedAt);
        }
    }

    /**
     * How all fared.
     *
     * @param jobs those that finished, in the order in which they did
     * @param unfinished those that never could
     * @param utilisation share of all slots' time that working workers held, from the first submission to the last end
     */
    public record Outcome(List<JobOutcome> jobs, List<JobId> unfinished, double utilisation, Instant endedAt) {}

    public static Outcome play(Trace trace, Policy policy) {
        return play(trace, policy, moment -> {});
    }

    /** Plays a trace and shows every plan to a watcher. */
    public static Outcome play(Trace trace, Policy policy, Consumer<Moment> watcher) {
        return new Simulator(trace, policy, watcher).play();
    }

    private Outcome play() {
        int arrived = 0;
        int died = 0;
        Instant begin = trace.arrivals().isEmpty()
                ? Instant.EPOCH
                : trace.arrivals().getFirst().submittedAt();
        now = begin.minusNanos(1);
        Instant lastEnd = begin;
        while (true) {
            Optional<Instant> next = nextEvent(arrived, died);
            if (next.isEmpty()) {
                break;
            }
            advance(next.get());
            while (arrived < trace.arrivals().size()
                    && !trace.arrivals().get(arrived).submittedAt().isAfter(now)) {
                Arrival arrival = trace.arrivals().get(arrived++);
                unfinished.put(arrival.job(), new Run(arrival));
            }
            while (died < trace.deaths().size()
                    && !trace.deaths().get(died).at().isAfter(now)) {
                kill(trace.deaths().get(died++));
            }
            occupied.values().removeIf(until -> !until.isAfter(now));
            for (Run run : List.copyOf(unfinished.values())) {
                run.held.removeIf(worker -> worker.leaving && !occupied.containsKey(worker.slots.getFirst()));
                if (run.finished()) {
                    finish(run);
                    lastEnd = now;
                }
            }
            plan();
        }
        double seconds = seconds(Duration.between(begin, lastEnd))
                * trace.cluster().slots().size();
        return new Outcome(
                List.copyOf(outcomes),
                List.copyOf(unfinished.keySet()),
                seconds == 0 ? 0 : busySlotSeconds / seconds,
                lastEnd);
    }

    private Optional<Instant> nextEvent(int arrived, int died) {
        List<Instant> candidates = new ArrayList<>();
        if (arrived < trace.arrivals().size()) {
            candidates.add(trace.arrivals().get(arrived).submittedAt());
        }
        if (died < trace.deaths().size()) {
            candidates.add(trace.deaths().get(died).at());
        }
        for (Run run : unfinished.values()) {
            Instant end = run.endsAt();
            if (end != null) {
                candidates.add(end);
            }
            candidates.add(run.resizedAt.plus(policy.settle()));
        }
        occupied.values().stream().filter(until -> until.isBefore(Instant.MAX)).forEach(candidates::add);
        return candidates.stream().filter(at -> at.isAfter(now)).min(Comparator.naturalOrder());
    }

    private void advance(Instant to) {
        double passed = seconds(Duration.between(now, to));
        for (Run run : unfinished.values()) {
            run.workSeconds -= passed * run.speed();
            busySlotSeconds += passed * run.working() * run.arrival.slotsPerWorker();
        }
        now = to;
    }

    private void kill(Death death) {
        Run run = unfinished.get(death.job());
        if (run == null || run.arrival.shape() instanceof Shape.Rigid) {
            return;
        }
        List<Worker> working =
                run.held.stream().filter(worker -> !worker.leaving).toList();
        if (death.rank() < working.size()) {
            Worker worker = working.get(death.rank());
            run.held.remove(worker);
            worker.slots.forEach(occupied::remove);
            run.resizedAt = now;
        }
    }

    private void finish(Run run) {
        unfinished.remove(run.arrival.job());
        for (Worker worker : run.held) {
            worker.slots.forEach(slot -> occupied.put(slot, now.plus(trace.leaving())));
        }
        Instant started = run.startedAt;
        if (started == null) {
            throw new IllegalStateException(run.arrival.job() + " ended without a start");
        }
        outcomes.add(new JobOutcome(run.arrival.job(), run.arrival.submittedAt(), started, now, run.resizes));
    }

    private void plan() {
        ClusterView view = new ClusterView(trace.cluster().slots().stream()
                .map(slot -> new ClusterView.SlotView(
                        slot.slot(), slot.agent(), slot.kind(), !occupied.containsKey(slot.slot())))
                .toList());
        List<Demand> demands = unfinished.values().stream().map(Run::demand).toList();
        Plan plan = Planner.plan(view, demands, policy, now);
        watcher.accept(new Moment(view, demands, plan, now));
        for (Plan.Assignment assignment : plan.assignments()) {
            Run run = unfinished.get(assignment.job());
            if (run != null) {
                apply(run, assignment);
            }
        }
    }

    private void apply(Run run, Plan.Assignment assignment) {
        if (assignment.starts().isEmpty() && assignment.leaves().isEmpty()) {
            return;
        }
        for (Worker worker : run.held) {
            if (assignment.leaves().contains(worker.ordinal)) {
                worker.leaving = true;
                worker.slots.forEach(slot -> occupied.put(slot, now.plus(trace.leaving())));
            }
        }
        for (List<SlotId> slots : assignment.starts()) {
            run.held.add(new Worker(++run.ordinals, slots));
            slots.forEach(slot -> occupied.put(slot, Instant.MAX));
        }
        if (run.startedAt == null) {
            run.startedAt = now;
        }
        run.resizedAt = now;
        run.resizes++;
    }

    private static double seconds(Duration duration) {
        return duration.toNanos() / 1e9;
    }

    private static final class Worker {
        final int ordinal;
        final List<SlotId> slots;
        boolean leaving;

        Worker(int ordinal, List<SlotId> slots) {
            this.ordinal = ordinal;
            this.slots = slots;
        }
    }

    /** An unfinished job: what it holds and how much is left to do. */
    private final class Run {
        /** Rounding of simulated time must not leave a job unfinished for ever. */
        private static final double NEGLIGIBLE_SECONDS = 1e-6;

        final Arrival arrival;
        final List<Worker> held = new ArrayList<>();
        double workSeconds;
        int ordinals;
        int resizes;
        Instant resizedAt;

        @Nullable
        Instant startedAt;

        Run(Arrival arrival) {
            this.arrival = arrival;
            this.workSeconds = seconds(arrival.work());
            this.resizedAt = arrival.submittedAt();
        }

        int working() {
            return (int) held.stream().filter(worker -> !worker.leaving).count();
        }

        double speed() {
            int workers = working();
            if (workers == 0) {
                return 0;
            }
            return switch (arrival.shape()) {
                case Shape.Rigid rigid -> 1;
                case Shape.Elastic elastic -> UsefulSizes.speedup(elastic.logicalWorkers(), workers);
            };
        }

        boolean finished() {
            return workSeconds <= NEGLIGIBLE_SECONDS;
        }

        @Nullable
        Instant endsAt() {
            double speed = speed();
            return speed == 0 ? null : now.plusNanos(Math.max(1, (long) Math.ceil(workSeconds / speed * 1e9)));
        }

        Demand demand() {
            return new Demand(
                    arrival.job(),
                    arrival.creator(),
                    "",
                    arrival.priority(),
                    arrival.submittedAt(),
                    resizedAt,
                    arrival.gpu(),
                    arrival.slotsPerWorker(),
                    arrival.shape(),
                    held.stream()
                            .map(worker -> new Holding(worker.ordinal, worker.slots, worker.leaving))
                            .toList(),
                    null);
        }
    }
}
