package concertina.schedule;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.fail;

import concertina.model.AgentId;
import concertina.model.JobId;
import concertina.model.Slot;
import concertina.model.SlotId;
import concertina.model.UserName;
import concertina.schedule.Demand.Holding;
import concertina.schedule.Demand.Shape;
import concertina.schedule.Plan.Assignment;
import concertina.schedule.Simulator.Arrival;
import concertina.schedule.Simulator.Death;
import concertina.schedule.Simulator.Trace;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

/** Invariants over thousands of random clusters and traces. A failure names the seed that repeats it. */
class PlannerRandomTest {
    private static final int STATES = 6_000;
    private static final int TRACES = 1_000;

    @Test
    void anyStateGetsASafePlanThatIsEmptyOnceCarriedOut() {
        long first = Long.getLong("seed", 1);
        for (long seed = first; seed < first + STATES; seed++) {
            Scene scene = randomScene(new Random(seed));
            try {
                Plan plan = scene.plan();
                checkSafe(scene.view(), scene.demands(), plan);
                assertThat(scene.plan()).as("same input, same plan").isEqualTo(plan);
                Scene after = scene.after(plan);
                assertThat(actions(after.plan()))
                        .as("plan after it was carried out")
                        .isEmpty();
                checkConverges(after);
            } catch (AssertionError | RuntimeException e) {
                fail(
                        "seed " + seed + "\n" + describe(scene.view(), scene.demands()) + "\n"
                                + Scene.text(scene.plan()),
                        e);
            }
        }
    }

    @Test
    void everyJobOfEveryTraceFinishesAndEverySlotReturns() {
        long first = Long.getLong("seed", 1);
        for (long seed = first; seed < first + TRACES; seed++) {
            Random random = new Random(seed);
            Trace trace = randomTrace(random);
            Policy policy = new Policy(Duration.ofSeconds(random.nextBoolean() ? 0 : random.nextInt(60)));
            List<Simulator.Moment> last = new ArrayList<>();
            try {
                Simulator.Outcome outcome = Simulator.play(trace, policy, moment -> {
                    last.clear();
                    last.add(moment);
                    checkSafe(moment.view(), moment.demands(), moment.plan());
                    Scene after = new Scene(moment.view(), moment.demands()).after(moment.plan(), moment.at());
                    assertThat(actions(Planner.plan(after.view(), after.demands(), policy, moment.at())))
                            .as("plan after it was carried out at " + moment.at())
                            .isEmpty();
                });
                assertThat(outcome.unfinished()).as("jobs that starved").isEmpty();
                assertThat(outcome.jobs()).hasSameSizeAs(trace.arrivals());
                assertThat(outcome.utilisation()).isBetween(0.0, 1.0 + 1e-9);
                assertThat(last.getLast().view().slots()).as("slots at the end").allMatch(ClusterView.SlotView::free);
                assertThat(Simulator.play(trace, policy))
                        .as("same trace, same outcome")
                        .isEqualTo(outcome);
            } catch (AssertionError | RuntimeException e) {
                Simulator.Moment moment = last.getLast();
                fail(
                        "seed " + seed + "\n" + describe(moment.view(), moment.demands()) + "\n"
                                + Scene.text(moment.plan()),
                        e);
            }
        }
    }

    @Test
    void anOldGangIsNotStarvedByAStreamOfSmallJobs() {
        List<Arrival> arrivals = new ArrayList<>();
        for (int number = 0; number < 400; number++) {
            boolean elastic = number % 3 == 0;
            arrivals.add(arrival(
                    "small-" + number,
                    Scene.START.plusSeconds(10L * number),
                    elastic ? new Shape.Elastic(4) : new Shape.Rigid(1),
                    Duration.ofSeconds(45)));
        }
        arrivals.add(arrival("gang", Scene.START.plusSeconds(205), new Shape.Rigid(4), Duration.ofSeconds(30)));
        Trace trace = new Trace(Scene.of("node1: 4 cpu").view(), arrivals, List.of(), Duration.ofSeconds(1));
        Simulator.Outcome outcome = Simulator.play(trace, Policy.DEFAULT);
        Simulator.JobOutcome gang = outcome.jobs().stream()
                .filter(job -> job.job().value().equals("gang"))
                .findFirst()
                .orElseThrow();
        long ahead = outcome.jobs().stream()
                .filter(job -> job.submittedAt().isAfter(gang.submittedAt())
                        && job.startedAt().isBefore(gang.startedAt()))
                .count();
        assertThat(ahead).as("younger jobs that started before it").isZero();
    }

