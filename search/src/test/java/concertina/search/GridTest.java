package concertina.search;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import concertina.search.Trial.State;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;

class GridTest extends SamplerContract {
    @Override
    protected Sampler sampler(Space space, long seed) {
        return new Grid(
                space,
                Map.of(
                        "x", 5, "rate", 3, "y", 4, "width", 3, "only-a", 4, "deep", 3, "always", 5, "fixed", 1, "free",
                        30));
    }

    @Override
    protected boolean seeded() {
        return false;
    }

    private static List<Point> walk(Sampler sampler) {
        List<Point> points = new ArrayList<>();
        for (Optional<Suggestion> next = sampler.ask(0); next.isPresent(); next = sampler.ask(points.size())) {
            Trial trial = running(points.size(), next.get());
            points.add(trial.point());
            sampler.tell(trial);
            sampler.tell(ended(trial, new State.Failed()));
        }
        assertThat(sampler.exhausted()).isTrue();
        return points;
    }

    @Test
    void everyPointComesOnceAndNoConditionIsMultipliedOut() {
        List<Point> points = walk(new Grid(FINITE));
        assertThat(points).hasSize(FINITE_POINTS).doesNotHaveDuplicates();
        points.forEach(FINITE::check);
    }

    @Test
    void theLastParameterChangesFastestAndBordersBelongToIt() {
        Space space = new Space(List.of(new Parameter.Whole("a", 1, 2), new Parameter.Real("b", 0, 1)));
        assertThat(walk(new Grid(space, Map.of("b", 3))).stream()
                        .map(point -> point.values().values().stream()
                                .map(Value::text)
                                .toList()))
                .containsExactly(
                        List.of("1", "0.0"),
                        List.of("1", "0.5"),
                        List.of("1", "1.0"),
                        List.of("2", "0.0"),
                        List.of("2", "0.5"),
                        List.of("2", "1.0"));
    }

    @Test
    void pointsToldFromElsewhereAreLeftOut() {
        Grid grid = new Grid(FINITE);
        List<Point> all = walk(new Grid(FINITE));
        for (int i : new int[] {70, 3, 0, 1, 40}) {
            grid.tell(
                    new Trial(1000 + i, all.get(i), OptionalDouble.empty(), OptionalLong.empty(), new State.Failed()));
        }
        List<Point> rest = walk(grid);
        assertThat(rest).hasSize(FINITE_POINTS - 5);
        assertThat(new HashSet<>(rest)).doesNotContain(all.get(0), all.get(1), all.get(3), all.get(40), all.get(70));
    }

    @Test
    void aPointBesideTheStepsIsNoneOfTheGrid() {
        Space space = new Space(List.of(new Parameter.Real("x", 0, 1, Parameter.Scale.LINEAR, 0.1, null)));
        Grid grid = new Grid(space);
        for (double x : new double[] {0.04, 0.16, 0.1 + 0.2}) {
            grid.tell(new Trial(
                    (long) (100 * x),
                    new Point(Map.of("x", new Value.Real(x))),
                    OptionalDouble.empty(),
                    OptionalLong.empty(),
                    new State.Failed()));
        }
        assertThat(walk(grid).stream().map(point -> Space.number(point.values().get("x"))))
                .containsExactly(0.0, 0.1, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0);
    }

    @Test
    void aContinuumNeedsAResolution() {
        assertThatThrownBy(() -> new Grid(CONTINUOUS))
                .hasMessage("step of x is '', accepted: more than 0, so that the values can be counted");
        assertThatThrownBy(() -> new Grid(CONTINUOUS, Map.of("x", 0)))
                .hasMessage("resolution of x is '0', accepted: 1 or more");
    }

    @Test
    void stepsAreTheSameNumbersAsEverywhere() {
        Space space = new Space(List.of(new Parameter.Real("rate", 0.001, 0.1, Parameter.Scale.LINEAR, 0.002, null)));
        assertThat(walk(new Grid(space)))
                .hasSize(50)
                .allSatisfy(
                        point -> assertThat(space.decode(space.encode(point))).isEqualTo(point));
    }
}
