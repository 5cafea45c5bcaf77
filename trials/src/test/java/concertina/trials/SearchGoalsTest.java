package concertina.trials;

import static org.assertj.core.api.Assertions.assertThat;

import concertina.search.Trial;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Several objectives, and constraints. */
class SearchGoalsTest extends SceneTest {
    private static final List<Objective> BOTH = List.of(new Objective("loss", false), new Objective("speed", true));
    private static final List<Constraint> MEMORY = List.of(new Constraint("memory", 16, false));

    private void create(List<Objective> objectives, List<Constraint> constraints, int trials) {
        scene.searcher.create("s", SearchScene.ADA, SearchScene.spec(objectives, constraints, trials, 1));
    }

    private void finish(String metrics) {
        int ended = scene.view().complete();
        scene.finish(scene.awaitJobs(1).getFirst().id(), metrics);
        scene.await("the trial's end", view -> view.complete() > ended);
    }

    private SearchView over() {
        return scene.await("the end", view -> !view.state().active());
    }

    private void restart() {
        scene.kill();
        scene.revive();
    }

    @Test
    void everyObjectiveIsToldAndShownAndTheBestLiesOnTheFront() {
        create(BOTH, List.of(), 3);
        finish("[{\"loss\": 2, \"speed\": 7}, {\"loss\": 1, \"speed\": 3}]");
        finish("{\"loss\": 1, \"speed\": 5}");
        restart();
        finish("{\"loss\": 4, \"speed\": 9}");

        SearchView over = over();

        assertThat(over.trials())
                .extracting(TrialView::values)
                .containsExactly(List.of(1.0, 3.0), List.of(1.0, 5.0), List.of(4.0, 9.0));
        assertThat(over.best().number()).as("as small a loss, and faster").isEqualTo(1);
        assertThat(over.best().value()).isEqualTo(1);
        assertThat(scene.samplers.getLast().told)
                .extracting(Trial::state)
                .contains(
                        new Trial.State.Complete(new double[] {1, -3}, new double[0]),
                        new Trial.State.Complete(new double[] {4, -9}, new double[0]));
    }

    @Test
    void aTrialThatMissesAConstraintIsNotTheBestWhileAnotherMeetsAll() {
        create(List.of(BOTH.getFirst()), MEMORY, 4);
        finish("{\"loss\": 1, \"memory\": 40}");
        assertThat(scene.view().best().number()).isZero();
        finish("{\"loss\": 9, \"memory\": 17}");
        assertThat(scene.view().best().number()).as("misses by less").isEqualTo(1);
        finish("[{\"loss\": 2, \"memory\": 20}, {\"loss\": 7, \"memory\": 16}]");
        restart();
        finish("{\"loss\": 3, \"memory\": 16.5}");

        SearchView over = over();

        assertThat(over.best().number()).isEqualTo(2);
        assertThat(over.best().value()).as("of the entry that counts").isEqualTo(7);
        assertThat(over.trials())
                .extracting(TrialView::violations)
                .containsExactly(List.of(24.0), List.of(1.0), List.of(0.0), List.of(0.5));
        assertThat(over.reason()).isEqualTo("all 4 trials were tried");
        assertThat(scene.samplers.getLast().told)
                .extracting(Trial::state)
                .contains(new Trial.State.Complete(new double[] {1}, new double[] {24}));
    }

    @Test
    void aSearchOfWhichNoTrialMeetsTheConstraintsSaysSo() {
        create(List.of(BOTH.getFirst()), List.of(new Constraint("accuracy", 0.9, true)), 1);
        finish("{\"loss\": 1, \"accuracy\": 0.5}");

        SearchView over = over();

        assertThat(over.state()).isEqualTo(SearchState.FINISHED);
        assertThat(over.reason()).isEqualTo("all 1 trials were tried, and none met all constraints");
        assertThat(over.best().violations()).containsExactly(0.4);
    }
}
