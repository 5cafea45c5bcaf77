package concertina.schedule;

import concertina.model.AgentId;
import concertina.model.JobId;
import concertina.model.SlotId;
import concertina.schedule.Demand.Holding;
import concertina.schedule.Plan.Assignment;
import concertina.schedule.Pool.Cell;
import concertina.schedule.Pool.Supply;
import concertina.schedule.Pool.Terms;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.PriorityQueue;
import java.util.Set;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * Decides who gets which slots, and says why. A pure function: the same input gives the same plan, and a plan that was
 * carried out gives an empty one.
 *
 * <p><b>Goals.</b> Priority first, then fairness between jobs, then speed. Elastic jobs give slots back before anything
 * queues. Nobody is overtaken for ever by jobs of the same or lower priority.
 *
 * <p><b>Constraints.</b> Rigid jobs start whole and keep what they hold. An elastic job keeps its first worker, rank 0,
 * even against higher priority. A worker's slots lie on one agent. A job never starts and gives back workers at once, and
 * starts none while some of its own are still leaving. Elastic jobs have useful sizes ({@link UsefulSizes}).
 *
 * <p><b>Algorithm.</b> Started rigid jobs and first workers keep their slots. Then, from the highest priority down:
 * <ol>
 *   <li>in order of submission every waiting job gets what it starts with: a rigid job all of its workers, an elastic job
 *       one. If that does not fit, as many slots are reserved for it where the fewest are missing, and jobs behind it may
 *       take only others. So what it lacks can only become less, however many small jobs follow; this is stricter than
 *       needed when a running job is about to end, since nobody knows how long a script runs.
 *   <li>elastic jobs share what is left, reserved slots too because they give those back: the one whose next useful size
 *       is the smallest grows first (max-min by slots, every job with equal weight, whoever submitted it). When a next
 *       size no longer fits, left-over slots go where they speed up most per slot. Among equals the order of submission
 *       decides, in which the jobs of a group take each other's turns by their standing.
 * </ol>
 * What a priority cannot use goes to the next lower one. Once jobs have started, those that wait for slots to come back may
 * be better off with others; so the plan is made again on its own result until nothing is added.
 */
public final class Planner {
    /** One is nearly always enough; a few in ten thousand plans leave something to add. */
    private static final int ROUNDS = 4;

    private static final Comparator<Demand> ORDER = Comparator.comparingInt(Demand::priority)
            .reversed()
            .thenComparing(Demand::submittedAt)
            .thenComparingInt(demand -> demand.job().value().length())
            .thenComparing(demand -> demand.job().value());

    private static final Comparator<Job> SMALLEST_NEXT = Comparator.<Job>comparingInt(
                    job -> job.nextSize() * job.width())
            .thenComparing(Comparator.comparingDouble(Job::gainPerSlot).reversed())
            .thenComparingInt(job -> job.turn);

    private static final Comparator<Job> LARGEST_GAIN =
            Comparator.comparingDouble(Job::gainPerSlot).reversed().thenComparingInt(job -> job.turn);

    private final Pool pool;
    private final List<Job> jobs = new ArrayList<>();
    private final Policy policy;
    private final Instant now;
    private final Reasons reasons;

    private Planner(ClusterView view, List<Demand> demands, Policy policy, Instant now) {
        this.pool = new Pool(view);
        this.policy = policy;
        this.now = now;
        this.reasons = new Reasons(pool);
        for (Demand demand : demands.stream().sorted(ORDER).toList()) {
            jobs.add(new Job(demand, jobs.size()));
        }
        exchangeTurns();
    }

    /** Within each group the turns stay the same and go to its jobs by their standing. */
    private void exchangeTurns() {
        Map<String, List<Job>> groups = new HashMap<>();
        for (Job job : jobs) {
            Demand.Standing standing = job.demand.standing();
            if (standing != null) {
                groups.computeIfAbsent(standing.group(), group -> new ArrayList<>())
                        .add(job);
            }
        }
        for (List<Job> group : groups.values()) {
            int[] turns = group.stream().mapToInt(job -> job.turn).toArray();
            // Stable, so that equal places keep the order of submission.
            group.sort(Comparator.comparingInt(Job::place));
            for (int index = 0; index < turns.length; index++) {
                group.get(index).turn = turns[index];
            }
        }
    }

