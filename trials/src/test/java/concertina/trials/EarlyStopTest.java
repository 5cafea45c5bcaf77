package concertina.trials;

import static org.assertj.core.api.Assertions.assertThat;

import concertina.model.Framework;
import concertina.model.JobId;
import concertina.model.JobState;
import concertina.search.Trial;
import concertina.train.JobView;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Trials that report as they run: the worse ones are stopped, and a server that dies meanwhile decides the same. */
class EarlyStopTest extends SceneTest {
    private static final EarlyStopping ASHA = new EarlyStopping(EarlyStopping.Rule.ASHA, 1, 9, 3, 1);

    private List<JobView> create(int trials, int parallel) {
        scene.searcher.create(
                "s", SearchScene.ADA, SearchScene.spec(Framework.PYTORCH, trials, parallel, -1, ASHA, null));
        return scene.awaitJobs(Math.min(trials, parallel));
    }

    /** What a trial has reported so far. */
    private void report(JobId job, double... losses) {
        StringBuilder lines = new StringBuilder();
        for (int i = 0; i < losses.length; i++) {
            lines.append("{\"steps\": " + (i + 1) + ", \"loss\": " + losses[i] + "}\n");
        }
        scene.files.leave(job, "log/task0/reports.txt", lines.toString());
    }

    /** A trial's job as it runs, so that none counts as waiting. */
    private JobId started(JobView job) {
        scene.jobs.start(job.id());
        return job.id();
    }

    private TrialView await(int number, TrialView.State state) {
        return scene.await(
                        "trial " + number + " " + state,
                        view -> view.trials().get(number).state() == state)
                .trials()
                .get(number);
    }

    private void awaitReports(int count) {
        SearchScene.await(
                "reports",
                () -> scene.journal.events("s").stream()
                        .filter(SearchEvent.Reported.class::isInstance)
                        .map(SearchEvent.Reported.class::cast)
                        .mapToInt(reported -> reported.reports().size())
                        .sum(),
                reports -> reports >= count);
    }

    @Test
    void theWorseIsStoppedItsPlaceIsFilledAndTheBestIsOneThatEndedByItself() {
        List<JobView> jobs = create(3, 2);
        JobId good = started(jobs.get(0));
        JobId bad = started(jobs.get(1));
        report(good, 0.5);
        awaitReports(1);
        report(bad, 0.7);

        TrialView stopped = await(1, TrialView.State.STOPPED);
        assertThat(stopped.value()).isEqualTo(0.7);
        assertThat(stopped.reason()).isEqualTo("its loss 0.7 at 1.0 is number 2 of 2; the best 1 go on");
        assertThat(scene.jobs.find(bad).orElseThrow().state()).isEqualTo(JobState.KILLED);

        List<JobView> next = scene.awaitJobs(2);
        scene.finish(good, 0.4);
        scene.jobs.end(next.get(1).id(), JobState.ERROR, "exit code 1");
        SearchView over = scene.await("the end", view -> !view.state().active());
        assertThat(over.state()).isEqualTo(SearchState.FINISHED);
        assertThat(over.best().number()).isZero();
        assertThat(over.complete()).isEqualTo(3);
        assertThat(over.failed()).isEqualTo(1);
        assertThat(scene.samplers.getLast().told)
                .extracting(Trial::state)
                .contains(new Trial.State.Stopped(1, 0.7), new Trial.State.Complete(new double[] {0.4}, new double[0]));
    }

    @Test
    void whatItWroteUntilItWasStoppedIsReported() {
        List<JobView> jobs = create(2, 2);
        scene.files.leave(jobs.get(1).id(), TrialMetrics.FILE, "[{\"steps\": 1, \"loss\": 0.7, \"accuracy\": 0.25}]");
        report(started(jobs.get(0)), 0.5);
        awaitReports(1);
        report(started(jobs.get(1)), 0.7);

        TrialView stopped = await(1, TrialView.State.STOPPED);

        assertThat(stopped.metrics())
                .containsExactly(
                        new MetricSummary("loss", 0.7, 0.7, 0.7), new MetricSummary("accuracy", 0.25, 0.25, 0.25));
    }

    @Test
    void oneStoppedIsBestOnlyWhereNoneWasMeasured() {
        List<JobView> jobs = create(2, 2);
        report(started(jobs.get(0)), 0.5);
        awaitReports(1);
        report(started(jobs.get(1)), 0.7);
        await(1, TrialView.State.STOPPED);
        scene.jobs.end(jobs.get(0).id(), JobState.ERROR, "exit code 1");

        SearchView over = scene.await("the end", view -> !view.state().active());

        assertThat(over.state()).isEqualTo(SearchState.FINISHED);
        assertThat(over.best().number()).isEqualTo(1);
    }

