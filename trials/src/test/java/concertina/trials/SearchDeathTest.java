package concertina.trials;

import static org.assertj.core.api.Assertions.assertThat;

import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import concertina.model.JobId;
import concertina.train.JobView;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The server dies at random moments of a search: none of its trials is lost, none runs twice, and the same points are tried. */
class SearchDeathTest {
    private static final int TRIALS = 40;
    private static final int PARALLEL = 5;

    @TempDir
    Path folder;

    @ParameterizedTest(name = "seed {0}")
    @ValueSource(longs = {1, 2, 3, 4, 5, 6, 7, 8})
    void noTrialIsLostNoneIsRepeated(long seed) {
        Random random = new Random(seed);
        try (SearchScene scene = new SearchScene(folder)) {
            scene.searcher.create("s", SearchScene.ADA, SearchScene.spec(TRIALS, PARALLEL));
            Set<JobId> finished = new HashSet<>();
            while (finished.size() < TRIALS) {
                if (random.nextInt(4) == 0) {
                    scene.kill();
                    finishSome(scene, random, finished);
                    scene.revive();
                } else {
                    SearchScene.await("a job", scene.jobs::unfinished, jobs -> !jobs.isEmpty());
                    finishSome(scene, random, finished);
                }
                assertThat(scene.jobs.unfinished().size()).isLessThanOrEqualTo(PARALLEL);
            }
            SearchView over = scene.await("the end", view -> !view.state().active());

            assertThat(over.complete()).isEqualTo(TRIALS);
            assertThat(over.failed())
                    .as(() -> over.trials().stream()
                            .map(TrialView::reason)
                            .toList()
                            .toString())
                    .isZero();
            assertThat(scene.jobs.submitted())
                    .as("submissions")
                    .doesNotHaveDuplicates()
                    .hasSize(TRIALS);
            assertThat(over.trials()).extracting(TrialView::job).containsExactlyInAnyOrderElementsOf(finished);
            assertThat(over.trials())
                    .as("every trial has the result of its own job")
                    .allSatisfy(trial -> assertThat(trial.value()).isEqualTo(value(trial.job())));
        }
    }

    /** Users stop, restart and delete it meanwhile, and the clock is set back and forth. */
    @ParameterizedTest(name = "seed {0}")
    @ValueSource(longs = {1, 2, 3, 4, 5, 6, 7, 8})
    void nothingIsLeftThatNobodyLeads(long seed) {
        Random random = new Random(seed);
        try (SearchScene scene = new SearchScene(folder)) {
            create(scene);
            for (int step = 0; step < 60; step++) {
                switch (random.nextInt(8)) {
                    case 0 -> scene.kill();
                    case 1 -> tried(() -> scene.searcher.stop("s", SearchScene.ADA, SearchScene.ADA));
                    case 2 -> tried(() -> scene.searcher.restart("s", SearchScene.ADA, SearchScene.ADA));
                    case 3 -> {
                        scene.searcher.delete("s", SearchScene.ADA, SearchScene.ADA);
                        if (random.nextBoolean()) {
                            scene.kill();
                            scene.revive();
                        }
                        create(scene);
                    }
                    case 4 -> scene.clock.advance(Duration.ofMinutes(random.nextInt(-600, 600)));
                    default -> finishSome(scene, random, new HashSet<>());
                }
                if (!scene.alive()) {
                    finishSome(scene, random, new HashSet<>());
                    scene.revive();
                }
            }
            tried(() -> scene.searcher.restart("s", SearchScene.ADA, SearchScene.ADA));
            while (scene.view().state().active()) {
                finishSome(scene, random, new HashSet<>());
            }

            SearchView over = scene.view();
            assertThat(over.state()).isEqualTo(SearchState.FINISHED);
            assertThat(over.trials())
                    .hasSize(TRIALS)
                    .allSatisfy(trial -> assertThat(trial.value()).isEqualTo(value(trial.job())));
            SearchScene.await("no job under way", scene.jobs::unfinished, List::isEmpty);
            SearchScene.await("nothing left", scene.journal::names, names -> names.equals(Set.of("s")));
            SearchScene.await("nobody to be followed", () -> scene.searcher.followed(), count -> count == 0);
        }
    }

    private static void create(SearchScene scene) {
        scene.searcher.create("s", SearchScene.ADA, SearchScene.spec(TRIALS, PARALLEL));
    }

    private static void tried(Runnable command) {
        try {
            command.run();
        } catch (ConcertinaException refused) {
            assertThat(refused.code()).isEqualTo(ErrorCode.CONFLICT);
        }
    }

    private static void finishSome(SearchScene scene, Random random, Set<JobId> finished) {
        List<JobView> open = scene.jobs.unfinished();
        for (JobView job : open) {
            if (random.nextBoolean()) {
                finished.add(job.id());
                scene.finish(job.id(), value(job.id()));
            }
        }
    }

    private static double value(JobId job) {
        return job.value().hashCode();
    }
}
