package concertina.trials;

import static org.assertj.core.api.Assertions.assertThat;

import concertina.search.Suggestion;
import concertina.search.Trial;
import concertina.search.Value;
import java.nio.file.Path;
import java.util.Optional;
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

    /** Proposes 1, 2, 3 and so on, and thinks about the second as long as the test wants. */
    private final class Counting implements SavingSampler {
        private long count;

        Counting(@Nullable String saved) {
            count = saved == null ? 0 : Long.parseLong(saved);
        }

        @Override
        public Optional<Suggestion> ask(long number) {
            count++;
            if (count == 2) {
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
        public void close() {
            dismissed.countDown();
        }
    }

    @Test
    void anAlgorithmWhoseProcessEndsBecauseTheServerClosesHasNotFailed() throws InterruptedException {
        scene.searcher.create("s", SearchScene.ADA, SearchScene.spec(8, 2));
        assertThat(thinks.await(20, TimeUnit.SECONDS)).isTrue();
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
    void aPointThatComesTooLateBecauseTheSearchWasStoppedIsNotLost() throws InterruptedException {
        scene.searcher.create("s", SearchScene.ADA, SearchScene.spec(8, 2));
        assertThat(thinks.await(20, TimeUnit.SECONDS)).isTrue();
        scene.jobs.stopsLate = true;
        scene.searcher.stop("s", SearchScene.ADA);
        mayAnswer.countDown();
        SearchScene.await("the job to be told", scene.jobs::toldToStop, told -> !told.isEmpty());

        scene.searcher.restart("s", SearchScene.ADA);

        SearchView view = scene.await("the second", search -> search.trials().size() == 2);
        assertThat(view.trials().get(1).point().get("n")).isEqualTo(new Value.Whole(2));
    }
}
