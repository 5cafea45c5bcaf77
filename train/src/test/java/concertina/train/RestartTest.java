package concertina.train;

import static concertina.train.FakeCluster.ADA;
import static concertina.train.FakeCluster.spec;
import static org.assertj.core.api.Assertions.assertThat;

import concertina.model.Framework;
import concertina.model.JobId;
import concertina.model.JobState;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.Test;

/** The server may be killed at any moment: workers train on, and the next server goes on from where it stopped. */
class RestartTest {
    private final FakeCluster cluster = new FakeCluster("node1:2", "node2:2");

    private void restart() {
        cluster.killServer();
        cluster.startServer();
    }

    /** Workers train while nobody listens. */
    private void trainAlone(JobId job, int steps) {
        for (int step = 0; step < steps; step++) {
            cluster.training(job).settle();
            cluster.training(job).step(null, 0);
        }
    }

    private void exchange() {
        cluster.agents.values().forEach(FakeAgent::exchange);
    }

    @Test
    void aRunningJobGoesOnWithoutANewGenerationAndWithoutARepeatedStep() {
        JobId job = cluster.elastic(4, 60);
        cluster.steps(5);
        JobView before = cluster.view(job);
        cluster.killServer();
        trainAlone(job, 10);
        cluster.clock.advance(Duration.ofMinutes(5));
        cluster.startServer();
        JobView restored = cluster.view(job);
        assertThat(restored.state()).isEqualTo(JobState.RUNNING);
        assertThat(restored.workers()).isEqualTo(before.workers());
        assertThat(restored.switches()).isEqualTo(before.switches());
        assertThat(restored.generation()).isEqualTo(1);
        cluster.settle();
        assertThat(cluster.view(job).step()).isEqualTo(15);
        assertThat(cluster.view(job).loss()).isNotNull();
        cluster.steps(5);
        assertThat(cluster.training(job).announced).hasSize(1);
        assertThat(cluster.training(job).repeated).isZero();
    }

    @Test
    void growthShrinkAndDeathWorkAfterARestartAsBefore() {
        JobId job = cluster.elastic(4, 90);
        cluster.steps(5);
        restart();
        cluster.steps(2);
        JobId other = cluster.submit(spec(Framework.DIST_PYTORCH, 2));
        cluster.steps(4);
        assertThat(cluster.view(job).slotsHeld()).isEqualTo(2);
        restart();
        cluster.steps(1);
        cluster.livingWorkers(other).forEach(worker -> worker.exit(0, 0));
        cluster.steps(4);
        assertThat(cluster.view(job).slotsHeld()).isEqualTo(4);
        restart();
        cluster.training(job).step(cluster.livingWorkers(job).get(1), 2);
        cluster.steps(4);
        assertThat(cluster.view(job).slotsHeld()).isEqualTo(4);
        cluster.steps(90);
        assertThat(cluster.view(job).state()).isEqualTo(JobState.FINISHED);
        assertThat(cluster.training(job).repeated).isLessThanOrEqualTo(1);
    }

    @Test
    void aGenerationThatFormedWhileTheServerWasAwayIsCommitted() {
        JobId job = cluster.elastic(4, 90);
        cluster.steps(5);
        cluster.submit(spec(Framework.DIST_PYTORCH, 2));
        exchange();
        assertThat(cluster.training(job).announced).hasSize(2);
        cluster.killServer();
        trainAlone(job, 3);
        cluster.startServer();
        cluster.steps(3);
        assertThat(cluster.view(job).switches())
                .extracting(JobView.Switch::members)
                .containsExactly(4, 2);
        assertThat(cluster.training(job).announced).hasSize(2);
        assertThat(cluster.training(job).repeated).isZero();
    }

    @Test
    void aCommitThatReachedOnlySomeIsRepeated() {
        JobId job = cluster.elastic(4, 90);
        cluster.steps(5);
        cluster.submit(spec(Framework.DIST_PYTORCH, 2));
        exchange();
        cluster.training(job).settle();
        exchange();
        cluster.agent("node2").reachable = false;
        exchange();
        exchange();
        assertThat(cluster.journal.events(job)).anyMatch(JobEvent.GenerationCommitted.class::isInstance);
        cluster.killServer();
        cluster.agent("node2").reachable = true;
        trainAlone(job, 2);
        cluster.startServer();
        cluster.steps(3);
        assertThat(cluster.view(job).generation()).isEqualTo(2);
        assertThat(cluster.training(job).announced).hasSize(2);
        assertThat(cluster.training(job).repeated).isZero();
    }

    @Test
    void aSwitchThatHappenedWhileTheServerWasAwayIsRecognised() {
        JobId job = cluster.elastic(4, 90);
        cluster.steps(5);
        JobId gang = cluster.submit(spec(Framework.DIST_PYTORCH, 2));
        for (int round = 0; round < 4; round++) {
            exchange();
            cluster.training(job).settle();
        }
        assertThat(cluster.livingWorkers(job)).allMatch(worker -> worker.committed);
        cluster.killServer();
        trainAlone(job, 4);
        assertThat(cluster.livingWorkers(job)).hasSize(2);
        cluster.startServer();
        cluster.settle();
        assertThat(cluster.view(job).generation()).isEqualTo(2);
        assertThat(cluster.view(job).slotsHeld()).isEqualTo(2);
        assertThat(cluster.view(gang).state()).isEqualTo(JobState.RUNNING);
        cluster.steps(3);
        assertThat(cluster.training(job).announced).hasSize(2);
        assertThat(cluster.training(job).repeated).isZero();
    }

