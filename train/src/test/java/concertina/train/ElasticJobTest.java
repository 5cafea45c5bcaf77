package concertina.train;

import static concertina.train.FakeCluster.ADA;
import static concertina.train.FakeCluster.spec;
import static org.assertj.core.api.Assertions.assertThat;

import concertina.model.AgentCommand;
import concertina.model.Framework;
import concertina.model.JobId;
import concertina.model.JobState;
import concertina.schedule.ClusterView;
import concertina.schedule.Demand;
import concertina.schedule.Plan;
import concertina.train.FakeWorker.Heard;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** Generations: how an elastic job grows, shrinks and survives deaths. The fakes fail when a finished step is repeated. */
class ElasticJobTest {
    private final FakeCluster cluster = new FakeCluster("node1:4");

    private List<Integer> sizes(JobId job) {
        return cluster.view(job).switches().stream()
                .map(JobView.Switch::members)
                .toList();
    }

    private Heard last(JobId job) {
        return List.copyOf(cluster.training(job).announced.values()).getLast();
    }

    private long broken(JobId job) {
        return cluster.journal.events(job).stream()
                .filter(JobEvent.GenerationsBroken.class::isInstance)
                .count();
    }

    @Test
    void whoLeadsAGroupHasWhatIsLeftOver() {
        JobId older = cluster.elastic(4, 100);
        JobId younger = cluster.elastic(4, 100);
        JobId other = cluster.elastic(4, 100);
        cluster.settle();
        assertThat(cluster.view(older).slotsHeld()).isEqualTo(2);

        cluster.trainer.rank("group", List.of(younger, new JobId("concertina-99"), older));
        cluster.settle();
        cluster.steps(3);
        cluster.settle();

        assertThat(List.of(older, younger, other))
                .extracting(job -> cluster.view(job).slotsHeld())
                .containsExactly(1, 2, 1);
        assertThat(cluster.view(younger).reason()).contains("of those of group the leading one grows first");
    }

    @Test
    void itTrainsOnAllSlotsToItsEnd() {
        JobId job = cluster.elastic(4, 10);
        cluster.settle();
        assertThat(cluster.view(job).state()).isEqualTo(JobState.RUNNING);
        assertThat(cluster.view(job).slotsHeld()).isEqualTo(4);
        cluster.steps(3);
        assertThat(cluster.view(job).generation()).isEqualTo(1);
        assertThat(cluster.view(job).step()).isEqualTo(3);
        assertThat(cluster.view(job).steps()).isEqualTo(10);
        cluster.steps(8);
        JobView view = cluster.view(job);
        assertThat(view.state()).isEqualTo(JobState.FINISHED);
        assertThat(view.reason()).isEqualTo("trained 10 steps");
        assertThat(view.switches()).hasSize(1);
        assertThat(view.switches().getFirst().pauseMillis()).isEqualTo(40.0);
        assertThat(view.weightsSha256()).isEqualTo("ab".repeat(32));
        assertThat(view.model()).isEqualTo("model/weights.pth");
        assertThat(view.testAccuracy()).isEqualTo(97.5);
        assertThat(cluster.slotsTaken()).isZero();
    }

    @Test
    void theFirstGenerationStartsAnewFromRankZero() {
        JobId job = cluster.elastic(4, 10);
        cluster.steps(1);
        assertThat(last(job))
                .isEqualTo(new Heard(
                        1,
                        List.of("concertina-1.1", "concertina-1.2", "concertina-1.3", "concertina-1.4"),
                        0,
                        List.of(1, 2, 3),
                        true));
    }

