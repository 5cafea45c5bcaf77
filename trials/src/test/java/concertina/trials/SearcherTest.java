package concertina.trials;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import concertina.model.Framework;
import concertina.model.JobId;
import concertina.model.JobState;
import concertina.model.UserName;
import concertina.search.Trial;
import concertina.train.JobView;
import java.nio.file.FileSystemException;
import java.time.Duration;
import java.util.HashSet;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import org.assertj.core.api.ThrowableAssert;
import org.junit.jupiter.api.Test;

class SearcherTest extends SceneTest {
    private void create(SearchSpec spec) {
        scene.searcher.create("s", SearchScene.ADA, spec);
    }

    private void finishAll(int trials, int parallel) {
        for (int i = 0; i < trials; i++) {
            JobView next = scene.awaitJobs(Math.min(parallel, trials - i)).getFirst();
            scene.finish(next.id(), 1.0 / (1 + i));
        }
    }

    @Test
    void aSearchTriesSoManyPointsSoManyAtATime() {
        create(SearchScene.spec(5, 2));
        assertThat(scene.awaitJobs(2)).allSatisfy(job -> {
            assertThat(Objects.requireNonNull(job.spec().trial()).search()).isEqualTo("s");
            assertThat(job.spec().trial().configuration()).contains("\"x\":").contains("\"n\":");
            assertThat(scene.files.shared).containsEntry(job.id(), new JobId("t-code"));
        });
        assertThat(scene.view().state()).isEqualTo(SearchState.SUBMITTED);
        finishAll(5, 2);

        SearchView over = scene.await("the end", view -> !view.state().active());

        assertThat(over.state()).isEqualTo(SearchState.FINISHED);
        assertThat(over.reason()).isEqualTo("all 5 trials were tried");
        assertThat(over.complete()).isEqualTo(5);
        assertThat(over.failed()).isZero();
        assertThat(over.best().number()).isEqualTo(4);
        assertThat(over.best().value()).isEqualTo(0.2);
        assertThat(over.trials()).extracting(TrialView::number).containsExactly(0L, 1L, 2L, 3L, 4L);
        assertThat(scene.jobs.submitted()).hasSize(5);
        assertThat(scene.searcher.followed()).as("jobs of trials that ended").isZero();
    }

    @Test
    void theSamplerIsToldEachTrialAsRunningAndThenItsOutcome() {
        create(SearchScene.spec(2, 1));
        scene.finish(scene.awaitJobs(1).getFirst().id(), 3.5);
        scene.finish(scene.awaitJobs(1).getFirst().id(), "{\"loss\": NaN}");
        scene.await("the end", view -> !view.state().active());

        assertThat(scene.samplers.getLast().told)
                .extracting(Trial::state)
                .containsExactly(
                        new Trial.State.Running(),
                        new Trial.State.Complete(new double[] {3.5}, new double[0]),
                        new Trial.State.Running(),
                        new Trial.State.Failed());
    }

    @Test
    void aFailedTrialIsNeverBestAndTheSearchGoesOn() {
        create(SearchScene.spec(3, 1));
        scene.jobs.end(scene.awaitJobs(1).getFirst().id(), JobState.ERROR, "worker t-1.1 ended with exit code 3");
        scene.finish(scene.awaitJobs(1).getFirst().id(), "[{\"loss\": 0.1}, {\"loss\":");
        scene.finish(scene.awaitJobs(1).getFirst().id(), 9);

        SearchView over = scene.await("the end", view -> !view.state().active());

        assertThat(over.state()).isEqualTo(SearchState.FINISHED);
        assertThat(over.failed()).isEqualTo(2);
        assertThat(over.best().number()).isEqualTo(2);
        assertThat(over.trials().get(0).reason()).contains("exit code 3");
        assertThat(over.trials().get(1).reason()).contains("not JSON");
        assertThat(over.trials().get(1).value()).isNull();
    }

    @Test
    void aTrialThatWasLostWithItsAgentRunsAgainAlsoAfterTheDeathOfTheServer() {
        create(SearchScene.spec(2, 1));
        JobId first = scene.awaitJobs(1).getFirst().id();
        scene.jobs.lose(first);
        JobId second = awaitAnother(first);
        scene.kill();
        scene.jobs.lose(second);
        scene.revive();
        scene.finish(awaitAnother(second), 3);
        scene.finish(scene.awaitJobs(1).getFirst().id(), 4);

        SearchView over = scene.await("the end", view -> !view.state().active());

        assertThat(over.state()).isEqualTo(SearchState.FINISHED);
        assertThat(over.failed()).isZero();
        assertThat(over.trials()).hasSize(2);
        assertThat(over.best().number()).isZero();
        assertThat(scene.jobs.submitted()).hasSize(4);
    }