    /** Plans for this moment. Ask again whenever a slot, a worker or a demand changed, and when a settling time is over. */
    public static Plan plan(ClusterView view, List<Demand> demands, Policy policy, Instant now) {
        Situation situation = new Situation(view, demands);
        Plan plan = once(situation, policy, now);
        for (int round = 1; round < ROUNDS && !plan.idle(); round++) {
            Plan more = once(situation.after(plan, now), policy, now);
            if (more.idle() || !compatible(plan, more)) {
                break;
            }
            plan = joined(plan, more);
        }
        return plan;
    }

    private static Plan once(Situation situation, Policy policy, Instant now) {
        return new Planner(situation.view(), situation.demands(), policy, now).plan();
    }

    /** Whether no job would start workers and take some back, and none is taken back that only starts now. */
    private static boolean compatible(Plan plan, Plan more) {
        for (int index = 0; index < plan.assignments().size(); index++) {
            if (!plan.assignments().get(index).starts().isEmpty()
                    && !more.assignments().get(index).leaves().isEmpty()) {
                return false;
            }
        }
        return true;
    }

    /** Both plans have the same order, which depends on the demands' priority and submission alone. */
    private static Plan joined(Plan plan, Plan more) {
        List<Assignment> joined = new ArrayList<>(plan.assignments().size());
        for (int index = 0; index < plan.assignments().size(); index++) {
            Assignment first = plan.assignments().get(index);
            Assignment second = more.assignments().get(index);
            if (first.idle()) {
                joined.add(second);
            } else if (second.idle()) {
                joined.add(first);
            } else {
                List<List<SlotId>> starts = new ArrayList<>(first.starts());
                starts.addAll(second.starts());
                List<Integer> leaves = new ArrayList<>(second.leaves());
                leaves.addAll(first.leaves());
                joined.add(new Assignment(first.job(), second.target(), starts, leaves, second.reason()));
            }
        }
        return new Plan(joined);
    }

    private Plan plan() {
        jobs.forEach(this::noteHoldings);
        jobs.forEach(this::keepWhatMustStay);
        Map<Integer, List<Job>> levels = new TreeMap<>(Comparator.reverseOrder());
        for (Job job : jobs) {
            levels.computeIfAbsent(job.demand.priority(), priority -> new ArrayList<>())
                    .add(job);
        }
        for (List<Job> level : levels.values()) {
            level.stream().filter(job -> !job.running()).forEach(this::begin);
            share(level);
            explain(level);
        }
        return new Plan(jobs.stream().map(Job::assignment).toList());
    }

    private void noteHoldings(Job job) {
        for (int rank = 0; rank < job.living.size(); rank++) {
            for (Cell cell : job.living.get(rank).cells) {
                pool.held(cell, job.id(), Supply.EXTRA, job.demand.priority(), rank);
            }
        }
        for (Holding holding : job.demand.held()) {
            if (holding.leaving()) {
                for (Cell cell : pool.cells(holding.slots())) {
                    pool.held(cell, job.id(), Supply.RETURNING, 0, 0);
                }
            }
        }
    }

    private void keepWhatMustStay(Job job) {
        switch (job.demand.shape()) {
            case Demand.Shape.Rigid rigid -> job.living.forEach(worker -> keep(job, worker));
            case Demand.Shape.Elastic elastic -> job.living.stream().limit(1).forEach(worker -> keep(job, worker));
        }
    }

    private boolean keep(Job job, Worker worker) {
        if (!pool.retake(worker.cells, job.id())) {
            return false;
        }
        worker.kept = true;
        job.kept++;
        return true;
    }