    @Test
    void aThousandJobsOnAThousandSlotsArePlanned() {
        StringBuilder text = new StringBuilder();
        for (int agent = 0; agent < 250; agent++) {
            text.append("node").append(agent).append(": 4 cpu\n");
        }
        Random random = new Random(1);
        for (int job = 0; job < 1_000; job++) {
            text.append("job-").append(job).append(random.nextInt(3) > 0 ? " elastic " : " rigid ");
            text.append(1 + random.nextInt(16))
                    .append(" priority ")
                    .append(5000 + random.nextInt(3))
                    .append("\n");
        }
        Scene empty = Scene.of(text.toString());
        Scene full = empty.after(empty.plan());
        long best = Long.MAX_VALUE;
        for (int round = 0; round < 20; round++) {
            long begin = System.nanoTime();
            full.plan();
            best = Math.min(best, System.nanoTime() - begin);
        }
        System.out.printf("plan of 1,000 demands on 1,000 slots: %.1f ms%n", best / 1e6);
        checkSafe(empty.view(), empty.demands(), empty.plan());
        assertThat(empty.plan().assignments().stream()
                        .mapToInt(assignment -> assignment.starts().size())
                        .sum())
                .as("slots in use")
                .isGreaterThan(950);
    }

    private static void checkConverges(Scene scene) {
        Scene state = scene.settled();
        for (int round = 0; round < 20; round++) {
            Plan plan = state.plan();
            checkSafe(state.view(), state.demands(), plan);
            if (actions(plan).isEmpty()) {
                checkResting(state, plan);
                return;
            }
            state = state.after(plan).settled();
        }
        fail("no rest after 20 plans");
    }

    /** When nothing is on its way, every job has exactly its target and every elastic size is useful. */
    private static void checkResting(Scene state, Plan plan) {
        Map<JobId, Demand> demands = state.demands().stream().collect(Collectors.toMap(Demand::job, demand -> demand));
        for (Assignment assignment : plan.assignments()) {
            Demand demand = demands.get(assignment.job());
            assertThat(assignment.target())
                    .as("target of %s at rest", demand.job())
                    .isEqualTo(demand.held().size());
            if (demand.shape() instanceof Shape.Elastic(int logicalWorkers, int most, String bound)
                    && assignment.target() > 0) {
                assertThat(UsefulSizes.useful(logicalWorkers, assignment.target()))
                        .isTrue();
            }
        }
    }

