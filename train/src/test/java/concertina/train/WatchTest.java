package concertina.train;

import static org.assertj.core.api.Assertions.assertThat;

import concertina.model.AgentCommand;
import concertina.model.Framework;
import concertina.model.JobId;
import concertina.model.JobState;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Workers that stop stepping are found and replaced, slow ones are left alone. */
class WatchTest {
    private final FakeCluster cluster = new FakeCluster("node1:4");

    private static void beat(FakeWorker worker, long step, String phase, boolean late, List<String> waitsFor) {
        worker.say(
                "beat",
                Map.of(
                        "generation",
                        1,
                        "step",
                        step,
                        "phase",
                        phase,
                        "seconds",
                        61,
                        "late",
                        late,
                        "for",
                        waitsFor,
                        "where",
                        "main.py:7 in step"));
    }

    private JobId running() {
        JobId job = cluster.elastic(4, 30);
        cluster.steps(5);
        return job;
    }

    private List<JobEvent.WorkerHung> hung(JobId job) {
        return cluster.journal.events(job).stream()
                .filter(JobEvent.WorkerHung.class::isInstance)
                .map(JobEvent.WorkerHung.class::cast)
                .toList();
    }

    private void goesOnWithout(JobId job, FakeWorker worker) {
        assertThat(cluster.agent("node1").executed).contains(new AgentCommand.Stop(worker.id, 0));
        cluster.steps(40);
        assertThat(cluster.view(job).state()).isEqualTo(JobState.FINISHED);
        assertThat(cluster.training(job).living()).isEmpty();
    }

    @Test
    void aWorkerThatFindsItselfLateIsReplacedAndNamedWithItsLine() {
        JobId job = running();
        FakeWorker stuck = cluster.worker(job, 3);
        beat(stuck, 5, "computing", true, List.of());
        cluster.settle();
        assertThat(hung(job))
                .containsExactly(new JobEvent.WorkerHung(
                        3, false, "on node1 did not finish step 6: computing for 61 s, at main.py:7 in step"));
        goesOnWithout(job, stuck);
        assertThat(cluster.view(job).switches())
                .anySatisfy(each -> assertThat(each.reason())
                        .isEqualTo("worker " + stuck.id
                                + " on node1 did not finish step 6: computing for 61 s, at main.py:7 in step"));
    }

    @Test
    void aSilentWorkerThatOthersWaitForIsReplaced() {
        JobId job = running();
        FakeWorker stopped = cluster.worker(job, 2);
        beat(stopped, 5, "computing", false, List.of());
        cluster.settle();
        cluster.pass(Duration.ofSeconds(61));
        assertThat(hung(job)).isEmpty();
        for (int ordinal : List.of(1, 3, 4)) {
            beat(cluster.worker(job, ordinal), 5, "waiting", true, List.of(stopped.id.toString()));
        }
        cluster.settle();
        assertThat(hung(job)).extracting(JobEvent.WorkerHung::ordinal).containsExactly(2);
        goesOnWithout(job, stopped);
    }

    @Test
    void aWorkerThatOthersWaitForAndThatSaysWhatItDoesIsLeftAlone() {
        JobId job = running();
        FakeWorker slow = cluster.worker(job, 1);
        for (int round = 0; round < 10; round++) {
            beat(slow, 5, "between steps", false, List.of());
            for (int ordinal : List.of(2, 3, 4)) {
                beat(cluster.worker(job, ordinal), 5, "waiting", true, List.of(slow.id.toString()));
            }
            cluster.settle();
            cluster.pass(Duration.ofSeconds(50));
        }
        assertThat(hung(job)).isEmpty();
        assertThat(cluster.view(job).state()).isEqualTo(JobState.RUNNING);
    }

    @Test
    void theOnlyWorkerIsMissedAfterTenTimesAsLong() {
        FakeCluster one = new FakeCluster("node1:1");
        JobId job = one.elastic(1, 30);
        one.steps(5);
        FakeWorker stopped = one.worker(job, 1);
        stopped.say("beat", Map.of("generation", 1, "step", 5, "phase", "computing", "seconds", 1, "late", false));
        one.settle();
        one.pass(Duration.ofSeconds(599));
        assertThat(one.view(job).state()).isEqualTo(JobState.RUNNING);
        assertThat(one.livingWorkers(job)).contains(stopped);
        one.pass(Duration.ofSeconds(1));
        one.settle();
        assertThat(one.livingWorkers(job)).doesNotContain(stopped);
        one.steps(40);
        assertThat(one.view(job).state()).isEqualTo(JobState.FINISHED);
    }