    @Test
    void aTrialThatEndsBeforeItsReportsAreReadCountsForTheOthers() {
        List<JobView> jobs = create(2, 2);
        report(jobs.get(0).id(), 0.5, 0.4, 0.3);
        scene.finish(jobs.get(0).id(), 0.3);
        scene.await("the first to end", view -> view.complete() == 1);
        report(started(jobs.get(1)), 0.9);

        await(1, TrialView.State.STOPPED);
    }

    @Test
    void aServerThatDiesRemembersWhatWasReported() {
        List<JobView> jobs = create(2, 2);
        report(started(jobs.get(0)), 0.5);
        awaitReports(1);
        scene.kill();
        report(started(jobs.get(1)), 0.7);
        scene.revive();

        assertThat(await(1, TrialView.State.STOPPED).reason()).contains("number 2 of 2");
        scene.kill();
        scene.finish(jobs.get(0).id(), 0.5);
        scene.revive();
        SearchView over = scene.await("the end", view -> !view.state().active());
        assertThat(over.trials().get(1).state()).isEqualTo(TrialView.State.STOPPED);
        assertThat(over.best().number()).isZero();
        assertThat(scene.jobs.submitted()).hasSize(2);
    }

    @Test
    void aTrialWhoseJobIsDeletedBetweenItsVerdictAndItsEndIsNotRunAgain() {
        scene.jobs.stopsLate = true;
        List<JobView> jobs = create(2, 2);
        report(started(jobs.get(0)), 0.5);
        awaitReports(1);
        JobId bad = started(jobs.get(1));
        report(bad, 0.7);
        SearchScene.await("the job to be told", scene.jobs::toldToStop, told -> told.contains(bad));
        scene.kill();
        scene.jobs.delete(bad, SearchScene.ADA);
        scene.revive();

        TrialView stopped = await(1, TrialView.State.STOPPED);

        assertThat(stopped.value()).isEqualTo(0.7);
        assertThat(scene.jobs.submitted()).doesNotHaveDuplicates().hasSize(2);
    }

    @Test
    void aServerThatDiedBeforeItsVerdictComesToItAgain() {
        List<JobView> jobs = create(2, 2);
        report(started(jobs.get(0)), 0.5);
        awaitReports(1);
        scene.kill();
        // The server died right after it had recorded the report, before it came to a verdict.
        scene.journal.append(List.of(new SearchJournal.Entry(
                "s", scene.clock.instant(), new SearchEvent.Reported(List.of(new TrialReport(1, 1, 0.7))))));
        started(jobs.get(1));
        scene.revive();

        await(1, TrialView.State.STOPPED);
        assertThat(scene.jobs.find(jobs.get(1).id()).orElseThrow().state()).isEqualTo(JobState.KILLED);
    }

    @Test
    void aStoppedSearchDoesNotRunAgainWhatWasStoppedEarly() {
        List<JobView> jobs = create(2, 2);
        report(started(jobs.get(0)), 0.5);
        awaitReports(1);
        report(started(jobs.get(1)), 0.7);
        await(1, TrialView.State.STOPPED);
        scene.searcher.stop("s", SearchScene.ADA, SearchScene.ADA);
        scene.awaitJobs(0);
        scene.searcher.restart("s", SearchScene.ADA, SearchScene.ADA);

        scene.finish(scene.awaitJobs(1).getFirst().id(), 0.2);

        SearchView over = scene.await("the end", view -> !view.state().active());
        assertThat(over.trials().get(1).value()).isEqualTo(0.7);
        assertThat(scene.jobs.submitted()).hasSize(3);
    }

    @Test
    void evaluationMetricsOfTheTestGroupAndLinesOfAnyKindAreRead() {
        List<JobView> jobs = create(2, 2);
        report(started(jobs.get(0)), 0.5);
        awaitReports(1);
        scene.files.leave(
                started(jobs.get(1)),
                "log/task0/1/evaluation-metrics.txt",
                "no JSON\n{\"half\": \n"
                        + metrics("train", 1, "9.0")
                        + metrics("test", 1, "nan")
                        + metrics("test", 2, "0.75")
                        + "{\"steps\": 3, \"loss\":");

        assertThat(await(1, TrialView.State.STOPPED).value()).isEqualTo(0.75);
    }

