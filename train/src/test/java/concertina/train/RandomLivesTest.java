package concertina.train;

import static org.assertj.core.api.Assertions.assertThat;

import concertina.model.Framework;
import concertina.model.JobId;
import concertina.model.JobState;
import concertina.model.Slot;
import concertina.model.WorkerId;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;

/**
 * Thousands of short random lives of a cluster. What must always hold is checked by the fakes (one worker per slot, no finished
 * step twice, no generation number twice, one state per generation) and below (every job ends, every slot returns, views agree
 * before and after a restart).
 */
class RandomLivesTest {
    private static final int LIVES = Integer.getInteger("concertina.lives", 2000);
    private static final TrainOptions OPTIONS = new TrainOptions(
            "concertina",
            1000,
            Duration.ofSeconds(30),
            Duration.ofSeconds(2),
            Duration.ofSeconds(30),
            Duration.ofSeconds(60),
            Duration.ofSeconds(10),
            Duration.ofSeconds(30),
            Duration.ofSeconds(15),
            5,
            new TrainOptions.Patience(
                    Duration.ofSeconds(10), Duration.ofSeconds(60), Duration.ofSeconds(200), Duration.ofHours(1), 3),
            new TrainOptions.Slowness(2, Duration.ofSeconds(5), 4, 2),
            TrainOptions.Logs.DEFAULT);

    private static final long FIRST_SEED = Long.getLong("concertina.seed", 1);

    @Test
    void everyPromiseHoldsInThousandsOfRandomLives() {
        Map<JobState, Integer> ends = new HashMap<>();
        Map<String, Integer> found = new TreeMap<>();
        for (long seed = FIRST_SEED; seed < FIRST_SEED + LIVES; seed++) {
            try {
                Life life = new Life(seed);
                life.run().forEach(state -> ends.merge(state, 1, Integer::sum));
                life.found().forEach(what -> found.merge(what, 1, Integer::sum));
            } catch (AssertionError | RuntimeException failure) {
                throw new AssertionError("seed " + seed + ": " + failure.getMessage(), failure);
            }
        }
        System.out.println("random lives from seed " + FIRST_SEED + ": " + LIVES + ", jobs ended " + ends
                + ", workers found " + found);
        if (LIVES >= 100) {
            assertThat(ends).containsKeys(JobState.FINISHED, JobState.KILLED, JobState.ERROR);
            assertThat(found).containsKeys("hung", "hung while loading", "slow", "slow and replaced");
        }
    }

    private static final class Life {
        private final Random random;
        private final FakeCluster cluster;
        private final List<JobId> jobs = new ArrayList<>();
        private final Set<JobId> deleted = new HashSet<>();
        private final boolean hostile;

        Life(long seed) {
            random = new Random(seed);
            List<String> agents = new ArrayList<>();
            for (int agent = 1; agent <= 1 + random.nextInt(3); agent++) {
                agents.add("node" + agent + ":" + (1 + random.nextInt(4)));
            }
            hostile = random.nextInt(4) != 0;
            cluster = new FakeCluster(agents.toArray(String[]::new));
            cluster.prepareAtOnce = false;
            cluster.options = OPTIONS;
            cluster.killServer();
            cluster.startServer();
        }

        /** What the rules found wrong with workers that lived on. */
        List<String> found() {
            List<String> found = new ArrayList<>();
            for (JobId job : jobs) {
                for (JobEvent event : cluster.journal.events(job)) {
                    if (event instanceof JobEvent.WorkerHung hung) {
                        found.add(hung.loading() ? "hung while loading" : "hung");
                    } else if (event instanceof JobEvent.WorkerSlow slow) {
                        found.add(slow.replaced() ? "slow and replaced" : "slow");
                    }
                }
            }
            return found;
        }

        List<JobState> run() {
            for (int round = 0; round < 120; round++) {
                act();
                exchangeSome();
                check();
            }
            calm();
            return end();
        }

        private void act() {
            switch (random.nextInt(hostile ? 30 : 8)) {
                case 0 -> submit();
                case 1, 2, 3 -> pass(Duration.ofMillis(random.nextInt(3000)));
                case 8, 9 -> killWorker();
                case 10 -> cluster.killServer();
                case 11, 12 -> {
                    if (!cluster.serverUp()) {
                        cluster.startServer();
                    }
                }
                case 13 -> someAgent().reachable = random.nextBoolean();
                case 14 -> {
                    FakeAgent agent = someAgent();
                    if (random.nextInt(4) == 0 && agent.up) {
                        agent.kill();
                    }
                }
                case 15 -> {
                    FakeAgent agent = someAgent();
                    if (!agent.up) {
                        agent.restart();
                    }
                }
                case 16 -> {
                    if (random.nextInt(4) == 0) {
                        stopOrDelete();
                    }
                }
                case 17 -> {
                    if (random.nextInt(3) == 0) {
                        pass(Duration.ofSeconds(31));
                    }
                }
                case 18 -> restartAtOnce();
                case 19 -> scriptEnds();
                case 20 -> fallSilentOrWake();
                case 21 -> slowDownOrRecover();
                case 22, 23, 24 -> {
                    cluster.trainings.values().forEach(FakeTraining::beat);
                    pass(Duration.ofSeconds(random.nextInt(6)));
                }
                case 25 -> findsItselfLate();
                default -> trainSome();
            }
        }