    @ParameterizedTest
    @ValueSource(strings = {"1e300", "Infinity", "NaN", "12345678901234567890", "soon"})
    void aLimitBeyondAllTimeStopsNeitherItsJobNorTheServer(String seconds) {
        JobId job = cluster.elastic(2, 30, Map.of("CONCERTINA_HANG_SECONDS", seconds));
        cluster.steps(5);
        cluster.pass(Duration.ofSeconds(61));
        cluster.settle();
        assertThat(hung(job)).isEmpty();
        JobId other = cluster.elastic(2, 30);
        cluster.steps(40);
        assertThat(cluster.view(job).state()).isEqualTo(JobState.FINISHED);
        assertThat(cluster.view(other).state()).isEqualTo(JobState.FINISHED);
    }

    @Test
    void aWorkerThatWasStoppedBeforeItEverSpokeIsMissedToo() {
        FakeCluster one = new FakeCluster("node1:1");
        JobId job = one.elastic(1, 30);
        one.steps(5);
        FakeWorker stopped = one.worker(job, 1);
        one.pass(Duration.ofSeconds(600));
        one.settle();
        assertThat(one.livingWorkers(job)).doesNotContain(stopped);
        one.steps(40);
        assertThat(one.view(job).state()).isEqualTo(JobState.FINISHED);
    }

    @Test
    void workersThatWaitForEachOtherStartANewGenerationAndNobodyIsKilled() {
        JobId job = running();
        FakeWorker one = cluster.worker(job, 1);
        FakeWorker two = cluster.worker(job, 2);
        beat(one, 5, "waiting", true, List.of(two.id.toString()));
        beat(two, 5, "waiting", true, List.of(one.id.toString()));
        cluster.steps(2);
        assertThat(hung(job)).isEmpty();
        assertThat(cluster.view(job).generation()).isEqualTo(2);
        assertThat(cluster.livingWorkers(job)).contains(one, two).hasSize(4);
        cluster.steps(40);
        assertThat(cluster.view(job).state()).isEqualTo(JobState.FINISHED);
    }

    @Test
    void aJobWhoseWorkersHangAtTheSameStepAgainAndAgainEndsWithTheStepAndTheLine() {
        JobId job = running();
        for (int round = 0; round < 5; round++) {
            cluster.settle();
            int generation = cluster.training(job).announced.keySet().stream()
                    .max(Integer::compare)
                    .orElseThrow();
            FakeWorker stuck = cluster.livingWorkers(job).getFirst();
            stuck.say(
                    "beat",
                    Map.of(
                            "generation",
                            generation,
                            "step",
                            5,
                            "phase",
                            "computing",
                            "seconds",
                            61,
                            "late",
                            true,
                            "where",
                            "main.py:7 in step"));
            cluster.settle();
        }
        cluster.settle();
        cluster.pass(Duration.ofMinutes(1));
        assertThat(cluster.view(job).state()).isEqualTo(JobState.ERROR);
        assertThat(cluster.view(job).reason())
                .startsWith("5 deaths of workers without a completed step in between; the last: worker")
                .endsWith("did not finish step 6: computing for 61 s, at main.py:7 in step");
        assertThat(cluster.slotsTaken()).isZero();
    }

    @Test
    void aDecisionToReplaceSurvivesTheServer() {
        JobId job = running();
        FakeWorker stuck = cluster.worker(job, 3);
        beat(stuck, 5, "computing", true, List.of());
        cluster.settle();
        cluster.killServer();
        cluster.startServer();
        cluster.settle();
        goesOnWithout(job, stuck);
    }

    @Test
    void aWorkerThatNeverReachesTrainIsReplacedAndAfterThreeTheJobFails() {
        cluster.prepareAtOnce = false;
        JobId job = cluster.elastic(1, 20);
        cluster.settle();
        for (int round = 0; round < 3; round++) {
            assertThat(cluster.livingWorkers(job)).hasSize(1);
            cluster.pass(Duration.ofMinutes(30));
            cluster.settle();
        }
        cluster.pass(Duration.ofMinutes(1));
        assertThat(hung(job)).hasSize(3);
        assertThat(cluster.view(job).state()).isEqualTo(JobState.ERROR);
        assertThat(cluster.view(job).reason())
                .isEqualTo("3 workers in a row did not come to train, and no other is there to go on; the last: worker "
                        + job + ".3 on node1 did not reach train within 1800 s of its start");
        assertThat(cluster.slotsTaken()).isZero();
    }

