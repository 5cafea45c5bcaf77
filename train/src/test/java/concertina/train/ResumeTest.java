package concertina.train;

import static concertina.train.FakeCluster.ADA;
import static concertina.train.FakeCluster.spec;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import concertina.model.Framework;
import concertina.model.JobId;
import concertina.model.JobState;
import concertina.model.UserName;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.Test;

/** A job that was stopped or failed goes on under its id; the fakes fail when a step before its checkpoint is computed again. */
class ResumeTest {
    private final FakeCluster cluster = new FakeCluster("node1:2", "node2:2");

    private void stop(JobId job, long checkpoint) {
        cluster.trainer.stop(job, ADA);
        cluster.settle();
        cluster.pass(Duration.ofSeconds(20));
        assertThat(cluster.view(job).state()).isEqualTo(JobState.KILLED);
        cluster.training(job).checkpoint = checkpoint;
    }

    private void refused(JobId job, String part) {
        JobView before = cluster.view(job);
        assertThatThrownBy(() -> cluster.trainer.resume(job, ADA))
                .isInstanceOf(ConcertinaException.class)
                .hasMessageContaining(part)
                .extracting("code")
                .isEqualTo(ErrorCode.CONFLICT);
        assertThat(cluster.view(job)).isEqualTo(before);
    }

    @Test
    void aStoppedJobGoesOnFromItsCheckpointWithNewWorkers() {
        JobId job = cluster.elastic(4, 30);
        cluster.steps(10);
        JobView before = cluster.view(job);
        stop(job, 10);
        assertThat(cluster.slotsTaken()).isZero();
        JobView resumed = cluster.trainer.resume(job, new UserName("bob"));
        assertThat(resumed.state()).isEqualTo(JobState.STARTING);
        assertThat(resumed.endedAt()).isNull();
        assertThat(resumed.submittedAt()).isEqualTo(before.submittedAt());
        cluster.steps(5);
        JobView running = cluster.view(job);
        assertThat(running.state()).isEqualTo(JobState.RUNNING);
        assertThat(running.step()).isEqualTo(15);
        assertThat(running.switches())
                .extracting(JobView.Switch::reason)
                .containsExactly("first generation", "resumed");
        assertThat(running.switches().getLast().step()).isEqualTo(10);
        assertThat(cluster.livingWorkers(job)).allMatch(worker -> worker.id.ordinal() > 4);
        cluster.steps(20);
        assertThat(cluster.view(job).state()).isEqualTo(JobState.FINISHED);
        assertThat(cluster.training(job).repeated).isZero();
        refused(job, "has completed its training");
    }

    @Test
    void whatStandingItHadItKeeps() {
        JobId older = cluster.elastic(4, 30);
        JobId younger = cluster.elastic(4, 30);
        JobId other = cluster.elastic(4, 30);
        cluster.trainer.rank("group", List.of(younger, older));
        cluster.steps(10);
        stop(younger, 10);

        cluster.trainer.resume(younger, ADA);
        cluster.settle();
        cluster.steps(5);

        assertThat(List.of(older, younger, other))
                .extracting(job -> cluster.view(job).slotsHeld())
                .containsExactly(1, 2, 1);
    }

    @Test
    void itGoesOnAfterARestartOfServerAndAgentsAndMayBeStoppedAgain() {
        JobId job = cluster.elastic(4, 30);
        cluster.steps(10);
        stop(job, 10);
        cluster.killServer();
        cluster.startServer();
        cluster.settle();
        cluster.trainer.resume(job, ADA);
        cluster.killServer();
        cluster.startServer();
        cluster.steps(3);
        assertThat(cluster.view(job).step()).isEqualTo(13);
        stop(job, 13);
        cluster.trainer.resume(job, ADA);
        cluster.steps(20);
        assertThat(cluster.view(job).state()).isEqualTo(JobState.FINISHED);
        assertThat(cluster.training(job).repeated).isZero();
    }