        private FakeAgent someAgent() {
            List<FakeAgent> agents = List.copyOf(cluster.agents.values());
            return agents.get(random.nextInt(agents.size()));
        }

        private void pass(Duration time) {
            cluster.clock.advance(time);
            if (cluster.serverUp()) {
                cluster.trainer.tick();
            }
        }

        private void submit() {
            if (!cluster.serverUp() || jobs.size() >= 6) {
                return;
            }
            switch (random.nextInt(6)) {
                case 0 -> jobs.add(cluster.submit(FakeCluster.spec(Framework.PYTORCH, 1)));
                case 1 -> jobs.add(cluster.submit(FakeCluster.spec(Framework.DIST_PYTORCH, 1 + random.nextInt(3))));
                default -> {
                    int logicalWorkers = 1 + random.nextInt(6);
                    JobId job = cluster.elastic(logicalWorkers, 1 + random.nextInt(random.nextInt(5) == 0 ? 200 : 40));
                    FakeTraining training = cluster.training(job);
                    if (random.nextInt(4) == 0) {
                        training.logicalWorkers = 1 + random.nextInt(logicalWorkers);
                    }
                    training.trains = random.nextInt(12) != 0;
                    jobs.add(job);
                }
            }
        }

        private List<FakeWorker> everyone() {
            List<FakeWorker> all = new ArrayList<>();
            cluster.agents
                    .values()
                    .forEach(agent -> agent.workers.values().stream()
                            .filter(worker -> worker.alive)
                            .forEach(all::add));
            return all;
        }

        private void killWorker() {
            List<FakeWorker> all = everyone();
            if (!all.isEmpty()) {
                FakeWorker worker = all.get(random.nextInt(all.size()));
                FakeTraining training = cluster.trainings.get(worker.id.job());
                if (training != null && random.nextBoolean()) {
                    training.step(worker, random.nextInt(4));
                } else {
                    worker.exit(-1, 9);
                }
            }
        }

        /** A process is stopped, or goes on. */
        private void fallSilentOrWake() {
            trainee().ifPresent(worker -> {
                if (!worker.silent) {
                    worker.silent = true;
                } else if (random.nextBoolean()) {
                    worker.wake();
                }
            });
        }

        private void slowDownOrRecover() {
            trainee()
                    .ifPresent(
                            worker -> worker.microMillis = random.nextInt(3) == 0 ? 20 : 20 * (1 + random.nextInt(9)));
        }

        private void findsItselfLate() {
            trainee()
                    .filter(worker -> !worker.silent && worker.prepared && random.nextInt(3) == 0)
                    .ifPresent(each -> {
                        int generation = each.current == null ? 0 : each.current.number();
                        each.say(
                                "beat",
                                Map.of(
                                        "generation",
                                        generation,
                                        "step",
                                        each.completed,
                                        "phase",
                                        "computing",
                                        "seconds",
                                        11,
                                        "late",
                                        true,
                                        "where",
                                        "main.py:7 in step"));
                    });
        }

        /** Any worker of a job that trains. */
        private Optional<FakeWorker> trainee() {
            List<FakeWorker> all = everyone().stream()
                    .filter(worker -> {
                        FakeTraining training = cluster.trainings.get(worker.id.job());
                        return training != null && training.trains;
                    })
                    .toList();
            return all.isEmpty() ? Optional.empty() : Optional.of(all.get(random.nextInt(all.size())));
        }

        private void stopOrDelete() {
            if (cluster.serverUp() && !jobs.isEmpty()) {
                JobId job = jobs.get(random.nextInt(jobs.size()));
                if (deleted.contains(job)) {
                    return;
                }
                if (random.nextBoolean()) {
                    cluster.trainer.stop(job, FakeCluster.ADA);
                } else {
                    cluster.trainer.delete(job, FakeCluster.ADA);
                    deleted.add(job);
                }
            }
        }

        /** Kills the server and starts another one at once; nobody may notice. */
        private void restartAtOnce() {
            if (!cluster.serverUp()) {
                return;
            }
            Map<JobId, List<Object>> before = durable();
            cluster.killServer();
            cluster.startServer();
            assertThat(durable()).isEqualTo(before);
        }

        private Map<JobId, List<Object>> durable() {
            Map<JobId, List<Object>> views = new HashMap<>();
            for (JobView view : cluster.trainer.list()) {
                views.put(
                        view.id(),
                        List.of(
                                view.state(),
                                view.workers().stream().map(Life::durable).toList(),
                                view.generation(),
                                view.logicalWorkers(),
                                view.slotsHeld(),
                                view.weightsSha256(),
                                view.switches().stream()
                                        .map(JobView.Switch::generation)
                                        .toList()));
            }
            return views;
        }