    @Test
    void twoJobsShareAndTheFirstGrowsBackWithoutARepeatedStep() {
        JobId first = cluster.elastic(4, 40);
        cluster.steps(3);
        JobId second = cluster.elastic(4, 5);
        cluster.steps(3);
        assertThat(cluster.view(first).slotsHeld()).isEqualTo(2);
        assertThat(cluster.view(second).slotsHeld()).isEqualTo(2);
        cluster.steps(12);
        assertThat(cluster.view(second).state()).isEqualTo(JobState.FINISHED);
        assertThat(cluster.view(first).slotsHeld()).isEqualTo(4);
        assertThat(sizes(first)).containsExactly(4, 2, 4);
        assertThat(cluster.view(first).switches().get(1).reason()).startsWith("4 → 2 workers: ");
        cluster.steps(40);
        assertThat(cluster.view(first).state()).isEqualTo(JobState.FINISHED);
        assertThat(cluster.training(first).repeated).isZero();
    }

    @Test
    void workersThatAreReadyWaitTwoSecondsForOthersAndNotLonger() {
        cluster.prepareAtOnce = false;
        JobId job = cluster.elastic(4, 20);
        cluster.settle();
        cluster.worker(job, 2).prepare(4, 20);
        cluster.settle();
        assertThat(cluster.training(job).announced).isEmpty();
        cluster.pass(Duration.ofSeconds(1));
        assertThat(cluster.training(job).announced).isEmpty();
        cluster.pass(Duration.ofSeconds(1));
        assertThat(last(job).members()).containsExactly("concertina-1.2");
        cluster.steps(2);
        for (int ordinal : List.of(1, 3, 4)) {
            cluster.worker(job, ordinal).prepare(4, 20);
        }
        cluster.steps(2);
        assertThat(last(job))
                .isEqualTo(new Heard(
                        2,
                        List.of("concertina-1.2", "concertina-1.1", "concertina-1.3", "concertina-1.4"),
                        0,
                        List.of(1, 2, 3),
                        false));
        assertThat(sizes(job)).containsExactly(1, 4);
    }

    @Test
    void aScriptMayUseFewerLogicalWorkersThanSubmitted() {
        JobId job = cluster.trainer.nextId();
        cluster.trainings.put(job, new FakeTraining(cluster, job, 2, 20));
        cluster.trainer.submit(job, ADA, spec(Framework.EDT_PYTORCH, 4), true);
        cluster.steps(4);
        assertThat(cluster.view(job).logicalWorkers()).isEqualTo(2);
        assertThat(cluster.view(job).slotsHeld()).isEqualTo(2);
        cluster.steps(25);
        assertThat(cluster.view(job).state()).isEqualTo(JobState.FINISHED);
    }

    @Test
    void aKilledWorkerIsReplacedAndOnlyTheStepInFlightIsRepeated() {
        JobId job = cluster.elastic(4, 30);
        cluster.steps(5);
        cluster.training(job).step(cluster.worker(job, 1), 3);
        cluster.settle();
        Heard next = last(job);
        assertThat(next.immediate()).isTrue();
        assertThat(next.members()).startsWith("concertina-1.2", "concertina-1.3", "concertina-1.4");
        assertThat(next.source()).isZero();
        assertThat(next.receivers()).contains(2).doesNotContain(0, 1);
        assertThat(cluster.view(job).state()).isEqualTo(JobState.RUNNING);
        cluster.steps(30);
        assertThat(cluster.view(job).state()).isEqualTo(JobState.FINISHED);
        assertThat(cluster.view(job).workers()).hasSize(5);
        assertThat(cluster.training(job).repeated).isLessThanOrEqualTo(1);
    }

    @Test
    void onlyAWorkerThatJoinsOthersWhichTrainIsToldThatItIsANewcomer() {
        JobId job = cluster.elastic(4, 30);
        cluster.steps(5);
        cluster.training(job).step(cluster.worker(job, 4), 3);
        cluster.settle();
        assertThat(cluster.worker(job, 1).environment).doesNotContainKey("CONCERTINA_NEWCOMER");
        assertThat(cluster.worker(job, 5).environment).containsEntry("CONCERTINA_NEWCOMER", "1");
    }