    /** Gives a waiting job what it starts with, or reserves it. */
    private void begin(Job job) {
        Terms terms = job.terms(false);
        if (pool.capacity(job.width(), terms) < job.least()) {
            job.reason = reasons.impossible(job);
            return;
        }
        List<List<Cell>> placed = place(job, job.least(), false);
        if (placed == null) {
            job.reason = reasons.blocked(job);
            if (pool.reserve(job.least(), job.width(), terms)) {
                reasons.reservedFor(job);
            }
        } else {
            job.placed.addAll(placed);
        }
    }

    /** Slots for more workers of a job. A gang takes what lets it start soonest, then what lies closest together. */
    private @Nullable List<List<Cell>> place(Job job, int workers, boolean reserved) {
        Terms terms = job.terms(reserved);
        if (!job.elastic() && workers > 1) {
            for (Supply limit : List.of(Supply.FREE, Supply.SURPLUS)) {
                List<List<Cell>> placed =
                        pool.place(job.id(), workers, job.width(), true, terms.upTo(limit), job.agents());
                if (placed != null) {
                    return placed;
                }
            }
        }
        return pool.place(job.id(), workers, job.width(), !job.elastic(), terms, job.agents());
    }

    private void share(List<Job> level) {
        PriorityQueue<Job> growing = new PriorityQueue<>(SMALLEST_NEXT);
        PriorityQueue<Job> leftOver = new PriorityQueue<>(LARGEST_GAIN);
        for (Job job : level) {
            if (job.canGrow()) {
                growing.add(job);
            }
        }
        record Kind(boolean gpu, int width) {}
        Set<Kind> exhausted = new HashSet<>();
        while (!growing.isEmpty()) {
            Job job = growing.remove();
            Kind kind = new Kind(job.demand.gpu(), job.width());
            if (exhausted.contains(kind) || !grow(job)) {
                exhausted.add(kind);
                leftOver.add(job);
            } else if (job.canGrow()) {
                growing.add(job);
            }
        }
        while (!leftOver.isEmpty()) {
            Job job = leftOver.remove();
            if (grow(job) && job.canGrow()) {
                leftOver.add(job);
            }
        }
        for (Job job : level) {
            job.living.stream().filter(worker -> !worker.kept).forEach(worker -> worker.cells.forEach(pool::surplus));
        }
    }

    /** Brings an elastic job to its next useful size: with its present workers in rank order, then with new ones. */
    private boolean grow(Job job) {
        int wanted = job.nextSize() - job.size();
        List<Worker> again = new ArrayList<>();
        for (Worker worker : job.living) {
            if (again.size() < wanted && !worker.kept && keep(job, worker)) {
                again.add(worker);
            }
        }
        int missing = wanted - again.size();
        if (missing > 0) {
            List<List<Cell>> placed = place(job, missing, true);
            if (placed == null) {
                for (Worker worker : again) {
                    worker.kept = false;
                    job.kept--;
                    pool.giveUp(worker.cells);
                }
                return false;
            }
            job.placed.addAll(placed);
        }
        return true;
    }

    private void explain(List<Job> level) {
        Map<Boolean, Reasons.Share> shares = new HashMap<>();
        for (boolean gpu : new boolean[] {false, true}) {
            shares.put(gpu, reasons.share(level, gpu));
        }
        for (Job job : level) {
            if (job.reason.isEmpty()) {
                boolean settling = job.elastic()
                        && job.running()
                        && now.isBefore(job.demand.resizedAt().plus(policy.settle()));
                job.decide(settling);
                Reasons.Share share = shares.get(job.demand.gpu());
                if (share == null) {
                    throw new IllegalStateException("no share was computed");
                }
                job.reason = reasons.placed(job, share, settling);
            }
        }
    }

    /** A living worker of a job that is not leaving. Slots of a lost agent are held but not listed as cells. */
    static final class Worker {
        final int ordinal;
        final List<Cell> cells;
        boolean kept;

        Worker(int ordinal, List<Cell> cells) {
            this.ordinal = ordinal;
            this.cells = cells;
        }
    }

    /** A demand and what this plan has given it so far. */
    final class Job {
        final Demand demand;
        final List<Worker> living = new ArrayList<>();
        /** Slots of workers to come: some free, some still held by others. */
        final List<List<Cell>> placed = new ArrayList<>();