    private static void checkSafe(ClusterView view, List<Demand> demands, Plan plan) {
        Map<SlotId, ClusterView.SlotView> slots =
                view.slots().stream().collect(Collectors.toMap(ClusterView.SlotView::slot, slot -> slot));
        Map<JobId, Demand> byJob = demands.stream().collect(Collectors.toMap(Demand::job, demand -> demand));
        assertThat(plan.assignments().stream().map(Assignment::job))
                .as("one assignment for every demand")
                .hasSize(demands.size())
                .containsExactlyInAnyOrderElementsOf(byJob.keySet());
        Set<SlotId> used = new HashSet<>();
        for (Assignment assignment : plan.assignments()) {
            Demand demand = byJob.get(assignment.job());
            List<Holding> living =
                    demand.held().stream().filter(held -> !held.leaving()).toList();
            assertThat(assignment.reason()).isNotBlank().doesNotContain("\n");
            assertThat(assignment.starts().isEmpty() || assignment.leaves().isEmpty())
                    .as("%s starts and gives back at once", demand.job())
                    .isTrue();
            for (List<SlotId> worker : assignment.starts()) {
                assertThat(worker).hasSize(demand.slotsPerWorker());
                assertThat(worker.stream().map(slot -> slots.get(slot).agent()).distinct())
                        .as("agents of one worker")
                        .hasSize(1);
                for (SlotId slot : worker) {
                    assertThat(slots.get(slot).free()).as("%s is free", slot).isTrue();
                    assertThat(used.add(slot)).as("%s is started on once", slot).isTrue();
                    if (demand.gpu()) {
                        assertThat(slots.get(slot).kind()).isEqualTo(Slot.Kind.GPU);
                    }
                }
            }
            switch (demand.shape()) {
                case Shape.Rigid(int workers) -> {
                    assertThat(assignment.leaves())
                            .as("rigid %s gives back", demand.job())
                            .isEmpty();
                    assertThat(assignment.starts().size()).isIn(0, living.isEmpty() ? workers : 0);
                }
                case Shape.Elastic(int logicalWorkers, int most, String bound) -> {
                    int after = living.size()
                            + assignment.starts().size()
                            - assignment.leaves().size();
                    assertThat(after).isLessThanOrEqualTo(Math.max(most, living.size()));
                    assertThat(after)
                            .as("elastic %s keeps a worker", demand.job())
                            .isGreaterThanOrEqualTo(Math.min(1, living.size()));
                    assertThat(assignment.leaves()).doesNotHaveDuplicates();
                    assertThat(living.stream().map(Holding::ordinal)).containsAll(assignment.leaves());
                    if (!living.isEmpty()) {
                        assertThat(assignment.leaves())
                                .as("rank 0 stays")
                                .doesNotContain(living.getFirst().ordinal());
                    }
                    if (!assignment.starts().isEmpty()) {
                        assertThat(UsefulSizes.useful(logicalWorkers, after))
                                .as("%s grows to a useful size", demand.job())
                                .isTrue();
                    }
                }
            }
        }
    }

    private static List<Assignment> actions(Plan plan) {
        return plan.assignments().stream()
                .filter(assignment ->
                        !assignment.starts().isEmpty() || !assignment.leaves().isEmpty())
                .toList();
    }

    private static ClusterView randomCluster(Random random) {
        List<ClusterView.SlotView> slots = new ArrayList<>();
        int agents = 1 + random.nextInt(4);
        int kinds = random.nextInt(3);
        for (int agent = 1; agent <= agents; agent++) {
            int count = 1 + random.nextInt(6);
            boolean gpu = kinds == 1 || kinds == 2 && random.nextBoolean();
            for (int slot = 0; slot < count; slot++) {
                slots.add(new ClusterView.SlotView(
                        new SlotId("node" + agent + "/" + slot),
                        new AgentId("node" + agent),
                        gpu ? Slot.Kind.GPU : Slot.Kind.CPU,
                        true));
            }
        }
        return new ClusterView(slots);
    }

    private static Scene randomScene(Random random) {
        ClusterView cluster = randomCluster(random);
        List<ClusterView.SlotView> free = new ArrayList<>(cluster.slots());
        List<Demand> demands = new ArrayList<>();
        boolean mixed = random.nextInt(3) == 0;
        int count = random.nextInt(9);
        for (int number = 1; number <= count; number++) {
            int width = mixed && random.nextInt(4) == 0 ? 1 + random.nextInt(3) : 1;
            int workers = 1 + random.nextInt(6);
            Shape shape = random.nextInt(3) > 0
                    ? new Shape.Elastic(workers, 1 + random.nextInt(workers), "asked for")
                    : new Shape.Rigid(workers);
            boolean gpu = random.nextInt(4) == 0;
            int wanted = random.nextInt(3) == 0 ? 0 : random.nextInt(workers + 1);
            List<Holding> held = new ArrayList<>();
            for (int worker = 1; worker <= wanted; worker++) {
                List<SlotId> slots = takeWorker(random, free, width, gpu);
                if (!slots.isEmpty()) {
                    held.add(new Holding(worker, slots, random.nextInt(5) == 0));
                }
            }
            Instant submitted = Scene.START.plusSeconds(random.nextInt(5));
            demands.add(new Demand(
                    new JobId("job-" + number),
                    new UserName("user"),
                    "",
                    5000 + random.nextInt(2),
                    submitted,
                    submitted,
                    gpu,
                    width,
                    shape,
                    held,
                    random.nextBoolean() ? new Demand.Standing("s" + random.nextInt(2), random.nextInt(4)) : null));
        }
        Set<SlotId> open = free.stream()
                .filter(slot -> random.nextInt(8) > 0)
                .map(ClusterView.SlotView::slot)
                .collect(Collectors.toSet());
        String lost = random.nextInt(5) == 0 ? "node1" : "";
        return new Scene(
                new ClusterView(cluster.slots().stream()
                        .filter(slot -> !slot.agent().value().equals(lost))
                        .map(slot -> new ClusterView.SlotView(
                                slot.slot(), slot.agent(), slot.kind(), open.contains(slot.slot())))
                        .toList()),
                demands);
    }