    @Test
    void aTrialThatTakesOneAgentAfterTheOtherWithItFails() {
        create(SearchScene.spec(1, 1));
        JobId job = scene.awaitJobs(1).getFirst().id();
        for (int losses = 0; losses < 3; losses++) {
            scene.jobs.lose(job);
            job = awaitAnother(job);
        }
        scene.jobs.lose(job);

        SearchView over = scene.await("the end", view -> !view.state().active());

        assertThat(over.failed()).isEqualTo(1);
        assertThat(over.trials().getFirst().reason()).contains("was lost with agent node1");
        assertThat(scene.jobs.submitted()).hasSize(4);
    }

    @Test
    void aTrialThatIsLostWhileItsSearchIsBeingStoppedRunsAgainWhenTheSearchGoesOn() {
        scene.jobs.stopsLate = true;
        create(SearchScene.spec(1, 1));
        JobId job = scene.awaitJobs(1).getFirst().id();
        scene.searcher.stop("s", SearchScene.ADA, SearchScene.ADA);
        scene.jobs.lose(job);

        scene.await("the stop", view -> view.state() == SearchState.STOPPED);
        assertThat(scene.jobs.submitted()).hasSize(1);
        scene.searcher.restart("s", SearchScene.ADA, SearchScene.ADA);
        scene.finish(awaitAnother(job), 3);

        SearchView over = scene.await("the end", view -> view.state() == SearchState.FINISHED);

        assertThat(over.failed()).isZero();
    }

    private JobId awaitAnother(JobId before) {
        scene.await(
                "another job",
                view -> !scene.jobs.unfinished().isEmpty()
                        && !scene.jobs.unfinished().getFirst().id().equals(before));
        return scene.jobs.unfinished().getFirst().id();
    }

    @Test
    void aSearchWithoutAnyValueHasFailedAndSaysWhy() {
        create(SearchScene.spec(1, 4));
        scene.finish(scene.awaitJobs(1).getFirst().id(), "[{\"accuracy\": 0.9}]");

        SearchView over = scene.await("the end", view -> !view.state().active());

        assertThat(over.state()).isEqualTo(SearchState.FAILED);
        assertThat(over.reason()).contains("none gave a value").contains("'loss' is missing");
        assertThat(over.best()).isNull();
    }

    @Test
    void anExhaustedSpaceEndsTheSearchEarly() {
        scene.points = 2;
        create(SearchScene.spec(-1, 4));
        finishAll(2, 2);

        SearchView over = scene.await("the end", view -> !view.state().active());

        assertThat(over.trials()).hasSize(2);
        assertThat(over.reason()).isEqualTo("every point that the algorithm proposes was tried");
    }

    @Test
    void aStoppedSearchGoesOnWithTheTrialsThatWereUnderWay() {
        create(SearchScene.spec(4, 2));
        JobId first = scene.awaitJobs(2).get(0).id();
        JobId second = scene.awaitJobs(2).get(1).id();
        scene.finish(first, 1);
        scene.await("the third", view -> view.trials().size() == 3);
        scene.awaitJobs(2);

        scene.searcher.stop("s", SearchScene.ADA, SearchScene.ADA);
        scene.awaitJobs(0);

        assertThat(scene.view().state()).isEqualTo(SearchState.STOPPED);
        assertThat(scene.view().trials())
                .extracting(TrialView::state)
                .containsExactly(TrialView.State.FINISHED, TrialView.State.STOPPED, TrialView.State.STOPPED);
        assertThatThrownBy(() -> scene.searcher.stop("s", SearchScene.ADA, SearchScene.ADA))
                .isInstanceOfSatisfying(
                        ConcertinaException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.CONFLICT));

        scene.searcher.restart("s", SearchScene.ADA, SearchScene.ADA);
        finishAll(3, 2);

