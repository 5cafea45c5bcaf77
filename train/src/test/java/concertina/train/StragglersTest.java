package concertina.train;

import static org.assertj.core.api.Assertions.assertThat;

import concertina.model.JobId;
import concertina.model.JobState;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** Workers that are much slower than the others are named, and replaced between two steps. */
class StragglersTest {
    private static final int STEPS = 400;

    private final FakeCluster cluster = new FakeCluster("node1:4");
    private final Map<Integer, Double> millis = new LinkedHashMap<>();
    private JobId job = new JobId("none-1");

    /** So many beats of every worker, ten seconds and a few steps apart. */
    private void beats(int count) {
        for (int beat = 0; beat < count; beat++) {
            cluster.steps(3);
            cluster.pass(Duration.ofSeconds(10));
            for (FakeWorker worker : cluster.livingWorkers(job)) {
                worker.say(
                        "beat",
                        Map.of(
                                "generation",
                                cluster.view(job).generation(),
                                "step",
                                worker.completed,
                                "phase",
                                "computing",
                                "seconds",
                                0,
                                "late",
                                false,
                                "microMillis",
                                millis.getOrDefault(worker.id.ordinal(), 20.0)));
            }
            cluster.settle();
        }
    }

    private void start(int workers) {
        job = cluster.elastic(workers, STEPS);
        cluster.steps(2);
    }

    private List<JobEvent.WorkerSlow> slow() {
        return cluster.journal.events(job).stream()
                .filter(JobEvent.WorkerSlow.class::isInstance)
                .map(JobEvent.WorkerSlow.class::cast)
                .toList();
    }

    private String slow(int ordinal) {
        return cluster.view(job).workers().get(ordinal - 1).slow();
    }

    private void endsWithoutARepeatedStep() {
        cluster.steps(STEPS);
        assertThat(cluster.view(job).state()).isEqualTo(JobState.FINISHED);
        assertThat(cluster.training(job).repeated).isZero();
    }

    @Test
    void aSlowWorkerIsNamedInStatusAndLogOnceAndStays() {
        start(4);
        millis.put(3, 60.0);
        beats(6);
        assertThat(slow()).isEmpty();
        beats(6);
        String sentence = "on node1 takes 60.0 ms per micro-batch, 3.0 times the 20.0 ms of the others, for 60 s now";
        assertThat(slow()).containsExactly(new JobEvent.WorkerSlow(3, false, sentence));
        assertThat(slow(3)).isEqualTo(sentence);
        assertThat(cluster.view(job).workers().get(2).microMillis()).isEqualTo(60.0);
        assertThat(cluster.view(job).reason()).endsWith("; worker " + job + ".3 " + sentence);
        assertThat(cluster.worker(job, 1).notices).containsExactly("Worker " + job + ".3 " + sentence + ".");
        assertThat(cluster.view(job).generation()).isEqualTo(1);

        millis.remove(3);
        beats(1);
        assertThat(slow(3)).isEmpty();
        assertThat(cluster.view(job).reason()).doesNotContain("micro-batch");
        endsWithoutARepeatedStep();
    }

    @Test
    void aMuchSlowerWorkerIsReplacedBetweenTwoSteps() {
        start(4);
        millis.put(2, 200.0);
        beats(9);
        assertThat(slow()).hasSize(1).allMatch(JobEvent.WorkerSlow::replaced);
        assertThat(cluster.livingWorkers(job))
                .extracting(worker -> worker.id.ordinal())
                .containsExactly(1, 3, 4, 5);
        assertThat(cluster.view(job).switches())
                .extracting(JobView.Switch::reason)
                .anySatisfy(reason -> assertThat(reason)
                        .isEqualTo("4 → 3 workers: worker " + job + ".2 on node1 takes 200.0 ms per micro-batch, "
                                + "10.0 times the 20.0 ms of the others, for 60 s now; it is replaced"));
        endsWithoutARepeatedStep();
    }

    @Test
    void onASlotThatIsSlowItselfNobodyIsReplacedTwice() {
        start(4);
        millis.put(2, 200.0);
        millis.put(5, 200.0);
        beats(30);
        assertThat(slow()).extracting(JobEvent.WorkerSlow::ordinal).containsExactly(2, 5);
        assertThat(slow().get(1).replaced()).isFalse();
        assertThat(slow(5)).endsWith("; so did worker " + job + ".2 on the same slot, so it stays");
        endsWithoutARepeatedStep();
    }

    @Test
    void onlySoManyAreReplaced() {
        cluster.options = TrainOptions.DEFAULT.withSlowness(new TrainOptions.Slowness(2, Duration.ofSeconds(60), 4, 1));
        cluster.killServer();
        cluster.startServer();
        start(4);
        millis.put(2, 200.0);
        beats(12);
        millis.put(3, 200.0);
        beats(20);
        assertThat(slow().stream().filter(JobEvent.WorkerSlow::replaced)).hasSize(1);
        assertThat(slow()).extracting(JobEvent.WorkerSlow::ordinal).containsExactly(2, 3);
        endsWithoutARepeatedStep();
    }

    @Test
    void aDecisionToReplaceAndTheirNumberSurviveTheServer() {
        start(4);
        millis.put(2, 200.0);
        beats(7);
        assertThat(slow()).hasSize(1);
        cluster.killServer();
        cluster.startServer();
        millis.put(5, 200.0);
        beats(20);
        assertThat(slow().stream().filter(JobEvent.WorkerSlow::replaced)).hasSize(1);
        endsWithoutARepeatedStep();
    }

    @Test
    void nobodyIsSlowAloneOrByAFewMilliseconds() {
        start(1);
        millis.put(1, 900.0);
        beats(10);
        assertThat(slow()).isEmpty();
        endsWithoutARepeatedStep();

        millis.clear();
        start(2);
        millis.put(2, 1.0);
        millis.put(1, 5.0);
        beats(20);
        assertThat(slow()).isEmpty();
        endsWithoutARepeatedStep();
    }

    @Test
    void aMomentOfBadLuckIsNotSlowness() {
        start(2);
        for (int round = 0; round < 10; round++) {
            millis.put(2, 200.0);
            beats(4);
            millis.remove(2);
            beats(1);
        }
        assertThat(slow()).isEmpty();
        endsWithoutARepeatedStep();
    }
}
