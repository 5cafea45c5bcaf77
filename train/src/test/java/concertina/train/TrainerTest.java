package concertina.train;

import static org.assertj.core.api.Assertions.assertThat;

import concertina.model.JobId;
import concertina.model.JobState;
import org.junit.jupiter.api.Test;

class TrainerTest {
    @Test
    void anElasticJobTrainsOnAllSlotsToItsEnd() {
        FakeCluster cluster = new FakeCluster("node1:4");
        JobId job = cluster.elastic(4, 10);
        cluster.settle();
        assertThat(cluster.view(job).state()).isEqualTo(JobState.RUNNING);
        assertThat(cluster.view(job).slotsHeld()).isEqualTo(4);
        cluster.steps(3);
        assertThat(cluster.view(job).generation()).isEqualTo(1);
        assertThat(cluster.view(job).step()).isEqualTo(3);
        cluster.steps(8);
        JobView view = cluster.view(job);
        assertThat(view.state()).isEqualTo(JobState.FINISHED);
        assertThat(view.switches()).hasSize(1);
        assertThat(view.switches().getFirst().pauseMillis()).isEqualTo(40.0);
        assertThat(view.weightsSha256()).isEqualTo("ab".repeat(32));
        assertThat(cluster.slotsTaken()).isZero();
    }

    @Test
    void twoElasticJobsShareAndTheFirstGrowsBackWithoutARepeatedStep() {
        FakeCluster cluster = new FakeCluster("node1:4");
        JobId first = cluster.elastic(4, 40);
        cluster.steps(3);
        JobId second = cluster.elastic(4, 5);
        cluster.steps(3);
        assertThat(cluster.view(first).slotsHeld()).isEqualTo(2);
        assertThat(cluster.view(second).slotsHeld()).isEqualTo(2);
        cluster.steps(12);
        assertThat(cluster.view(second).state()).isEqualTo(JobState.FINISHED);
        assertThat(cluster.view(first).slotsHeld()).isEqualTo(4);
        assertThat(cluster.view(first).switches())
                .extracting(JobView.Switch::members)
                .containsExactly(4, 2, 4);
        cluster.steps(40);
        assertThat(cluster.view(first).state()).isEqualTo(JobState.FINISHED);
        assertThat(cluster.training(first).repeated).isZero();
    }
}
