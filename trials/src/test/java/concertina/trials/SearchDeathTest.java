package concertina.trials;

import static org.assertj.core.api.Assertions.assertThat;

import concertina.model.JobId;
import concertina.train.JobView;
import java.nio.file.Path;
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