    private static String metrics(String group, int step, String loss) {
        return "{\"meta\": {}, \"grouplabel\": \"" + group
                + "\", \"etimes\": {\"iteration\": {\"type\": 2, \"value\": \"" + step
                + "\"}}, \"values\": {\"loss\": {\"type\": 3, \"value\": \"" + loss + "\"}}}\n";
    }

    @Test
    void aTrialThatReportsEachOfManyStepsCostsABoundedNumberOfRecords() {
        List<JobView> jobs = create(1, 1);
        double[] losses = new double[100_000];
        report(started(jobs.getFirst()), losses);
        awaitReports(300);
        scene.finish(jobs.getFirst().id(), 0);
        scene.await("the end", view -> !view.state().active());

        long recorded = scene.journal.events("s").stream()
                .filter(SearchEvent.Reported.class::isInstance)
                .mapToLong(event -> ((SearchEvent.Reported) event).reports().size())
                .sum();
        assertThat(recorded).isBetween(300L, 600L);
    }

    @Test
    void howOftenReportsAreReadDoesNotDependOnHowOftenTheSearchIsWoken() {
        JobId longest = started(create(500, 2).getFirst());
        long start = System.nanoTime();
        for (int i = 0; i < 300; i++) {
            JobId next = scene.awaitJobs(2).getLast().id();
            scene.finish(next, 1);
            scene.await(
                    "its end",
                    view -> view.trials().stream()
                            .anyMatch(trial -> trial.job().equals(next) && trial.endedAt() != null));
        }
        // Ten times a second, however long the machine took; each trial wakes the search more than once.
        long most = 10 + Duration.ofNanos(System.nanoTime() - start).toMillis() / 100;
        assertThat(scene.files.finds.getOrDefault(longest, 0)).isLessThanOrEqualTo((int) most);
    }

    @Test
    void whichTrialsLeadIsToldWhenThatChangesAndAgainByAServerThatFollows() {
        List<JobView> jobs = create(9, 3);
        JobId first = started(jobs.get(0));
        JobId second = started(jobs.get(1));
        JobId third = started(jobs.get(2));
        report(first, 0.5, 0.4);
        awaitReports(2);
        report(second, 0.3);

        SearchScene.await("the order", () -> scene.jobs.rankings(), told -> told.contains(List.of(second, first)));
        report(third, 0.9);
        await(2, TrialView.State.STOPPED);
        report(second, 0.3, 0.3);
        awaitReports(5);
        int told = scene.jobs.rankings().size();

        scene.kill();
        scene.revive();
        SearchScene.await("the order again", () -> scene.jobs.rankings(), orders -> orders.size() > told);
        assertThat(scene.jobs.rankings().getLast()).containsExactly(second, first);
        assertThat(scene.jobs.rankings().subList(1, told)).doesNotHaveDuplicates();
    }

    @Test
    void aFileOfReportsThatAppearsLateIsFoundAndTheLastOnesInAnyCase() {
        List<JobView> jobs = create(2, 2);
        report(started(jobs.get(0)), 0.5);
        awaitReports(1);
        scene.files.leave(jobs.get(0).id(), "log/task1/reports.txt", "{\"steps\": 2, \"loss\": 0.4}\n");
        awaitReports(2);
        scene.files.leave(jobs.get(0).id(), "log/task2/reports.txt", "{\"steps\": 3, \"loss\": 0.3}\n");
        scene.finish(jobs.get(0).id(), 0.3);
        awaitReports(3);
    }

    @Test
    void aSearchThatHasConvergedEndsEarlyAndSaysWhy() {
        scene.searcher.create(
                "s",
                SearchScene.ADA,
                SearchScene.spec(Framework.PYTORCH, 100, 1, -1, null, new StopWhenConverged(2, 0.01)));
        for (double loss : new double[] {1, 0.5, 0.4999}) {
            scene.finish(scene.awaitJobs(1).getFirst().id(), loss);
        }
        scene.kill();
        scene.revive();
        scene.finish(scene.awaitJobs(1).getFirst().id(), 0.7);

        SearchView over = scene.await("the end", view -> !view.state().active());

        assertThat(over.state()).isEqualTo(SearchState.FINISHED);
        assertThat(over.complete()).isEqualTo(4);
        assertThat(over.reason()).startsWith("it has converged: the best loss 0.5 has not improved");
    }
}