    private static List<SlotId> takeWorker(Random random, List<ClusterView.SlotView> free, int width, boolean gpu) {
        Map<AgentId, List<ClusterView.SlotView>> byAgent = new HashMap<>();
        for (ClusterView.SlotView slot : free) {
            if (!gpu || slot.kind() == Slot.Kind.GPU) {
                byAgent.computeIfAbsent(slot.agent(), agent -> new ArrayList<>())
                        .add(slot);
            }
        }
        List<List<ClusterView.SlotView>> choices =
                byAgent.values().stream().filter(slots -> slots.size() >= width).toList();
        if (choices.isEmpty()) {
            return List.of();
        }
        List<ClusterView.SlotView> slots =
                choices.get(random.nextInt(choices.size())).subList(0, width);
        free.removeAll(List.copyOf(slots));
        return slots.stream().map(ClusterView.SlotView::slot).toList();
    }

    private static Trace randomTrace(Random random) {
        ClusterView cluster = randomCluster(random);
        Map<AgentId, List<ClusterView.SlotView>> byAgent =
                cluster.slots().stream().collect(Collectors.groupingBy(ClusterView.SlotView::agent));
        List<Arrival> arrivals = new ArrayList<>();
        List<Death> deaths = new ArrayList<>();
        int count = 1 + random.nextInt(15);
        for (int number = 1; number <= count; number++) {
            boolean gpu = random.nextInt(4) == 0;
            int width = random.nextInt(4) == 0 ? 2 : 1;
            int capacity = byAgent.values().stream()
                    .mapToInt(slots -> (int) slots.stream()
                                    .filter(slot -> !gpu || slot.kind() == Slot.Kind.GPU)
                                    .count()
                            / width)
                    .sum();
            if (capacity == 0) {
                continue;
            }
            Shape shape = random.nextInt(3) > 0
                    ? new Shape.Elastic(1 + random.nextInt(8))
                    : new Shape.Rigid(1 + random.nextInt(capacity));
            Instant at = Scene.START.plusSeconds(random.nextInt(300));
            arrivals.add(new Arrival(
                    new JobId("job-" + number),
                    new UserName("user"),
                    5000 + random.nextInt(2),
                    at,
                    gpu,
                    width,
                    shape,
                    Duration.ofSeconds(1 + random.nextInt(200))));
            if (random.nextInt(4) == 0) {
                deaths.add(
                        new Death(at.plusSeconds(random.nextInt(100)), new JobId("job-" + number), random.nextInt(2)));
            }
        }
        arrivals.add(arrival("job-last", Scene.START.plusSeconds(300), new Shape.Elastic(3), Duration.ofSeconds(9)));
        return new Trace(cluster, arrivals, deaths, Duration.ofMillis(1 + random.nextInt(5_000)));
    }

    private static Arrival arrival(String job, Instant at, Shape shape, Duration work) {
        return new Arrival(new JobId(job), new UserName("user"), 5000, at, false, 1, shape, work);
    }

    private static String describe(ClusterView view, List<Demand> demands) {
        String slots = view.slots().stream()
                .map(slot -> slot.slot() + (slot.kind() == Slot.Kind.GPU ? "g" : "") + (slot.free() ? "" : "*"))
                .collect(Collectors.joining(" "));
        return slots + "\n" + demands.stream().map(Demand::toString).collect(Collectors.joining("\n"));
    }
}