    @Test
    void aBreakInFlightIsBroughtToItsEnd() {
        JobId job = cluster.elastic(4, 90);
        cluster.steps(5);
        FakeWorker dying = cluster.worker(job, 4);
        dying.exit(-1, 9);
        dying.agent.exchange();
        assertThat(cluster.journal.events(job)).anyMatch(JobEvent.GenerationsBroken.class::isInstance);
        restart();
        cluster.steps(3);
        assertThat(cluster.view(job).slotsHeld()).isEqualTo(4);
        cluster.steps(90);
        assertThat(cluster.view(job).state()).isEqualTo(JobState.FINISHED);
        assertThat(cluster.training(job).repeated).isLessThanOrEqualTo(1);
    }

    @Test
    void aDeathWhileTheServerWasAwayIsHandled() {
        JobId job = cluster.elastic(4, 90);
        cluster.steps(5);
        cluster.killServer();
        cluster.training(job).step(cluster.worker(job, 1), 2);
        cluster.training(job).settle();
        cluster.startServer();
        cluster.steps(90);
        assertThat(cluster.view(job).state()).isEqualTo(JobState.FINISHED);
        assertThat(cluster.training(job).repeated).isLessThanOrEqualTo(1);
    }

    @Test
    void aJobThatFinishedWhileTheServerWasAwayIsFinished() {
        JobId job = cluster.elastic(2, 9);
        cluster.steps(3);
        cluster.killServer();
        trainAlone(job, 9);
        cluster.startServer();
        assertThat(cluster.view(job).state()).isEqualTo(JobState.RUNNING);
        cluster.settle();
        assertThat(cluster.view(job).state()).isEqualTo(JobState.FINISHED);
        assertThat(cluster.view(job).testAccuracy()).isEqualTo(97.5);
        restart();
        assertThat(cluster.view(job).state()).isEqualTo(JobState.FINISHED);
        assertThat(cluster.view(job).step()).isEqualTo(9);
        assertThat(cluster.view(job).reason()).isEqualTo("trained 9 steps");
        assertThat(cluster.view(job).weightsSha256()).isEqualTo("ab".repeat(32));
    }

    @Test
    void aStartThatNoAgentEverGotIsRepeatedAndNotADeath() {
        JobId job = cluster.elastic(2, 9);
        cluster.agent("node1").exchange();
        assertThat(cluster.view(job).state()).isEqualTo(JobState.STARTING);
        restart();
        cluster.settle();
        assertThat(cluster.view(job).workers()).hasSize(2).allMatch(JobView.WorkerView::alive);
        cluster.steps(12);
        assertThat(cluster.view(job).state()).isEqualTo(JobState.FINISHED);
    }

    @Test
    void nothingIsPlannedBeforeTheAgentsAreBackOrLost() {
        JobId job = cluster.elastic(4, 200);
        cluster.steps(3);
        cluster.agent("node2").reachable = false;
        restart();
        JobId waiting = cluster.submit(spec(Framework.PYTORCH, 1));
        cluster.pass(Duration.ofSeconds(20));
        assertThat(cluster.view(job).slotsHeld()).isEqualTo(4);
        assertThat(cluster.view(waiting).state()).isEqualTo(JobState.PENDING);
        cluster.agent("node2").reachable = true;
        cluster.steps(4);
        assertThat(cluster.view(waiting).state()).isEqualTo(JobState.RUNNING);
        assertThat(cluster.training(job).repeated).isZero();
    }

    @Test
    void aServerKilledAtAnyRecordGoesOnFromThere() {
        int killed = 0;
        for (int appends = 1; appends < 60; appends++) {
            FakeCluster each = new FakeCluster("node1:2", "node2:2");
            JobId first = each.elastic(4, 30);
            JobId second = new JobId("concertina-2");
            each.journal.appendsUntilFailure = appends;
            boolean failed = false;
            for (int round = 0; round < 40; round++) {
                try {
                    if (round == 3) {
                        second = each.elastic(3, 10);
                    }
                    if (round == 6 && !each.livingWorkers(first).isEmpty()) {
                        each.training(first).step(each.livingWorkers(first).getFirst(), 1);
                    }
                    each.steps(1);
                } catch (IllegalStateException diskFull) {
                    failed = true;
                    each.killServer();
                    each.startServer();
                }
            }
            killed += failed ? 1 : 0;
            each.steps(60);
            String moment = "killed after append " + appends + ", failed " + failed;
            assertThat(each.view(first).state()).as(moment).isEqualTo(JobState.FINISHED);
            assertThat(each.training(first).repeated).as(moment).isLessThanOrEqualTo(1);
            assertThat(each.trainer.find(second).map(JobView::state).orElse(JobState.FINISHED))
                    .as(moment)
                    .isEqualTo(JobState.FINISHED);
            assertThat(each.slotsTaken()).as(moment).isZero();
        }
        assertThat(killed).isGreaterThan(40);
    }

    @Test
    void endedJobsAreListedInOrderOfSubmissionAfterARestart() {
        JobId first = cluster.submit(spec(Framework.PYTORCH, 1));
        JobId second = cluster.submit(spec(Framework.PYTORCH, 1));
        cluster.trainer.stop(first, ADA);
        restart();
        assertThat(cluster.trainer.list()).extracting(JobView::id).isEqualTo(List.of(first, second));
        assertThat(cluster.view(first).reason()).isEqualTo("stopped by ada");
    }
}