        SearchView over = scene.await("the end", view -> !view.state().active());
        assertThat(over.complete()).isEqualTo(4);
        assertThat(over.trials().get(1).job()).isNotEqualTo(second);
        assertThat(over.trials().get(0).job()).isEqualTo(first);
        assertThat(scene.jobs.submitted()).hasSize(6);
        assertThatThrownBy(() -> scene.searcher.restart("s", SearchScene.ADA, SearchScene.ADA))
                .hasMessageContaining("accepted: one that was stopped or has failed");
    }

    @Test
    void anElasticTrialGoesOnFromItsCheckpointUnderItsId() {
        create(SearchScene.spec(Framework.EDT_PYTORCH, 1, 1, -1));
        JobId job = scene.awaitJobs(1).getFirst().id();
        scene.jobs.start(job);
        scene.files.leave(job, "checkpoint/step-12.state", "");
        scene.searcher.stop("s", SearchScene.ADA, SearchScene.ADA);
        scene.awaitJobs(0);

        scene.searcher.restart("s", SearchScene.ADA, SearchScene.ADA);

        assertThat(scene.awaitJobs(1).getFirst().id()).isEqualTo(job);
        scene.finish(job, 0.5);
        assertThat(scene.await("the end", view -> !view.state().active()).best().job())
                .isEqualTo(job);
        assertThat(scene.jobs.submitted()).containsExactly(job);
    }

    @Test
    void aClockThatIsSetBackDoesNotConfuseTheEndsOfATrialThatGoesOn() {
        create(SearchScene.spec(Framework.EDT_PYTORCH, 1, 1, -1));
        JobId job = scene.awaitJobs(1).getFirst().id();
        scene.jobs.start(job);
        scene.files.leave(job, "checkpoint/step-12.state", "");
        scene.searcher.stop("s", SearchScene.ADA, SearchScene.ADA);
        scene.awaitJobs(0);
        scene.clock.advance(Duration.ofDays(-1));
        scene.searcher.restart("s", SearchScene.ADA, SearchScene.ADA);
        scene.awaitJobs(1);
        scene.jobs.stop(job, SearchScene.ADA);

        SearchView over = scene.await("the end", view -> !view.state().active());

        assertThat(over.trials().getFirst().state()).isEqualTo(TrialView.State.KILLED);
    }

    @Test
    void aTrialWhoseResumptionTheServerDidNotLiveToSeeIsResumedAlthoughTheClockWasSetBack() {
        create(SearchScene.spec(Framework.EDT_PYTORCH, 1, 1, -1));
        JobId job = scene.awaitJobs(1).getFirst().id();
        scene.jobs.start(job);
        scene.files.leave(job, "checkpoint/step-12.state", "");
        scene.searcher.stop("s", SearchScene.ADA, SearchScene.ADA);
        scene.awaitJobs(0);
        scene.clock.advance(Duration.ofDays(-1));
        // The next server records that the trial goes on, and dies before it tells the job.
        scene.jobs.quota = 0;
        scene.searcher.restart("s", SearchScene.ADA, SearchScene.ADA);
        SearchScene.await(
                "the record",
                () -> scene.journal.events("s"),
                events -> events.stream().anyMatch(SearchEvent.TrialRetried.class::isInstance));
        scene.kill();
        scene.jobs.quota = Integer.MAX_VALUE;
        scene.revive();

        assertThat(scene.awaitJobs(1).getFirst().id()).isEqualTo(job);
    }

    @Test
    void aTrialThatEndsWhileTheSearchIsStoppedIsNotRepeated() {
        create(SearchScene.spec(1, 1));
        JobId job = scene.awaitJobs(1).getFirst().id();
        scene.kill();
        scene.finish(job, 2);
        scene.revive();

        SearchView over = scene.await("the end", view -> !view.state().active());

        assertThat(over.best().job()).isEqualTo(job);
        assertThat(scene.jobs.submitted()).containsExactly(job);
    }

    @Test
    void aRestartedServerTellsANewSamplerTheSameInTheSameOrder() {
        create(SearchScene.spec(6, 2));
        for (int i = 0; i < 4; i++) {
            scene.finish(scene.awaitJobs(2).getFirst().id(), 1.0 / (1 + i));
        }
        scene.await("six trials", view -> view.trials().size() == 6);
        List<Trial> before = List.copyOf(scene.samplers.getLast().told);
        scene.kill();
        scene.revive();
        List<JobView> left = scene.awaitJobs(2);
        SearchScene.await(
                "the sampler to be told", () -> scene.samplers.getLast().told.size(), size -> size >= before.size());

        assertThat(scene.samplers.getLast().told).startsWith(before.toArray(Trial[]::new));
        left.forEach(job -> scene.finish(job.id(), 1));
        assertThat(scene.await("the end", view -> !view.state().active()).complete())
                .isEqualTo(6);
        assertThat(scene.jobs.submitted()).hasSize(6);
    }

    @Test
    void aSearchWaitsForTheQuotaOfItsUser() {
        scene.jobs.quota = 1;
        create(SearchScene.spec(3, 3));
        JobView first = scene.awaitJobs(1).getFirst();
        scene.await("the reason", view -> view.reason().startsWith("waits: user has 1"));
        assertThat(scene.view().trials()).hasSize(1);

        scene.finish(first.id(), 1);
        finishAll(2, 1);

        assertThat(scene.await("the end", view -> !view.state().active()).complete())
                .isEqualTo(3);
    }

    @Test
    void whatTheUserCannotMendUsesUpNoTrialAndIsWaitedFor() {
        scene.files.shareFails = new FileSystemException("/results/ada/uploads", null, "No space left on device");
        create(SearchScene.spec(2, 1));
        SearchView waiting = scene.await("the reason", view -> view.reason().startsWith("waits: the code of trial 0"));
        assertThat(waiting.reason()).endsWith("cannot be laid down: No space left on device");
        assertThat(waiting.state()).isEqualTo(SearchState.SUBMITTED);

        scene.jobs.refusal = new ConcertinaException(ErrorCode.NO_CAPACITY, "the cluster is being drained");
        scene.files.shareFails = null;
        scene.await("the other reason", view -> view.reason().equals("waits: the cluster is being drained"));
        scene.jobs.refusal = null;
        finishAll(2, 1);

        SearchView over = scene.await("the end", view -> !view.state().active());
        assertThat(over.complete()).isEqualTo(2);
        assertThat(over.failed()).isZero();
    }

    @Test
    void aRefusalThatTheUserCanMendFailsTheTrial() {
        scene.jobs.refusal = new ConcertinaException(ErrorCode.INVALID_ARGUMENT, "no such script");
        create(SearchScene.spec(1, 1));

        SearchView over = scene.await("the end", view -> !view.state().active());

        assertThat(over.state()).isEqualTo(SearchState.FAILED);
        assertThat(over.reason()).endsWith("; trial 0: its job was refused: no such script");
    }

    @Test
    void aSearchWithoutALimitWhoseTrialsAllFailEnds() {
        create(SearchScene.spec(-1, 1));
        for (int i = 0; i < 20; i++) {
            scene.jobs.end(scene.awaitJobs(1).getFirst().id(), JobState.ERROR, "exit code " + i);
        }
        SearchView over = scene.await("the end", view -> !view.state().active());

        assertThat(over.state()).isEqualTo(SearchState.FAILED);
        assertThat(over.reason()).isEqualTo("20 trials in a row failed, and none gave a value; trial 19: exit code 19");
        scene.searcher.restart("s", SearchScene.ADA, SearchScene.ADA);
        scene.finish(scene.awaitJobs(1).getFirst().id(), 1);
        for (int i = 0; i < 25; i++) {
            scene.jobs.end(scene.awaitJobs(1).getFirst().id(), JobState.ERROR, "exit code 1");
        }
        assertThat(scene.awaitJobs(1)).as("a search with a value goes on").hasSize(1);
        assertThat(scene.view().state()).isEqualTo(SearchState.RUNNING);
    }

    @Test
    void whenItsTimeIsOverTheSearchStopsItsTrialsAndEnds() {
        create(SearchScene.spec(Framework.PYTORCH, -1, 2, 10));
        scene.finish(scene.awaitJobs(2).getFirst().id(), 4);
        scene.await("three", view -> view.trials().size() == 3);
        scene.awaitJobs(2);
        scene.clock.advance(Duration.ofMinutes(11));
        scene.finish(scene.awaitJobs(2).getFirst().id(), 5);

        SearchView over = scene.await("the end", view -> !view.state().active());

        assertThat(over.state()).isEqualTo(SearchState.FINISHED);
        assertThat(over.reason()).isEqualTo("its time of 10 minutes was over");
        assertThat(over.trials())
                .extracting(TrialView::state)
                .contains(TrialView.State.KILLED)
                .doesNotContain(TrialView.State.RUNNING, TrialView.State.SUBMITTED);
        assertThat(scene.jobs.unfinished()).isEmpty();
    }

    @Test
    void timeForWhichNoServerLedItDoesNotCount() {
        create(SearchScene.spec(Framework.PYTORCH, -1, 1, 10));
        scene.clock.advance(Duration.ofMinutes(4));
        scene.finish(scene.awaitJobs(1).getFirst().id(), 4);
        scene.await("two", view -> view.trials().size() == 2);
        scene.kill();
        scene.clock.advance(Duration.ofHours(5));
        scene.revive();
        scene.kill();
        scene.clock.advance(Duration.ofHours(5));
        scene.revive();
        scene.finish(scene.awaitJobs(1).getFirst().id(), 4);
        scene.await("three", view -> view.trials().size() == 3);
        assertThat(scene.view().duration()).isBetween(Duration.ofMinutes(4), Duration.ofMinutes(5));

        scene.clock.advance(Duration.ofMinutes(7));
        scene.finish(scene.awaitJobs(1).getFirst().id(), 5);
        SearchView over = scene.await("the end", view -> !view.state().active());
        assertThat(over.reason()).isEqualTo("its time of 10 minutes was over");
        assertThat(over.duration()).isBetween(Duration.ofMinutes(11), Duration.ofMinutes(12));
    }

    @Test
    void aClockThatIsSetBackTakesNoTimeAway() {
        create(SearchScene.spec(Framework.PYTORCH, 1, 1, 10));
        scene.clock.advance(Duration.ofHours(-3));
        scene.finish(scene.awaitJobs(1).getFirst().id(), 4);
        assertThat(scene.await("the end", view -> !view.state().active()).duration())
                .isEqualTo(Duration.ZERO);
    }

    @Test
    void howLongItWasLedIsRecordedNowAndThenWhereItsTimeIsLimited() {
        create(SearchScene.spec(Framework.PYTORCH, -1, 1, 1000));
        scene.awaitJobs(1);
        scene.clock.advance(Duration.ofMinutes(11));
        scene.searcher.enqueue("s", SearchScene.ADA, SearchScene.point(0.5, 1));
        SearchScene.await(
                "the record",
                () -> scene.journal.events("s"),
                events -> events.contains(
                        new SearchEvent.Led(Duration.ofMinutes(11).toMillis())));
    }

    /** A thread of the search's that comes to a point waits there until it is let go on. */
    private static final class Gate implements Runnable {
        private final CountDownLatch reached = new CountDownLatch(1);
        private final CountDownLatch open = new CountDownLatch(1);

        @Override
        public void run() {
            reached.countDown();
            try {
                open.await();
            } catch (InterruptedException interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }

    @Test
    void aTrialThatWasNeverSubmittedIsSubmittedOnceWhenItsSearchIsStoppedAndRestartedAtOnce() throws Exception {
        scene.jobs.refusal = new ConcertinaException(ErrorCode.NO_CAPACITY, "the cluster is being drained");
        Gate gate = new Gate();
        scene.files.beforeSharing = gate;
        create(SearchScene.spec(1, 1));
        gate.reached.await();
        scene.searcher.stop("s", SearchScene.ADA, SearchScene.ADA);
        scene.searcher.restart("s", SearchScene.ADA, SearchScene.ADA);
        gate.open.countDown();
        scene.await("the reason", view -> view.reason().equals("waits: the cluster is being drained"));
        scene.jobs.refusal = null;
        scene.finish(scene.awaitJobs(1).getFirst().id(), 2);

        SearchView over = scene.await("the end", view -> !view.state().active());

        assertThat(over.state()).isEqualTo(SearchState.FINISHED);
        assertThat(over.failed()).isZero();
        assertThat(scene.jobs.submitted()).hasSize(1);
        Set<JobId> kept = new HashSet<>(scene.files.shared.keySet());
        kept.removeAll(scene.files.deleted);
        assertThat(kept).containsExactly(over.trials().getFirst().job());
    }

    @Test
    void aTrialThatRunsOnWhileItsSearchIsStoppedAndRestartedAtOnceRunsAgainAsAnyOther() throws Exception {
        Gate gate = new Gate();
        scene.samplerThrows = () -> {
            if (!scene.jobs.submitted().isEmpty()) {
                gate.run();
            }
            return null;
        };
        create(SearchScene.spec(2, 2));
        gate.reached.await();
        JobId first = scene.jobs.submitted().getFirst();
        scene.jobs.start(first);
        scene.searcher.stop("s", SearchScene.ADA, SearchScene.ADA);
        scene.searcher.restart("s", SearchScene.ADA, SearchScene.ADA);
        gate.open.countDown();

        scene.await("both", view -> view.trials().size() == 2);
        SearchView both = scene.await(
                "no trial to be shown as stopped",
                view -> view.trials().stream().noneMatch(trial -> trial.state() == TrialView.State.STOPPED));
        assertThat(both.trials().getFirst().job()).isNotEqualTo(first);
        scene.awaitJobs(2).forEach(job -> scene.finish(job.id(), 1));
        assertThat(scene.await("the end", view -> !view.state().active()).complete())
                .isEqualTo(2);
    }

    @Test
    void aSearchThatIsStoppedAgainWhileItGoesOnRunsItsTrialWhenItIsRestarted() {
        create(SearchScene.spec(1, 1));
        scene.jobs.start(scene.awaitJobs(1).getFirst().id());
        scene.searcher.stop("s", SearchScene.ADA, SearchScene.ADA);
        awaitIdle();
        scene.jobs.beforeNextId = () -> {
            scene.jobs.beforeNextId = () -> {};
            scene.searcher.stop("s", SearchScene.ADA, SearchScene.ADA);
        };
        scene.searcher.restart("s", SearchScene.ADA, SearchScene.ADA);
        scene.await("the second stop", view -> view.state() == SearchState.STOPPED);
        awaitIdle();

        scene.searcher.restart("s", SearchScene.ADA, SearchScene.ADA);

        scene.finish(scene.awaitJobs(1).getFirst().id(), 1);
        SearchView over = scene.await("the end", view -> !view.state().active());
        assertThat(over.state()).isEqualTo(SearchState.FINISHED);
        assertThat(over.failed()).isZero();
    }

    private static void awaitIdle() {
        SearchScene.await(
                "the search's thread to end",
                () -> Thread.getAllStackTraces().keySet(),
                threads -> threads.stream().noneMatch(thread -> thread.getName().equals("search-s")));
    }

    @Test
    void anEnqueuedPointIsTriedNext() {
        create(SearchScene.spec(3, 1));
        JobView first = scene.awaitJobs(1).getFirst();
        scene.searcher.enqueue("s", SearchScene.ADA, SearchScene.point(0.25, 3));
        assertThatThrownBy(() -> scene.searcher.enqueue("s", SearchScene.ADA, SearchScene.point(2, 3)))
                .hasMessageContaining("x is '2.0', accepted: a number from 0.0 to 1.0");
        scene.finish(first.id(), 1);
        SearchScene.await(
                "the second",
                scene.jobs::unfinished,
                jobs -> jobs.size() == 1 && !jobs.getFirst().id().equals(first.id()));

        assertThat(scene.view().trials().get(1).point()).isEqualTo(SearchScene.point(0.25, 3));
    }

    @Test
    void aPointForWhichNoTrialIsLeftIsRefused() {
        create(SearchScene.spec(3, 1));
        JobView first = scene.awaitJobs(1).getFirst();
        scene.searcher.enqueue("s", SearchScene.ADA, SearchScene.point(0.25, 3));
        scene.searcher.enqueue("s", SearchScene.ADA, SearchScene.point(0.5, 3));

        assertThatThrownBy(() -> scene.searcher.enqueue("s", SearchScene.ADA, SearchScene.point(0.75, 3)))
                .isInstanceOfSatisfying(
                        ConcertinaException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.CONFLICT))
                .hasMessage("search 's' has no trial left, of 3 at most, accepted: one that has");

        scene.finish(first.id(), 1);
        finishAll(2, 1);
        SearchView over = scene.await("the end", view -> !view.state().active());
        assertThat(over.trials().subList(1, 3))
                .extracting(TrialView::point)
                .containsExactly(SearchScene.point(0.25, 3), SearchScene.point(0.5, 3));
    }

    @Test
    void aPointIsRefusedWhileASearchWaitsForItsLastTrialsUnlessItIsStopped() {
        create(SearchScene.spec(Framework.PYTORCH, -1, 2, 10));
        scene.jobs.stopsLate = true;
        JobId first = scene.awaitJobs(2).getFirst().id();
        scene.clock.advance(Duration.ofMinutes(11));
        scene.finish(first, 1);
        scene.await("the end of its time", view -> view.reason().startsWith("its time of 10 minutes was over"));
        assertThatThrownBy(() -> scene.searcher.enqueue("s", SearchScene.ADA, SearchScene.point(0.5, 3)))
                .isInstanceOfSatisfying(
                        ConcertinaException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.CONFLICT))
                .hasMessageContaining("is coming to its end");
        scene.searcher.stop("s", SearchScene.ADA, SearchScene.ADA);
        scene.searcher.enqueue("s", SearchScene.ADA, SearchScene.point(0.75, 3));
    }

    @Test
    void aDeletedSearchStopsItsTrialsAndLeavesTheirJobs() {
        create(SearchScene.spec(-1, 2));
        scene.awaitJobs(2);

        scene.searcher.delete("s", SearchScene.ADA, SearchScene.ADA);

        scene.awaitJobs(0);
        assertThat(scene.searcher.find("s")).isEmpty();
        assertThat(scene.jobs.list()).hasSize(2);
        assertThat(scene.journal.events("s")).isEmpty();
    }

    @Test
    void jobsOfTrialsSayWhoStoppedOrDeletedTheirSearch() {
        UserName root = new UserName("root");
        create(SearchScene.spec(-1, 1));
        JobId first = scene.awaitJobs(1).getFirst().id();
        scene.searcher.stop("s", SearchScene.ADA, root);
        scene.awaitJobs(0);
        scene.searcher.restart("s", SearchScene.ADA, SearchScene.ADA);
        JobId second = scene.awaitJobs(1).getFirst().id();
        scene.searcher.delete("s", SearchScene.ADA, root);
        scene.awaitJobs(0);

        assertThat(List.of(first, second))
                .allSatisfy(job ->
                        assertThat(scene.jobs.find(job).orElseThrow().reason()).isEqualTo("stopped by root"));
    }

    @Test
    void aSearchIsDeletedWhollyEvenIfTheServerIsKilledAmidst() {
        create(SearchScene.spec(-1, 2));
        scene.awaitJobs(2);
        // From here on the server can do nothing about jobs: as if it were killed as soon as the deletion was recorded.
        scene.jobs.die();
        scene.searcher.delete("s", SearchScene.ADA, SearchScene.ADA);
        scene.kill();
        scene.files.deleted.clear();
        assertThat(scene.journal.names()).hasSize(1).doesNotContain("s");
        assertThat(scene.jobs.unfinished()).hasSize(2);

        scene.revive();

        assertThat(scene.jobs.unfinished()).isEmpty();
        assertThat(scene.files.deleted).containsExactly(new JobId("t-code"));
        assertThat(scene.journal.names()).isEmpty();
        assertThat(scene.searcher.find("s")).isEmpty();
    }

    @Test
    void nothingIsLeftOfADeletedSearch() {
        create(SearchScene.spec(-1, 2));
        scene.awaitJobs(2);
        scene.searcher.delete("s", SearchScene.ADA, SearchScene.ADA);
        create(SearchScene.spec(-1, 1));
        scene.awaitJobs(1);
        SearchScene.await("the end of the first", scene.journal::names, names -> names.equals(Set.of("s")));
        assertThat(scene.files.deleted).containsExactly(new JobId("t-code"));
        scene.searcher.stop("s", SearchScene.ADA, SearchScene.ADA);
        scene.awaitJobs(0);
        scene.searcher.delete("s", SearchScene.ADA, SearchScene.ADA);
        SearchScene.await("the end of the second", scene.journal::names, Set::isEmpty);
        SearchScene.await("nobody to be followed", () -> scene.searcher.followed(), count -> count == 0);
    }

    @Test
    void codeOfASearchThatNeverBeganIsRemovedByTheNextServer() {
        JobId lost = scene.searcher.expectCode(SearchScene.ADA);
        JobId refused = scene.searcher.expectCode(SearchScene.ADA);
        scene.searcher.discardCode(refused, SearchScene.ADA);
        assertThat(scene.files.deleted).containsExactly(refused);
        create(SearchScene.spec(-1, 2));
        scene.awaitJobs(2);
        scene.kill();

        scene.revive();

        assertThat(scene.files.deleted).containsExactlyInAnyOrder(refused, lost);
        assertThat(scene.journal.names()).containsExactly("s");
    }

    @Test
    void codeThatWasExpectedIsASearchsOwnOnceThatHasBegun() {
        scene.journal.append(List.of(new SearchJournal.Entry(
                "/t-code",
                scene.clock.instant(),
                new SearchEvent.LeftBehind(SearchScene.ADA, SearchScene.ADA, List.of(), new JobId("t-code")))));
        create(SearchScene.spec(1, 1));
        assertThat(scene.journal.names()).containsExactly("s");
    }

    @Test
    void codeOfASearchThatJustBeganWhenTheServerWasKilledStays() {
        create(SearchScene.spec(2, 1));
        scene.awaitJobs(1);
        // What is recorded before the code is laid down, and removed once the search has begun.
        JobId code = new JobId("t-code");
        scene.journal.append(List.of(new SearchJournal.Entry(
                "/t-code",
                scene.clock.instant(),
                new SearchEvent.LeftBehind(SearchScene.ADA, SearchScene.ADA, List.of(), code))));
        scene.kill();

        scene.revive();

        assertThat(scene.files.deleted).isEmpty();
        assertThat(scene.journal.names()).containsExactly("s");
        finishAll(2, 1);
        scene.await("the end", view -> view.state() == SearchState.FINISHED);
    }

    @Test
    void aTrialWhoseJobWasDeletedHasFailed() {
        create(SearchScene.spec(1, 1));
        scene.jobs.delete(scene.awaitJobs(1).getFirst().id(), SearchScene.ADA);

        assertThat(scene.await("the end", view -> !view.state().active())
                        .trials()
                        .getFirst()
                        .reason())
                .isEqualTo("its job was deleted");
    }

    @Test
    void anAlgorithmThatFailsEndsTheSearchButNotItsTrialsAndMayBeRestarted() {
        create(SearchScene.spec(3, 1));
        JobView first = scene.awaitJobs(1).getFirst();
        scene.kill();
        scene.samplerFails = new IllegalStateException("no such matrix");
        scene.revive();
        scene.await("the reason", view -> view.reason().contains("no such matrix"));
        scene.finish(first.id(), 1);
        SearchView over = scene.await("the end", view -> !view.state().active());
        assertThat(over.state()).isEqualTo(SearchState.FAILED);
        assertThat(over.best().number()).isZero();

        scene.samplerFails = null;
        scene.searcher.restart("s", SearchScene.ADA, SearchScene.ADA);
        finishAll(2, 1);

        assertThat(scene.await("the end", view -> !view.state().active()).state())
                .isEqualTo(SearchState.FINISHED);
    }

    @Test
    void anAlgorithmThatExhaustsTheStackEndsItsSearchWhichMayBeRestarted() {
        scene.samplerThrows = () -> new StackOverflowError();
        create(SearchScene.spec(2, 1));
        SearchView over = scene.await("the end", view -> !view.state().active());
        assertThat(over.state()).isEqualTo(SearchState.FAILED);
        assertThat(over.reason()).isEqualTo("algorithm random failed: StackOverflowError");

        scene.samplerThrows = () -> null;
        scene.searcher.restart("s", SearchScene.ADA, SearchScene.ADA);
        finishAll(2, 1);
        assertThat(scene.await("the end", view -> !view.state().active()).state())
                .isEqualTo(SearchState.FINISHED);
    }

    @Test
    void aSearchThatTheServerCannotLeadForLackOfMemoryEndsAsFailedAndItsTrialsAreTakenUp() {
        create(SearchScene.spec(9, 1));
        JobView job = scene.awaitJobs(1).getFirst();
        scene.files.nextFindFails = new OutOfMemoryError("no room");
        scene.finish(job.id(), 0.5);

        SearchView over = scene.await("the end", view -> !view.state().active());

        assertThat(over.state()).isEqualTo(SearchState.FAILED);
        assertThat(over.reason()).isEqualTo("the server could not lead it: OutOfMemoryError: no room");
        assertThat(over.best().value()).isEqualTo(0.5);
        scene.searcher.restart("s", SearchScene.ADA, SearchScene.ADA);
        finishAll(8, 1);
        assertThat(scene.await("the end", view -> !view.state().active()).complete())
                .isEqualTo(9);
    }

    @Test
    void aNameThatHasBecomeSomebodyElsesIsNotKnown() {
        create(SearchScene.spec(-1, 1));
        UserName eve = new UserName("eve");
        List<ThrowableAssert.ThrowingCallable> attempts = List.of(
                () -> scene.searcher.enqueue("s", eve, SearchScene.point(0.5, 1)),
                () -> scene.searcher.stop("s", eve, eve),
                () -> scene.searcher.restart("s", eve, eve),
                () -> scene.searcher.delete("s", eve, eve));
        for (ThrowableAssert.ThrowingCallable attempt : attempts) {
            assertThatThrownBy(attempt)
                    .isInstanceOfSatisfying(
                            ConcertinaException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.NOT_FOUND));
        }
        assertThat(scene.view().state().active()).isTrue();
    }

    @Test
    void namesAreUsedOnceAndSearchesUnderWayAreLimited() {
        create(SearchScene.spec(-1, 1));
        assertThatThrownBy(() -> create(SearchScene.spec(-1, 1)))
                .isInstanceOfSatisfying(
                        ConcertinaException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.CONFLICT));
        scene.searcher.create("s2", SearchScene.ADA, SearchScene.spec(-1, 1));
        scene.searcher.create("s3", SearchScene.ADA, SearchScene.spec(-1, 1));
        assertThatThrownBy(() -> scene.searcher.create("s4", SearchScene.ADA, SearchScene.spec(-1, 1)))
                .hasMessageContaining("has 3 active searches");
        scene.searcher.stop("s", SearchScene.ADA, SearchScene.ADA);
        scene.searcher.create("s4", SearchScene.ADA, SearchScene.spec(-1, 1));
        assertThatThrownBy(() -> scene.searcher.restart("s", SearchScene.ADA, SearchScene.ADA))
                .isInstanceOfSatisfying(
                        ConcertinaException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.QUOTA_EXCEEDED));
        assertThatThrownBy(() -> scene.searcher.restart("s4", SearchScene.ADA, SearchScene.ADA))
                .hasMessageContaining("is active");
        scene.searcher.stop("s2", SearchScene.ADA, SearchScene.ADA);
        assertThat(scene.searcher
                        .restart("s", SearchScene.ADA, SearchScene.ADA)
                        .state()
                        .active())
                .isTrue();
    }
}