    @Test
    void aJobThatTrainsGoesOnWithoutNewcomersThatNeverLoad() {
        cluster.prepareAtOnce = false;
        JobId job = cluster.elastic(2, 60);
        cluster.settle();
        cluster.worker(job, 1).prepare(2, 60);
        cluster.pass(Duration.ofSeconds(3));
        cluster.steps(2);
        for (int round = 0; round < 3; round++) {
            for (int beat = 0; beat < 6; beat++) {
                cluster.pass(Duration.ofMinutes(5));
                cluster.training(job).beat();
            }
            cluster.settle();
        }
        cluster.steps(2);
        assertThat(hung(job)).hasSize(3);
        assertThat(cluster.livingWorkers(job)).hasSize(1);
        assertThat(cluster.view(job).reason())
                .contains("3 workers in a row did not come to train, no more are started; the last: worker " + job
                        + ".4 on node1 did not reach train within 1800 s of its start");
        cluster.steps(60);
        assertThat(cluster.view(job).state()).isEqualTo(JobState.FINISHED);
    }

    private static void hasNoMemory(FakeWorker worker) {
        worker.say("short", Map.of("error", "OSError: [Errno 12] Cannot allocate memory"));
        worker.exit(0, 9);
    }

    @Test
    void aJobThatTrainsGoesOnWithoutNewcomersThatHaveNoMemoryForItsState() {
        cluster.prepareAtOnce = false;
        JobId job = cluster.elastic(2, 60);
        cluster.settle();
        cluster.worker(job, 1).prepare(2, 60);
        cluster.pass(Duration.ofSeconds(3));
        cluster.steps(2);
        for (int newcomer = 2; newcomer <= 4; newcomer++) {
            cluster.worker(job, newcomer).prepare(2, 60);
            hasNoMemory(cluster.worker(job, newcomer));
            cluster.steps(2);
        }
        cluster.pass(Duration.ofMinutes(1));
        cluster.steps(2);
        assertThat(hung(job)).hasSize(3).allMatch(JobEvent.WorkerHung::loading);
        assertThat(cluster.livingWorkers(job)).hasSize(1);
        assertThat(cluster.view(job).reason())
                .contains("3 workers in a row did not come to train, no more are started; the last: worker " + job
                        + ".4 on node1 had no memory to take part: OSError: [Errno 12] Cannot allocate memory");
        cluster.steps(60);
        assertThat(cluster.view(job).state()).isEqualTo(JobState.FINISHED);
    }

    @Test
    void whenAWorkerThatTrainedIsGoneAnotherMayHaveTheMemoryThatThreeHadNot() {
        cluster.prepareAtOnce = false;
        JobId job = cluster.elastic(2, 60);
        cluster.settle();
        cluster.worker(job, 1).prepare(2, 60);
        cluster.pass(Duration.ofSeconds(3));
        cluster.steps(2);
        for (int newcomer = 2; newcomer <= 4; newcomer++) {
            cluster.worker(job, newcomer).prepare(2, 60);
            hasNoMemory(cluster.worker(job, newcomer));
            cluster.steps(2);
        }
        cluster.worker(job, 1).exit(0, 9);
        cluster.settle();
        assertThat(cluster.livingWorkers(job)).isNotEmpty();
        cluster.prepareAtOnce = true;
        cluster.livingWorkers(job).forEach(worker -> worker.prepare(2, 60));
        cluster.pass(Duration.ofSeconds(3));
        cluster.steps(70);
        assertThat(cluster.view(job).state()).isEqualTo(JobState.FINISHED);
    }

    @Test
    void aGangWhoseFirstRankHasFinishedEndsWithoutThoseThatDoNot() {
        JobId job = cluster.submit(FakeCluster.spec(Framework.DIST_PYTORCH, 2));
        cluster.settle();
        cluster.worker(job, 1).exit(0, 0);
        cluster.settle();
        cluster.pass(Duration.ofMinutes(59));
        assertThat(cluster.view(job).state()).isEqualTo(JobState.RUNNING);
        cluster.pass(Duration.ofMinutes(1));
        cluster.settle();
        cluster.pass(Duration.ofMinutes(1));
        assertThat(cluster.view(job).state()).isEqualTo(JobState.FINISHED);
        assertThat(cluster.view(job).reason())
                .isEqualTo(
                        "worker concertina-1.1 ended with exit code 0; concertina-1.2 still ran 3600 s later and was stopped");
    }

    @Test
    void aGangWhoseFirstRankDoesNotEndFails() {
        JobId job = cluster.submit(FakeCluster.spec(Framework.DIST_PYTORCH, 2));
        cluster.settle();
        cluster.worker(job, 2).exit(0, 0);
        cluster.settle();
        cluster.pass(Duration.ofHours(1));
        cluster.settle();
        cluster.pass(Duration.ofMinutes(1));
        assertThat(cluster.view(job).state()).isEqualTo(JobState.ERROR);
    }

