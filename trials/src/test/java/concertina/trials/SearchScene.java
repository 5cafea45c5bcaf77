package concertina.trials;

import concertina.model.Framework;
import concertina.model.JobId;
import concertina.model.JobSpec;
import concertina.model.JobState;
import concertina.model.UserName;
import concertina.search.Parameter;
import concertina.search.Point;
import concertina.search.Sampler;
import concertina.search.Value;
import concertina.train.JobView;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/** A searcher over jobs that a test moves by hand; it can die and be born again. */
final class SearchScene implements AutoCloseable {
    static final UserName ADA = new UserName("ada");
    private static final Duration LIMIT = Duration.ofSeconds(20);

    final TestingClock clock = new TestingClock();
    final TestingJobs jobs = new TestingJobs(clock);
    final TestingFiles files;
    final List<TestingSampler> samplers = new ArrayList<>();
    TestingJournal journal = new TestingJournal();
    long points = Long.MAX_VALUE;

    /** In place of {@link TestingSampler}. */
    @Nullable
    Samplers samplersOfItsOwn;

    RuntimeException samplerFails;
    volatile Supplier<@Nullable Throwable> samplerThrows = () -> null;
    Searcher searcher;
    private boolean alive = true;

    SearchScene(Path folder) {
        files = new TestingFiles(folder);
        start();
    }

    private void start() {
        searcher = new Searcher(journal, jobs.living(), files, this::sampler, clock, 3);
    }

    private synchronized Sampler sampler(SearchSpec spec, @Nullable String saved) {
        if (samplersOfItsOwn != null) {
            return samplersOfItsOwn.create(spec, saved);
        }
        raise(samplerFails);
        TestingSampler sampler = new TestingSampler(spec, points, () -> raise(samplerThrows.get()));
        samplers.add(sampler);
        return sampler;
    }

    /** Throws what it is given, if anything, unchecked or not. */
    static void raise(@Nullable Throwable failure) {
        switch (failure) {
            case RuntimeException unchecked -> throw unchecked;
            case Error error -> throw error;
            case null -> {}
            default -> throw new AssertionError(failure);
        }
    }

    /** The server is killed: what it did last is stored or not, and nothing follows. */
    void kill() {
        alive = false;
        journal.die();
        jobs.die();
        searcher.close();
        journal = journal.survivor();
    }

    boolean alive() {
        return alive;
    }

    void revive() {
        alive = true;
        start();
    }

    static SearchSpec spec(long maxTrials, int parallel) {
        return spec(Framework.PYTORCH, maxTrials, parallel, -1);
    }

    static SearchSpec spec(Framework framework, long maxTrials, int parallel, long maxMinutes) {
        return spec(framework, maxTrials, parallel, maxMinutes, null, null);
    }

    static SearchSpec spec(
            Framework framework,
            long maxTrials,
            int parallel,
            long maxMinutes,
            @Nullable EarlyStopping earlyStopping,
            @Nullable StopWhenConverged convergence) {
        return spec(
                framework,
                List.of(new Objective("loss", false)),
                List.of(),
                maxTrials,
                parallel,
                maxMinutes,
                earlyStopping,
                convergence);
    }

    /** One that is after several things. */
    static SearchSpec spec(List<Objective> objectives, List<Constraint> constraints, long maxTrials, int parallel) {
        return spec(Framework.PYTORCH, objectives, constraints, maxTrials, parallel, -1, null, null);
    }

    private static SearchSpec spec(
            Framework framework,
            List<Objective> objectives,
            List<Constraint> constraints,
            long maxTrials,
            int parallel,
            long maxMinutes,
            @Nullable EarlyStopping earlyStopping,
            @Nullable StopWhenConverged convergence) {
        return new SearchSpec(
                "random",
                Map.of(),
                List.of(new Parameter.Real("x", 0, 1), new Parameter.Whole("n", 1, 8)),
                List.of(),
                "",
                objectives,
                constraints,
                Map.of("accuracy", Aggregate.LATEST),
                maxTrials,
                parallel,
                maxMinutes,
                7,
                earlyStopping,
                convergence,
                job(framework),
                new JobId("t-code"),
                "{}");
    }

    static JobSpec job(Framework framework) {
        return new JobSpec(
                framework, "search", "", "main.py", "", List.of(), List.of(), 1, 1, false, 5000, Map.of(), "", "", "",
                0);
    }

    static Point point(double x, long n) {
        return new Point(Map.of("x", new Value.Real(x), "n", new Value.Whole(n)));
    }

    SearchView view() {
        return searcher.find("s").orElseThrow();
    }

    SearchView await(String awaited, Predicate<SearchView> condition) {
        return await(awaited, this::view, condition);
    }

    static <T> T await(String awaited, Supplier<T> probe, Predicate<T> condition) {
        long end = System.nanoTime() + LIMIT.toNanos();
        T latest = probe.get();
        while (!condition.test(latest)) {
            if (System.nanoTime() > end) {
                throw new AssertionError("waited for " + awaited + ", there was " + latest);
            }
            Thread.onSpinWait();
            latest = probe.get();
        }
        return latest;
    }

    /** Waits until so many jobs are unfinished, and gives them. */
    List<JobView> awaitJobs(int count) {
        return await(count + " jobs under way", jobs::unfinished, list -> list.size() == count);
    }

    void finish(JobId job, double loss) {
        finish(job, "[{\"steps\": 1, \"loss\": " + loss + "}]");
    }

    void finish(JobId job, String metrics) {
        jobs.start(job);
        files.leave(job, TrialMetrics.FILE, metrics);
        jobs.end(job, JobState.FINISHED, "every worker ended with exit code 0");
    }

    @Override
    public void close() {
        searcher.close();
    }
}