        final boolean leaving;
        /** When it is served where nothing else decides. */
        int turn;

        int kept;
        List<List<SlotId>> starts = List.of();
        List<Integer> leaves = List.of();
        String reason = "";

        Job(Demand demand, int turn) {
            this.demand = demand;
            this.turn = turn;
            for (Holding holding : demand.held()) {
                if (!holding.leaving()) {
                    living.add(new Worker(holding.ordinal(), pool.cells(holding.slots())));
                }
            }
            this.leaving = living.size() < demand.held().size();
        }

        JobId id() {
            return demand.job();
        }

        /** Among the jobs of its group. */
        int place() {
            Demand.Standing standing = demand.standing();
            return standing == null ? 0 : standing.place();
        }

        int width() {
            return demand.slotsPerWorker();
        }

        Terms terms(boolean reserved) {
            return new Terms(!demand.gpu(), true, reserved);
        }

        boolean elastic() {
            return switch (demand.shape()) {
                case Demand.Shape.Elastic elastic -> true;
                case Demand.Shape.Rigid rigid -> false;
            };
        }

        /** Workers it can use. */
        int most() {
            return switch (demand.shape()) {
                case Demand.Shape.Elastic elastic -> elastic.logicalWorkers();
                case Demand.Shape.Rigid rigid -> rigid.workers();
            };
        }

        /** Workers it may have: fewer than it can use when it is bounded. */
        int bound() {
            return switch (demand.shape()) {
                case Demand.Shape.Elastic elastic -> elastic.most();
                case Demand.Shape.Rigid rigid -> rigid.workers();
            };
        }

        /** Why it may not have as many as it can use. */
        String boundReason() {
            return demand.shape() instanceof Demand.Shape.Elastic elastic && elastic.most() < elastic.logicalWorkers()
                    ? elastic.bound()
                    : "";
        }

        /** Workers it starts with. */
        int least() {
            return elastic() ? 1 : most();
        }

        boolean running() {
            return !living.isEmpty();
        }

        int size() {
            return kept + placed.size();
        }

        int nextSize() {
            int next = UsefulSizes.next(most(), size());
            return next > bound() ? size() : next;
        }

        boolean canGrow() {
            return elastic() && size() > 0 && nextSize() > size();
        }

        double gainPerSlot() {
            int next = nextSize();
            return (UsefulSizes.speedup(most(), next) - UsefulSizes.speedup(most(), size()))
                    / ((next - size()) * (double) width());
        }

        Set<AgentId> agents() {
            Set<AgentId> agents = new LinkedHashSet<>();
            for (Worker worker : living) {
                if (worker.kept) {
                    worker.cells.forEach(cell -> agents.add(cell.agent()));
                }
            }
            placed.forEach(cells -> cells.forEach(cell -> agents.add(cell.agent())));
            return agents;
        }

        /** Turns what was given into what to do now. */
        private void decide(boolean settling) {
            if (!elastic() && running()) {
                return;
            }
            leaves = living.reversed().stream()
                    .filter(worker -> !worker.kept)
                    .map(worker -> worker.ordinal)
                    .toList();
            if (!leaves.isEmpty() || leaving || settling || firstSlotsAwaited()) {
                return;
            }
            List<List<Cell>> ready = placed.stream()
                    .filter(cells -> cells.stream().allMatch(Cell::free))
                    .toList();
            int count = elastic()
                    ? UsefulSizes.atMost(most(), kept + ready.size()) - kept
                    : ready.size() == most() ? most() : 0;
            starts = ready.stream()
                    .limit(Math.max(0, count))
                    .map(cells -> cells.stream().map(cell -> cell.slot).toList())
                    .toList();
        }

        /**
         * Whether the slots of the first worker are still held. It must not start on others meanwhile: these may be
         * reserved, and a first worker never gives back.
         */
        private boolean firstSlotsAwaited() {
            return kept == 0 && !placed.isEmpty() && !placed.getFirst().stream().allMatch(Cell::free);
        }

        private Assignment assignment() {
            return new Assignment(id(), size(), starts, leaves, reason);
        }
    }
}