    @Test
    void theMostAdvancedSurvivorIsTheSource() {
        JobId job = cluster.elastic(4, 30);
        cluster.steps(5);
        FakeWorker second = cluster.worker(job, 2);
        cluster.worker(job, 4).exit(-1, 9);
        second.completed++;
        cluster.settle();
        assertThat(last(job).source()).isEqualTo(1);
        assertThat(last(job).receivers()).contains(0, 2).doesNotContain(1);
    }

    @Test
    void nothingGoesOnBeforeEverySurvivorHasAnswered() {
        JobId job = cluster.elastic(4, 30);
        cluster.steps(5);
        FakeWorker quiet = cluster.worker(job, 3);
        quiet.hung = true;
        quiet.current = null;
        cluster.worker(job, 4).exit(-1, 9);
        cluster.settle();
        assertThat(last(job).number()).isEqualTo(1);
        cluster.pass(Duration.ofMinutes(9));
        assertThat(last(job).number()).isEqualTo(1);
        cluster.pass(Duration.ofMinutes(1));
        assertThat(cluster.agent("node1").executed).contains(new AgentCommand.Stop(quiet.id, 0));
        assertThat(last(job).number()).isEqualTo(2);
        assertThat(last(job).members()).doesNotContain(quiet.id.toString());
        cluster.steps(40);
        assertThat(cluster.view(job).state()).isEqualTo(JobState.FINISHED);
    }

    @Test
    void theCommitWaitsUntilEveryMemberHasFormed() {
        FakeCluster two = new FakeCluster("node1:2", "node2:2");
        JobId job = two.elastic(4, 60);
        two.steps(3);
        two.submit(spec(Framework.DIST_PYTORCH, 1));
        two.submit(spec(Framework.DIST_PYTORCH, 1));
        two.exchange();
        two.agents.values().forEach(agent -> agent.reachable = false);
        FakeAgent first = two.worker(job, 1).agent;
        first.reachable = true;
        two.exchange();
        two.exchange();
        assertThat(two.journal.events(job)).noneMatch(JobEvent.GenerationCommitted.class::isInstance);
        two.agents.values().forEach(agent -> agent.reachable = true);
        two.steps(2);
        assertThat(two.view(job).generation()).isEqualTo(2);
    }

    @Test
    void aNewcomerThatDiesBeforeTheCommitDoesNotDisturbTraining() {
        JobId blocker = cluster.submit(spec(Framework.PYTORCH, 1));
        cluster.submit(spec(Framework.PYTORCH, 1));
        JobId job = cluster.elastic(4, 60);
        cluster.steps(3);
        assertThat(cluster.view(job).slotsHeld()).isEqualTo(2);
        cluster.trainings.get(job).living();
        cluster.prepareAtOnce = false;
        for (FakeWorker single : cluster.livingWorkers(blocker)) {
            single.exit(0, 0);
        }
        cluster.livingWorkers(new JobId("concertina-2")).getFirst().exit(0, 0);
        cluster.settle();
        FakeWorker third = cluster.worker(job, 3);
        FakeWorker fourth = cluster.worker(job, 4);
        third.prepare(4, 60);
        fourth.prepare(4, 60);
        cluster.agent("node1").exchange();
        cluster.agent("node1").exchange();
        assertThat(last(job).number()).isEqualTo(2);
        fourth.exit(-1, 9);
        cluster.steps(3);
        assertThat(broken(job)).isZero();
        assertThat(cluster.journal.events(job)).anyMatch(JobEvent.GenerationAbandoned.class::isInstance);
        cluster.prepareAtOnce = true;
        cluster.steps(6);
        assertThat(cluster.view(job).slotsHeld()).isEqualTo(4);
        assertThat(sizes(job)).startsWith(2).endsWith(4);
        assertThat(cluster.training(job).repeated).isZero();
    }