    @Test
    void aJobHasAtMostAsManyWorkersAsItsScriptAsksForAlsoAfterARestart() {
        JobId job = running();
        cluster.worker(job, 1)
                .say("progress", Map.of("generation", 1, "epoch", 1, "step", 6, "steps", 30, "loss", 0.5, "wanted", 2));
        cluster.steps(3);
        assertThat(cluster.view(job).slotsHeld()).isEqualTo(2);
        assertThat(cluster.view(job).reason()).contains("its scaleup_function asks for at most 2 workers");
        cluster.killServer();
        cluster.startServer();
        cluster.steps(3);
        assertThat(cluster.view(job).slotsHeld()).isEqualTo(2);
        int generation = cluster.view(job).generation();
        cluster.worker(job, 1)
                .say(
                        "progress",
                        Map.of(
                                "generation",
                                generation,
                                "epoch",
                                2,
                                "step",
                                12,
                                "steps",
                                30,
                                "loss",
                                0.5,
                                "wanted",
                                4));
        cluster.steps(3);
        assertThat(cluster.view(job).slotsHeld()).isEqualTo(4);
        cluster.steps(40);
        assertThat(cluster.view(job).state()).isEqualTo(JobState.FINISHED);
    }

    @Test
    void workersWithDataSetsOfDifferentLengthsFailTheJob() {
        cluster.prepareAtOnce = false;
        JobId job = cluster.elastic(2, 20);
        cluster.settle();
        cluster.worker(job, 1).prepare(2, 20);
        cluster.worker(job, 2).prepare(2, 21);
        cluster.settle();
        cluster.pass(Duration.ofMinutes(1));
        assertThat(cluster.view(job).state()).isEqualTo(JobState.ERROR);
        assertThat(cluster.view(job).reason())
                .startsWith(
                        "worker concertina-1.2 wants to train 21 steps (1 epochs of 21), worker concertina-1.1 20:");
    }

    @Test
    void aWorkerThatEndsWithoutAnErrorInTheMiddleOfTrainingFailsTheJob() {
        JobId job = running();
        List.copyOf(cluster.livingWorkers(job)).forEach(worker -> worker.exit(0, 0));
        cluster.settle();
        cluster.pass(Duration.ofSeconds(1));
        assertThat(cluster.view(job).state()).isEqualTo(JobState.ERROR);
        assertThat(cluster.view(job).reason())
                .isEqualTo("worker concertina-1.1 ended with exit code 0 in the middle of training, after step 5");
        assertThat(cluster.slotsTaken()).isZero();
    }

    @Test
    void oneOfSeveralThatEndsWithoutAnErrorWhileTheOthersTrainOnFailsTheJob() {
        JobId job = running();
        cluster.worker(job, 2).exit(0, 0);
        cluster.worker(job, 1).breakOff();
        cluster.steps(3);
        cluster.pass(Duration.ofSeconds(1));
        assertThat(cluster.view(job).state()).isEqualTo(JobState.ERROR);
        assertThat(cluster.view(job).reason())
                .startsWith("worker concertina-1.2 ended with exit code 0 in the middle of training, after step");
        assertThat(cluster.slotsTaken()).isZero();
    }

    @Test
    void aWorkerThatWasStoppedBeforeItsFirstBeatOfAGenerationIsReplaced() {
        JobId job = running();
        FakeWorker stopped = cluster.worker(job, 2);
        stopped.say("beat", Map.of("generation", 0, "step", -1, "phase", "idle", "seconds", 0, "late", false));
        for (int ordinal : List.of(1, 3, 4)) {
            beat(cluster.worker(job, ordinal), 5, "waiting", true, List.of(stopped.id.toString()));
        }
        cluster.settle();
        cluster.pass(Duration.ofSeconds(59));
        assertThat(hung(job)).isEmpty();
        cluster.pass(Duration.ofSeconds(1));
        assertThat(hung(job)).extracting(JobEvent.WorkerHung::ordinal).containsExactly(2);
        goesOnWithout(job, stopped);
    }

    @Test
    void whoNoticesTheKilledWorkerFirstDoesNotTakeTheBlame() {
        JobId job = running();
        FakeWorker stuck = cluster.worker(job, 3);
        beat(stuck, 5, "computing", true, List.of());
        cluster.worker(job, 1).breakOff();
        cluster.steps(3);
        assertThat(cluster.view(job).switches())
                .anySatisfy(each -> assertThat(each.reason()).startsWith("worker " + stuck.id + " on node1 did not"));
    }
}