        private static List<Object> durable(JobView.WorkerView worker) {
            return Arrays.asList(
                    worker.ordinal(),
                    worker.agent(),
                    worker.slots(),
                    worker.alive(),
                    worker.processId(),
                    worker.startedAt(),
                    worker.endedAt(),
                    worker.exitCode(),
                    worker.signal());
        }

        /** Single processes, gangs and scripts that never train end by themselves. */
        private void scriptEnds() {
            List<FakeWorker> all = everyone();
            if (!all.isEmpty()) {
                FakeWorker worker = all.get(random.nextInt(all.size()));
                FakeTraining training = cluster.trainings.get(worker.id.job());
                if (training == null || !training.trains) {
                    worker.exit(random.nextInt(10) == 0 ? 1 : 0, 0);
                } else if (random.nextInt(15) == 0) {
                    worker.say("failed", Map.of("error", "ValueError: bad", "traceback", "…"));
                    worker.exit(1, 0);
                }
            }
        }

        private void trainSome() {
            for (FakeTraining training : cluster.trainings.values()) {
                for (FakeWorker worker : training.living()) {
                    if (training.trains && !worker.prepared && !worker.silent && random.nextInt(3) == 0) {
                        worker.prepare(training.logicalWorkers, training.steps);
                    }
                }
                if (random.nextBoolean()) {
                    training.settle();
                }
                if (random.nextBoolean()) {
                    training.step(null, 0);
                }
            }
        }

        private void exchangeSome() {
            for (FakeAgent agent : cluster.agents.values()) {
                if (random.nextInt(3) != 0) {
                    agent.exchange();
                }
            }
            cluster.trainings.values().forEach(FakeTraining::settle);
        }

        private void check() {
            if (!cluster.serverUp()) {
                return;
            }
            for (ClusterStatus.AgentStatus agent : cluster.trainer.cluster().agents()) {
                assertThat(agent.slots())
                        .extracting(status -> status.slot().id())
                        .containsExactlyElementsOf(cluster.agent(agent.agent().value()).slots.stream()
                                .map(Slot::id)
                                .toList());
            }
            for (JobView view : cluster.trainer.list()) {
                if (view.state().finalState()) {
                    assertThat(view.slotsHeld()).isZero();
                }
                assertThat(view.switches())
                        .extracting(JobView.Switch::generation)
                        .isSorted()
                        .doesNotHaveDuplicates();
                assertThat(view.reason()).isNotBlank().doesNotContain("secret-");
            }
        }

        /** No more faults; whoever is down comes back. */
        private void calm() {
            if (!cluster.serverUp()) {
                cluster.startServer();
            }
            cluster.agents.values().forEach(agent -> {
                agent.reachable = true;
                if (!agent.up) {
                    agent.restart();
                }
            });
            cluster.prepareAtOnce = true;
        }

        private List<JobState> end() {
            for (int round = 0; round < 1000 && !over(); round++) {
                for (int step = 0; step < 3; step++) {
                    cluster.exchange();
                    cluster.trainings.values().forEach(training -> training.step(null, 0));
                }
                for (FakeWorker worker : everyone()) {
                    FakeTraining training = cluster.trainings.get(worker.id.job());
                    if (training == null || !training.trains) {
                        worker.exit(0, 0);
                    }
                }
                cluster.trainings.values().forEach(FakeTraining::beat);
                pass(Duration.ofSeconds(1));
                if (round > 200) {
                    stopWhatCannotStart();
                }
            }
            List<JobState> ends = new ArrayList<>();
            for (JobView view : cluster.trainer.list()) {
                assertThat(view.state().finalState())
                        .as("%s is %s: %s, %s", view.id(), view.state(), view.reason(), lastEvents(view.id()))
                        .isTrue();
                ends.add(view.state());
                FakeTraining training = cluster.trainings.get(view.id());
                if (view.state() == JobState.FINISHED && training != null) {
                    assertThat(training.trains).isTrue();
                    assertThat(view.step()).isEqualTo(training.steps);
                    assertThat(view.weightsSha256()).isNotEmpty();
                }
            }
            cluster.settle();
            assertThat(cluster.slotsTaken()).isZero();
            assertThat(everyone()).extracting(worker -> worker.id).isEmpty();
            for (FakeAgent agent : cluster.agents.values()) {
                assertThat(agent.workers.keySet()).extracting(WorkerId::job).isEmpty();
            }
            return ends;
        }

        private List<JobEvent> lastEvents(JobId job) {
            List<JobEvent> events = cluster.journal.events(job);
            return events.subList(Math.max(0, events.size() - 12), events.size());
        }

        private boolean over() {
            return everyone().isEmpty()
                    && cluster.trainer.list().stream()
                            .allMatch(view -> view.state().finalState());
        }

        private void stopWhatCannotStart() {
            for (JobView view : cluster.trainer.list()) {
                if (view.state() == JobState.PENDING && view.reason().startsWith("cannot start")) {
                    cluster.trainer.stop(view.id(), FakeCluster.ADA);
                }
            }
        }
    }
}