    @Test
    void aLeavingWorkerThatDiesBeforeTheSwitchIsADeathLikeAnyOther() {
        JobId job = cluster.elastic(4, 40);
        cluster.steps(3);
        cluster.submit(spec(Framework.DIST_PYTORCH, 2));
        cluster.agent("node1").exchange();
        assertThat(cluster.training(job).announced).hasSize(2);
        FakeWorker leaver = cluster.livingWorkers(job).stream()
                .filter(worker -> !worker.memberOf(last(job)))
                .findFirst()
                .orElseThrow();
        leaver.exit(-1, 9);
        cluster.steps(4);
        assertThat(broken(job)).isEqualTo(1);
        assertThat(cluster.view(job).slotsHeld()).isEqualTo(2);
        cluster.steps(40);
        assertThat(cluster.view(job).state()).isEqualTo(JobState.FINISHED);
    }

    @Test
    void aWorkerDyingAfterTheCommitBreaksBothGenerations() {
        JobId job = cluster.elastic(4, 40);
        cluster.steps(3);
        cluster.elastic(4, 40);
        cluster.settle();
        assertThat(cluster.worker(job, 1).committed).isTrue();
        cluster.worker(job, 2).exit(-1, 9);
        cluster.steps(6);
        assertThat(broken(job)).isEqualTo(1);
        cluster.steps(120);
        assertThat(cluster.view(job).state()).isEqualTo(JobState.FINISHED);
    }

    @Test
    void aJobThatLostAllWorkersWaitsAndStartsAgainFromItsCheckpoint() {
        JobId blocker = cluster.submit(spec(Framework.PYTORCH, 1, 3, 0, Map.of()));
        JobId job = cluster.elastic(1, 20);
        cluster.steps(8);
        cluster.training(job).checkpoint = 5;
        cluster.agent("node1").reachable = false;
        cluster.worker(job, 1).exit(-1, 9);
        cluster.pass(Duration.ofSeconds(31));
        assertThat(cluster.view(job).state()).isEqualTo(JobState.PENDING);
        cluster.agent("node1").reachable = true;
        cluster.steps(2);
        assertThat(cluster.view(job).state()).isEqualTo(JobState.RUNNING);
        assertThat(cluster.view(job).switches().getLast().step()).isEqualTo(5);
        cluster.steps(20);
        assertThat(cluster.view(job).state()).isEqualTo(JobState.FINISHED);
        assertThat(cluster.view(blocker).state().finalState()).isTrue();
    }

    @Test
    void fiveDeathsWithoutAStepInBetweenFailTheJob() {
        JobId job = cluster.elastic(2, 20);
        cluster.steps(2);
        for (int death = 1; death <= 5; death++) {
            assertThat(cluster.view(job).state()).isEqualTo(JobState.RUNNING);
            cluster.livingWorkers(job).getFirst().exit(-1, 11);
            cluster.settle();
        }
        assertThat(cluster.view(job).state()).isEqualTo(JobState.ERROR);
        assertThat(cluster.view(job).reason())
                .startsWith("5 deaths of workers without a completed step in between; the last: worker concertina-1.")
                .endsWith("was ended by signal 11");
        assertThat(cluster.slotsTaken()).isZero();
    }

    @Test
    void manyDeathsWithStepsInBetweenDoNot() {
        JobId job = cluster.elastic(4, 60);
        for (int death = 1; death <= 12; death++) {
            cluster.steps(2);
            cluster.training(job).step(cluster.livingWorkers(job).get(death % 4), death % 3);
            cluster.settle();
        }
        cluster.steps(60);
        assertThat(cluster.view(job).state()).isEqualTo(JobState.FINISHED);
        assertThat(cluster.training(job).repeated).isLessThanOrEqualTo(12);
    }