    @Test
    void aJobThatWasKilledByForceShowsTheStepOfItsLastCheckpoint() {
        JobId job = cluster.elastic(4, 30);
        cluster.steps(10);
        stop(job, 6);
        cluster.trainer.resume(job, ADA);
        cluster.steps(2);
        assertThat(cluster.view(job).step()).isEqualTo(8);
    }

    @Test
    void filesThatNeverArrivedDoNotKeepTheResumedJobFromFinishing() {
        JobId job = cluster.elastic(4, 30);
        cluster.steps(5);
        cluster.agent("node2").up = false;
        cluster.trainer.stop(job, ADA);
        cluster.pass(Duration.ofSeconds(60));
        assertThat(cluster.view(job).state()).isEqualTo(JobState.KILLED);
        cluster.training(job).checkpoint = 5;
        cluster.agent("node2").workers.values().forEach(worker -> worker.alive = false);
        cluster.trainer.resume(job, ADA);
        cluster.steps(30);
        assertThat(cluster.view(job).state()).isEqualTo(JobState.FINISHED);
    }

    @Test
    void aJobWhoseWorkersDidNotLoadMayTryAgainWhenItIsResumed() {
        JobId job = cluster.elastic(1, 30);
        cluster.steps(10);
        stop(job, 10);
        cluster.prepareAtOnce = false;
        cluster.trainer.resume(job, ADA);
        cluster.pass(Duration.ofMinutes(100));
        assertThat(cluster.view(job).state()).isEqualTo(JobState.ERROR);
        assertThat(cluster.view(job).reason()).startsWith("3 workers in a row did not come to train");
        cluster.prepareAtOnce = true;
        cluster.trainer.resume(job, ADA);
        cluster.steps(30);
        assertThat(cluster.view(job).state()).isEqualTo(JobState.FINISHED);
    }

    @Test
    void aJobThatWasStoppedWhileItsWorkersLoadedBeginsWhenItIsResumed() {
        cluster.prepareAtOnce = false;
        JobId job = cluster.elastic(2, 30);
        cluster.settle();
        cluster.trainer.stop(job, ADA);
        cluster.pass(Duration.ofSeconds(60));
        assertThat(cluster.view(job).state()).isEqualTo(JobState.KILLED);
        cluster.prepareAtOnce = true;
        cluster.trainer.resume(job, ADA);
        cluster.steps(40);
        assertThat(cluster.view(job).state()).isEqualTo(JobState.FINISHED);
    }

    @Test
    void whatCannotGoOnIsRefusedAndUnchanged() {
        JobId running = cluster.elastic(4, 30);
        cluster.steps(2);
        refused(running, "is RUNNING, accepted: an elastic job that was stopped or failed");
        cluster.trainer.stop(running, ADA);
        refused(running, "is RUNNING");
        cluster.pass(Duration.ofSeconds(20));
        JobId gang = cluster.submit(spec(Framework.DIST_PYTORCH, 2));
        cluster.settle();
        cluster.trainer.stop(gang, ADA);
        cluster.pass(Duration.ofSeconds(20));
        refused(gang, "keeps no checkpoints");
        assertThatThrownBy(() -> cluster.trainer.resume(new JobId("concertina-99"), ADA))
                .hasMessageContaining("is not known");
    }

    @Test
    void whatIsResumedCountsAgainstTheQuota() {
        JobId job = cluster.elastic(4, 30);
        cluster.steps(2);
        stop(job, 2);
        cluster.options = cluster.options.withUnfinishedJobsPerUser(1);
        cluster.killServer();
        cluster.startServer();
        cluster.elastic(2, 30);
        assertThatThrownBy(() -> cluster.trainer.resume(job, ADA)).hasMessageContaining("unfinished jobs");
        assertThat(List.of(cluster.view(job).state())).containsExactly(JobState.KILLED);
    }
}
