package concertina.trials;

import static org.assertj.core.api.Assertions.assertThat;

import concertina.search.Suggestion;
import concertina.search.Trial;
import concertina.search.Value;
import java.nio.file.Path;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Algorithms whose next point depends on how often they were asked, as that of a plug-in may. */
class SavingSamplerTest {
    @TempDir
    Path folder;

    private final CountDownLatch thinks = new CountDownLatch(1);
    private final CountDownLatch mayAnswer = new CountDownLatch(1);
    private final CountDownLatch dismissed = new CountDownLatch(1);
    private volatile boolean broken;

    /** Which question it thinks about. */
    private volatile long hard = 2;

    /** Whether it can be interrupted while it thinks. */
    private volatile boolean interruptible;

    private volatile Runnable whenClosed = () -> {};
    private SearchScene scene;

    @BeforeEach
    void begin() {
        scene = new SearchScene(folder);
        scene.samplersOfItsOwn = (spec, saved) -> new Counting(saved);
    }

    @AfterEach
    void end() {
        scene.close();
    }

    /** Proposes 1, 2, 3 and so on, and thinks about one of them as long as the test wants. */
    private final class Counting implements SavingSampler {
        private long count;

        Counting(@Nullable String saved) {
            count = saved == null ? 0 : Long.parseLong(saved);
        }

        @Override
        public Optional<Suggestion> ask(long number) {
            count++;
            if (count == hard) {
                thinks.countDown();
                try {
                    assertThat(mayAnswer.await(20, TimeUnit.SECONDS)).isTrue();
                } catch (InterruptedException interrupted) {
                    Thread.currentThread().interrupt();
                }
                if (broken) {
                    throw new IllegalStateException("its process has ended");
                }
            }
            return Optional.of(new Suggestion(SearchScene.point(0.5, count), "number " + count));
        }

        @Override
        public void tell(Trial trial) {}

        @Override
        public String saved() {
            return Long.toString(count);
        }

        @Override
        public void cancel() {
            if (interruptible) {
                broken = true;
                mayAnswer.countDown();
            }
        }

        @Override
        public void close() {
            dismissed.countDown();
            whenClosed.run();
        }
    }

    /** A search of so many trials side by side whose algorithm has been asked and does not answer yet. */
    private void createUntilItThinks(int parallel) throws InterruptedException {
        scene.searcher.create("s", SearchScene.ADA, SearchScene.spec(8, parallel));
        assertThat(thinks.await(20, TimeUnit.SECONDS)).isTrue();
    }

    @Test
    void anAlgorithmWhoseProcessEndsBecauseTheServerClosesHasNotFailed() throws InterruptedException {
        createUntilItThinks(2);
        scene.searcher.close();
        broken = true;
        mayAnswer.countDown();
        assertThat(dismissed.await(20, TimeUnit.SECONDS)).isTrue();
        broken = false;

        scene.revive();

        SearchView view = scene.await("the second", search -> search.trials().size() == 2);
        assertThat(view.state().active()).isTrue();
        assertThat(view.trials().get(1).point().get("n")).isEqualTo(new Value.Whole(2));
    }

    @Test
    void anAlgorithmThatThinksIsInterruptedWhenItsSearchIsStopped() throws InterruptedException {
        interruptible = true;
        createUntilItThinks(2);
        scene.searcher.stop("s", SearchScene.ADA, SearchScene.ADA);
        scene.awaitJobs(0);
        broken = false;

        scene.searcher.restart("s", SearchScene.ADA, SearchScene.ADA);

        SearchView view = scene.await("the second", search -> search.trials().size() == 2);
        assertThat(view.trials().get(1).point().get("n")).isEqualTo(new Value.Whole(2));
        assertThat(scene.journal.events("s")).noneMatch(SearchEvent.Closing.class::isInstance);
    }

    @Test
    void anAlgorithmThatThinksIsInterruptedWhenItsSearchIsDeleted() throws InterruptedException {
        interruptible = true;
        createUntilItThinks(2);

        scene.searcher.delete("s", SearchScene.ADA, SearchScene.ADA);

        scene.awaitJobs(0);
        SearchScene.await("nothing to be left", scene.journal::names, Set::isEmpty);
    }

    @Test
    void aSearchThatIsStoppedAndRestartedBeforeItsFirstTrialBeginsGoesOn() throws InterruptedException {
        CountDownLatch mayClose = new CountDownLatch(1);
        hard = 1;
        whenClosed = () -> {
            try {
                assertThat(mayClose.await(20, TimeUnit.SECONDS)).isTrue();
            } catch (InterruptedException interrupted) {
                Thread.currentThread().interrupt();
            }
        };
        createUntilItThinks(1);
        scene.searcher.stop("s", SearchScene.ADA, SearchScene.ADA);
        mayAnswer.countDown();
        assertThat(dismissed.await(20, TimeUnit.SECONDS)).isTrue();
        scene.searcher.restart("s", SearchScene.ADA, SearchScene.ADA);
        mayClose.countDown();

        scene.awaitJobs(1);
        assertThat(scene.view().state().active()).isTrue();
    }

    @Test
    void aPointThatComesTooLateBecauseTheSearchWasStoppedIsNotLost() throws InterruptedException {
        createUntilItThinks(2);
        scene.jobs.stopsLate = true;
        scene.searcher.stop("s", SearchScene.ADA, SearchScene.ADA);
        mayAnswer.countDown();
        SearchScene.await("the job to be told", scene.jobs::toldToStop, told -> !told.isEmpty());

        scene.searcher.restart("s", SearchScene.ADA, SearchScene.ADA);

        SearchView view = scene.await("the second", search -> search.trials().size() == 2);
        assertThat(view.trials().get(1).point().get("n")).isEqualTo(new Value.Whole(2));
    }
}