    @Test
    void anErrorOfTheScriptEndsTheJobWithItsLastLine() {
        JobId job = cluster.elastic(4, 60);
        cluster.steps(2);
        FakeWorker worker = cluster.worker(job, 3);
        worker.say("failed", Map.of("error", "ValueError: wrong\nshape", "traceback", "…"));
        cluster.settle();
        assertThat(cluster.livingWorkers(job)).containsExactly(worker);
        worker.exit(1, 0);
        cluster.settle();
        assertThat(cluster.view(job).state()).isEqualTo(JobState.ERROR);
        assertThat(cluster.view(job).reason()).isEqualTo("ValueError: wrong shape (worker concertina-1.3)");
    }

    @Test
    void aFailedWorkerThatDoesNotExitIsStoppedAfterAGrace() {
        JobId job = cluster.elastic(1, 60);
        cluster.steps(2);
        cluster.worker(job, 1).say("failed", Map.of("error", "ValueError: bad", "traceback", "…"));
        cluster.settle();
        cluster.pass(Duration.ofSeconds(11));
        assertThat(cluster.view(job).state()).isEqualTo(JobState.ERROR);
    }

    @Test
    void aWorkerThatExitsWithAnotherCodeFailsTheJob() {
        JobId job = cluster.elastic(2, 60);
        cluster.steps(2);
        cluster.worker(job, 2).exit(2, 0);
        cluster.settle();
        assertThat(cluster.view(job).state()).isEqualTo(JobState.ERROR);
        assertThat(cluster.view(job).reason()).isEqualTo("worker concertina-1.2 ended with exit code 2");
    }

    @Test
    void aScriptThatEndsWithoutTrainingFailsItsJob() {
        JobId job = cluster.elastic(3, 60);
        cluster.training(job).trains = false;
        cluster.settle();
        cluster.livingWorkers(job).getFirst().exit(0, 0);
        cluster.settle();
        cluster.pass(Duration.ofSeconds(1));
        assertThat(cluster.view(job).state()).isEqualTo(JobState.ERROR);
        assertThat(cluster.view(job).reason())
                .startsWith(
                        "worker concertina-1.1 ended with exit code 0 without training: the script of an elastic job calls");
        assertThat(cluster.slotsTaken()).isZero();
    }

    @Test
    void workersThatAreNotNeededAnyMoreAreStoppedWhenTheFinalFilesAreWritten() {
        JobId blocker = cluster.submit(spec(Framework.DIST_PYTORCH, 2));
        JobId job = cluster.elastic(4, 5);
        cluster.steps(3);
        cluster.prepareAtOnce = false;
        cluster.livingWorkers(blocker).forEach(worker -> worker.exit(0, 0));
        cluster.settle();
        assertThat(cluster.view(job).slotsHeld()).isEqualTo(4);
        cluster.steps(5);
        assertThat(cluster.view(job).state()).isEqualTo(JobState.FINISHED);
        assertThat(cluster.slotsTaken()).isZero();
    }

    @Test
    void aWorkerThatRunsOnLongAfterTheWriterExitedIsStopped() {
        JobId job = cluster.elastic(2, 5);
        cluster.steps(2);
        FakeWorker writer = cluster.worker(job, 1);
        writer.say("done", Map.of("step", 5, "testLoss", 0.5, "testAccuracy", 90, "weightsSha256", "ff", "model", "m"));
        writer.exit(0, 0);
        cluster.pass(Duration.ofSeconds(29));
        assertThat(cluster.view(job).state()).isEqualTo(JobState.RUNNING);
        cluster.pass(Duration.ofSeconds(2));
        assertThat(cluster.view(job).state()).isEqualTo(JobState.FINISHED);
    }

