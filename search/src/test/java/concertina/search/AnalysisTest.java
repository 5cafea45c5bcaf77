package concertina.search;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import concertina.search.Parameter.Choice;
import concertina.search.Parameter.Condition;
import concertina.search.Parameter.Real;
import concertina.search.Parameter.Scale;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import java.util.Set;
import java.util.function.ToDoubleFunction;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class AnalysisTest {
    private static final Space SPACE = new Space(List.of(
            new Real("a", 0, 1),
            new Real("b", 0.01, 100, Scale.LOG),
            new Real("c", -3, 3),
            new Choice("kind", List.of(new Value.Word("x"), new Value.Word("y"), new Value.Word("z"))),
            new Real("only", 0, 1, Scale.LINEAR, 0, new Condition("kind", Set.of(new Value.Word("x"))))));

    private static Analysis of(int trials, ToDoubleFunction<double[]> loss) {
        List<Trial> list = new ArrayList<>();
        for (int i = 0; i < trials; i++) {
            Point point = SPACE.decode(Randomness.of(5, i).doubles(SPACE.size()).toArray());
            list.add(trial(i, point, loss.applyAsDouble(SPACE.encode(point))));
        }
        return new Analysis(SPACE, list, 0);
    }

    private static Trial trial(long number, Point point, double... losses) {
        return new Trial(
                number,
                point,
                OptionalDouble.empty(),
                OptionalLong.empty(),
                new Trial.State.Complete(losses, new double[0]));
    }

    @Test
    void aThousandParametersAreNoMoreThanTheServerCanBear() {
        Space space = new Space(IntStream.range(0, 1000)
                .<Parameter>mapToObj(i -> new Real("p" + i, 0, 1))
                .toList());
        List<Trial> trials = new ArrayList<>();
        for (int i = 0; i < 2000; i++) {
            Point point = space.decode(Randomness.of(5, i).doubles(space.size()).toArray());
            trials.add(trial(i, point, space.encode(point)[7]));
        }
        assertThat(new Analysis(space, trials, 0).importance().getFirst().parameter())
                .isEqualTo("p7");
    }

    private static double share(Analysis analysis, String name) {
        return analysis.importance().stream()
                .filter(importance -> importance.parameter().equals(name))
                .findFirst()
                .orElseThrow()
                .share();
    }

    @Test
    void sharesAreThoseOfAnAdditiveFunction() {
        // Variances of the two terms over the cube: 9/12 and 1/12.
        Analysis analysis = of(1000, u -> 3 * u[0] + u[1]);
        assertThat(share(analysis, "a")).isCloseTo(0.9, within(0.05));
        assertThat(share(analysis, "b")).isCloseTo(0.1, within(0.05));
        assertThat(share(analysis, "c")).isLessThan(0.02);
        assertThat(analysis.importance().getFirst().parameter()).isEqualTo("a");
    }

    @Test
    void neitherScaleNorOffsetOfTheLossMatters() {
        double share = share(of(300, u -> 3 * u[0] + u[1]), "b");
        for (double scale : new double[] {1e-200, 1e-9, 1e100, 1e300}) {
            Analysis analysis = of(300, u -> scale * (3 * u[0] + u[1]));
            assertThat(share(analysis, "b")).as("times %s", scale).isCloseTo(share, within(1e-3));
            assertThat(analysis.contour("a", "b", 10).loss()[9][9] / scale).isCloseTo(3.8, within(0.4));
        }
        Analysis far = of(300, u -> 1e9 + 3 * u[0] + u[1]);
        assertThat(share(far, "b")).isCloseTo(share, within(1e-3));
        assertThat(far.contour("a", "b", 10).loss()[9][9]).isCloseTo(1e9 + 3.8, within(0.4));
    }

    @Test
    void aPureInteractionIsNobodysOwn() {
        Analysis analysis = of(1000, u -> (u[0] - 0.5) * (u[2] - 0.5));
        assertThat(share(analysis, "a") + share(analysis, "c")).isLessThan(0.25);
    }

    @Test
    void aChoiceIsImportantToo() {
        assertThat(share(of(300, u -> u[3] > 0.6 ? 1 : 0), "kind")).isGreaterThan(0.9);
    }

    @Test
    void aConstantLossMakesNothingImportant() {
        assertThat(of(50, u -> 1).importance()).allMatch(importance -> importance.share() == 0);
    }

    @Test
    void aContourFollowsTheFunction() {
        Analysis analysis = of(1000, u -> u[0] + 2 * u[1]);
        Analysis.Contour contour = analysis.contour("a", "b", 10);
        assertThat(contour.x()).hasSize(10);
        assertThat(contour.loss()[0][0]).isCloseTo(0.15, within(0.2));
        assertThat(contour.loss()[9][9]).isCloseTo(2.85, within(0.2));
        assertThat(contour.loss()[9][0]).isCloseTo(1.05, within(0.2));
        assertThat(contour.loss()[0][9]).isCloseTo(1.95, within(0.2));
        assertThat(analysis.contour("kind", "a", 10).x())
                .containsExactly(new Value.Word("x"), new Value.Word("y"), new Value.Word("z"));
    }

    @Test
    void aSliceHoldsTheTrialsThatHaveTheParameter() {
        Analysis analysis = of(90, u -> u[0]);
        assertThat(analysis.slice("a").dots()).hasSize(90);
        assertThat(analysis.slice("only").dots()).hasSizeBetween(10, 60);
        assertThat(analysis.improvements().getLast().loss())
                .isEqualTo(analysis.outcomes().stream()
                        .mapToDouble(Analysis.Outcome::loss)
                        .min()
                        .orElseThrow());
    }

    @Test
    void unknownNamesAndTooFewTrialsAreRefused() {
        Analysis analysis = of(5, u -> u[0]);
        assertThatThrownBy(() -> analysis.slice("d"))
                .hasMessage("parameter is 'd', accepted: one of a, b, c, kind, only");
        assertThatThrownBy(() -> analysis.contour("a", "a", 10)).hasMessageContaining("another parameter");
        assertThatThrownBy(() -> analysis.contour("a", "b", 1)).hasMessageContaining("2 to 200");
        assertThatThrownBy(() -> of(1, u -> 0).importance()).hasMessageContaining("2 or more");
    }

    private static Trial infeasible(long number, Point point, double... losses) {
        return new Trial(
                number,
                point,
                OptionalDouble.empty(),
                OptionalLong.empty(),
                new Trial.State.Complete(losses, new double[] {0.1}));
    }

    @Test
    void improvementsComeByNumberAndWhatMissesAConstraintIsNone() {
        Point point = SPACE.decode(new double[SPACE.size()]);
        Analysis analysis = new Analysis(
                SPACE, List.of(trial(4, point, 2), trial(0, point, 5), infeasible(1, point, 0), trial(3, point, 3)), 0);
        assertThat(analysis.improvements())
                .containsExactly(
                        new Analysis.Improvement(0, 5), new Analysis.Improvement(3, 3), new Analysis.Improvement(4, 2));
    }

    @Test
    void ofVeryManyTrialsAnEvenSelectionCounts() {
        Space space = new Space(List.of(new Real("a", 0, 1)));
        List<Trial> trials = new ArrayList<>();
        for (int i = 0; i < 4000; i++) {
            Point point = space.decode(new double[] {(i * 0.618034) % 1});
            trials.add(trial(i, point, i < 2000 ? 0 : space.encode(point)[0] > 0.5 ? 1 : 0));
        }
        Analysis analysis = new Analysis(space, trials, 0);
        assertThat(analysis.importance().getFirst().share()).isGreaterThan(0.1);
    }

    @Test
    void aContourHasAStepInTheRightColumn() {
        double[][] loss =
                of(1000, u -> u[0] < 0.43 ? 0 : 1).contour("a", "c", 10).loss();
        assertThat(loss[3][5]).isCloseTo(0, within(0.1));
        assertThat(loss[4][5]).isCloseTo(1, within(0.1));
    }

    @Test
    void theFrontIsWhatNothingDominates() {
        Point point = SPACE.decode(new double[SPACE.size()]);
        assertThat(Analysis.paretoFront(List.of(
                        trial(0, point, 1, 4),
                        trial(1, point, 2, 2),
                        trial(2, point, 3, 3),
                        trial(3, point, 4, 1),
                        infeasible(4, point, 0, 0))))
                .containsExactly(0L, 1L, 3L);
    }

    @Test
    void aSearchHasConvergedWhenNothingImproves() {
        Point point = SPACE.decode(new double[SPACE.size()]);
        Convergence convergence = new Convergence(3, 0.01);
        double[] losses = {5, 4, 3.99, 3.98, 4};
        for (int i = 0; i < losses.length; i++) {
            assertThat(convergence.converged()).isFalse();
            convergence.tell(trial(i, point, losses[i]));
        }
        assertThat(convergence.converged()).isTrue();
        assertThat(convergence.reason()).contains("in 3 completed trials");
    }

    @Test
    void toleranceIsAShareOfTheMagnitudeAndOnlyFeasibleTrialsCount() {
        Point point = SPACE.decode(new double[SPACE.size()]);
        Convergence convergence = new Convergence(2, 0.01);
        convergence.tell(trial(0, point, -100));
        convergence.tell(trial(1, point, -100.9));
        convergence.tell(new Trial(
                2,
                point,
                OptionalDouble.empty(),
                OptionalLong.empty(),
                new Trial.State.Complete(new double[] {-500}, new double[] {1})));
        assertThat(convergence.converged()).isFalse();
        convergence.tell(trial(3, point, -100.9));
        assertThat(convergence.converged()).isTrue();
    }
}
