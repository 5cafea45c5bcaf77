package concertina.trials;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import concertina.model.ConcertinaException;
import concertina.search.Parameter;
import concertina.search.Trial;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class WarmStartTest extends SceneTest {
    private static final Objective LOSS = new Objective("loss", false);

    /** A search named old whose trials left this. */
    private SearchView old(SearchSpec spec, String... metrics) {
        scene.searcher.create("old", SearchScene.ADA, spec);
        for (String left : metrics) {
            scene.finish(scene.awaitJobs(1).getFirst().id(), left);
        }
        return SearchScene.await(
                "the end of the old one",
                () -> scene.searcher.find("old").orElseThrow(),
                view -> !view.state().active());
    }

    private SearchView old(String... metrics) {
        return old(SearchScene.spec(metrics.length, 1), metrics);
    }

    private static SearchSpec within(SearchSpec spec, double most) {
        return new SearchSpec(
                spec.algorithm(),
                Map.of(),
                List.of(new Parameter.Real("x", 0, most), new Parameter.Whole("n", 1, 8)),
                List.of(),
                "",
                spec.objectives(),
                spec.constraints(),
                Map.of(),
                1,
                1,
                -1,
                3,
                null,
                new StopWhenConverged(1, 0),
                spec.job(),
                null,
                "{}");
    }

    @Test
    void theAlgorithmIsToldFirstWhatEarlierSearchesFoundAlsoOnceTheyAreGone() {
        SearchView old = old("{\"loss\": 3}", "{\"loss\": 2}", "{\"loss\": \"none\"}");
        SearchView begun = scene.searcher.create("s", SearchScene.ADA, SearchScene.spec(2, 1), List.of(old));
        assertThat(begun.warmStart().searches()).containsExactly("old");
        assertThat(begun.warmStart().trials()).hasSize(2);
        assertThat(begun.warmStart().leftOut()).isZero();
        scene.finish(scene.awaitJobs(1).getFirst().id(), 1.5);
        scene.await("the first trial's end", view -> view.complete() == 1);
        scene.awaitJobs(1);
        List<Trial> told = List.copyOf(scene.samplers.getLast().told);

        scene.searcher.delete("old", SearchScene.ADA, SearchScene.ADA);
        scene.kill();
        scene.revive();
        scene.finish(scene.awaitJobs(1).getFirst().id(), 1.0);
        SearchView over = scene.await("the end", view -> !view.state().active());

        List<Trial> again = scene.samplers.getLast().told;
        assertThat(again).startsWith(told.toArray(Trial[]::new));
        assertThat(told).extracting(Trial::number).startsWith(-1L, -1L, -2L, -2L, 0L);
        assertThat(told.getFirst().state()).isEqualTo(new Trial.State.Running());
        assertThat(told.getFirst().point()).isEqualTo(old.trials().getFirst().point());
        assertThat(told.get(3).state()).isEqualTo(new Trial.State.Complete(new double[] {2}, new double[0]));
        assertThat(over.trials()).hasSize(2);
        assertThat(over.best().value()).as("of its own trials").isEqualTo(1);
        assertThat(over.warmStart()).isEqualTo(begun.warmStart());
    }

    @Test
    void pointsOutsideTheNewSpaceAreLeftOutAndCounted() {
        SearchView old = old("{\"loss\": 3}", "{\"loss\": 2}", "{\"loss\": 1}", "{\"loss\": 4}");
        double middle = old.trials().stream()
                .mapToDouble(trial -> Double.parseDouble(trial.point().get("x").text()))
                .sorted()
                .skip(1)
                .findFirst()
                .orElseThrow();

        WarmStart warm = WarmStart.of(within(old.spec(), middle), List.of(old));

        assertThat(warm.trials()).hasSize(2);
        assertThat(warm.leftOut()).isEqualTo(2);
    }

    @Test
    void aConstraintIsAppliedToWhatTheEarlierTrialReported() {
        SearchView old = old("{\"loss\": 3, \"accuracy\": 0.5}", "{\"loss\": 2}");
        SearchSpec spec = SearchScene.spec(List.of(LOSS), List.of(new Constraint("accuracy", 0.75, true)), 1, 1);

        WarmStart warm = WarmStart.of(spec, List.of(old));

        assertThat(warm.leftOut()).as("did not report it").isEqualTo(1);
        assertThat(warm.told(spec).getLast().state())
                .isEqualTo(new Trial.State.Complete(new double[] {3}, new double[] {0.25}));
    }

    @Test
    void aSearchThatConvergesLooksAtItsOwnTrialsAlone() {
        SearchView old = old("{\"loss\": 1}", "{\"loss\": 1}", "{\"loss\": 1}");
        scene.searcher.create("s", SearchScene.ADA, within(old.spec(), 1), List.of(old));
        scene.finish(scene.awaitJobs(1).getFirst().id(), 5);
        assertThat(scene.await("the end", view -> !view.state().active()).reason())
                .isEqualTo("all 1 trials were tried");
    }

    @Test
    void anEarlierSearchThatWasAfterSomethingElseIsRefused() {
        SearchView old = old("{\"loss\": 1}");
        assertThatThrownBy(() -> WarmStart.of(
                        SearchScene.spec(List.of(new Objective("loss", true)), List.of(), 1, 1), List.of(old)))
                .isInstanceOf(ConcertinaException.class)
                .hasMessageContaining(
                        "algoDef.warmStart is 'old, which is to minimize loss', accepted: a search that is to maximize loss");
        assertThatThrownBy(() -> WarmStart.of(
                        SearchScene.spec(List.of(LOSS), List.of(new Constraint("memory", 1, false)), 1, 1),
                        List.of(old)))
                .hasMessageContaining("old, which does not know memory");
    }
}