    @Test
    void connectionsThatFailWhileTrainingGoesOnAreTriedAgain() {
        JobId blocker = cluster.submit(spec(Framework.DIST_PYTORCH, 2));
        JobId job = cluster.elastic(4, 500);
        cluster.steps(3);
        cluster.livingWorkers(blocker).forEach(worker -> worker.exit(0, 0));
        cluster.agent("node1").exchange();
        cluster.agent("node1").exchange();
        cluster.agent("node1").exchange();
        for (int ordinal : List.of(3, 4)) {
            cluster.worker(job, ordinal).prepare(4, 500);
        }
        cluster.agent("node1").exchange();
        cluster.agent("node1").exchange();
        FakeWorker newcomer = cluster.worker(job, 3);
        int number = last(job).number();
        newcomer.pending = null;
        newcomer.say("unformed", Map.of("generation", number, "error", "timed out"));
        cluster.agent("node1").exchange();
        cluster.agent("node1").exchange();
        assertThat(broken(job)).isZero();
        cluster.steps(4);
        assertThat(cluster.view(job).generation()).isGreaterThan(number);
        assertThat(sizes(job)).containsExactly(2, 4);
    }

    @Test
    void aGenerationThatDoesNotFormInTimeIsGivenUp() {
        JobId blocker = cluster.submit(spec(Framework.DIST_PYTORCH, 2));
        JobId job = cluster.elastic(4, 500);
        cluster.steps(3);
        cluster.livingWorkers(blocker).forEach(worker -> worker.exit(0, 0));
        cluster.agent("node1").exchange();
        cluster.agent("node1").exchange();
        cluster.agent("node1").exchange();
        for (int ordinal : List.of(3, 4)) {
            cluster.worker(job, ordinal).prepare(4, 500);
        }
        cluster.agent("node1").exchange();
        cluster.agent("node1").exchange();
        cluster.clock.advance(Duration.ofSeconds(20));
        cluster.agent("node1").exchange();
        cluster.clock.advance(Duration.ofSeconds(10));
        cluster.trainer.tick();
        assertThat(cluster.journal.events(job)).anyMatch(JobEvent.GenerationAbandoned.class::isInstance);
        cluster.steps(3);
        assertThat(sizes(job)).containsExactly(2, 4);
    }

    @Test
    void growthAndShrinkMeetInOneGeneration() {
        FakeCluster two = new FakeCluster("node1:2", "node2:2");
        JobId job = two.elastic(4, 500);
        two.steps(3);
        List<JobEvent> before = two.journal.events(job);
        two.planning = (view, demands, policy, now) -> new Plan(demands.stream()
                .map(demand -> new Plan.Assignment(
                        demand.job(),
                        4,
                        view.slots().stream()
                                .filter(ClusterView.SlotView::free)
                                .map(slot -> List.of(slot.slot()))
                                .toList(),
                        demand.held().size() == 4 ? List.of(2) : List.of(),
                        "moves"))
                .toList());
        two.killServer();
        two.startServer();
        two.steps(1);
        assertThat(two.training(job).announced.get(2).members())
                .containsExactly("concertina-1.1", "concertina-1.3", "concertina-1.4");
        assertThat(two.journal.events(job)).hasSizeGreaterThan(before.size());
        two.steps(4);
        assertThat(two.view(job).slotsHeld()).isGreaterThanOrEqualTo(3);
        assertThat(two.training(job).repeated).isZero();
    }

    @Test
    void theLastWorkerIsNeverTakenBack() {
        cluster.planning = (view, demands, policy, now) -> new Plan(demands.stream()
                .map(demand -> new Plan.Assignment(
                        demand.job(),
                        0,
                        demand.held().isEmpty()
                                ? List.of(List.of(view.slots().getFirst().slot()))
                                : List.of(),
                        demand.held().stream().map(Demand.Holding::ordinal).toList(),
                        "wants everything back"))
                .toList());
        cluster.startServer();
        cluster.agent("node1").exchange();
        JobId job = cluster.elastic(2, 10);
        cluster.steps(12);
        assertThat(cluster.view(job).state()).isEqualTo(JobState.FINISHED);
        assertThat(sizes(job)).containsExactly(1);
    }
}
