package concertina.search;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import concertina.search.StandardFunctions.Problem;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.function.Function;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class StandardFunctionsTest {
    /** Textbook places of the minima, as values in the order of the parameters; words as they are. */
    private static final List<Known> KNOWN = List.of(
            new Known(StandardFunctions.BRANIN, Math.PI, 2.275),
            new Known(StandardFunctions.HARTMANN_6, 0.20169, 0.150011, 0.476874, 0.275332, 0.311652, 0.6573),
            new Known(StandardFunctions.ROSENBROCK_5, repeat(5, 1)),
            new Known(StandardFunctions.ROSENBROCK_20, repeat(20, 1)),
            new Known(StandardFunctions.ACKLEY_10, repeat(10, 0)),
            new Known(StandardFunctions.MIXED_ACKLEY, 0.0, 0.0, 0L, 0L, "a"),
            new Known(StandardFunctions.MIXED_NETWORK, Math.pow(10, -2.5), 64L, 3L, 256L, "gelu", 0.25),
            new Known(
                    StandardFunctions.CONDITIONAL_FUNCTIONS,
                    "hartmann",
                    0.20169,
                    0.150011,
                    0.476874,
                    0.275332,
                    0.311652,
                    0.6573),
            new Known(
                    StandardFunctions.CONDITIONAL_NETWORK,
                    "sgd",
                    Math.pow(10, -2.1),
                    0.9,
                    Math.pow(10, -3.5),
                    3L,
                    128L,
                    64L,
                    32L));

    private record Known(Problem problem, Object... values) {}

    @Test
    void theMinimumIsWhereItIsSaidToBe() {
        for (Known known : KNOWN) {
            Point best = point(known.problem().space(), known.values());
            known.problem().space().check(best);
            assertThat(known.problem().regret(best)).as(known.problem().name()).isCloseTo(0, within(1e-6));
        }
        assertThat(KNOWN.stream().map(Known::problem)).isEqualTo(StandardFunctions.all());
    }

    @Test
    void nothingIsBelowTheMinimum() {
        long seed = System.nanoTime();
        SplittableRandom random = new SplittableRandom(seed);
        for (Problem problem : StandardFunctions.all()) {
            for (int i = 0; i < 2000; i++) {
                Point point = problem.space()
                        .decode(random.doubles(problem.space().size()).toArray());
                assertThat(problem.regret(point))
                        .as("%s, seed %d", problem.name(), seed)
                        .isGreaterThan(0);
            }
        }
    }

    private static Point point(Space space, Object... values) {
        Map<String, Value> named = new LinkedHashMap<>();
        int next = 0;
        for (Parameter parameter : space.parameters()) {
            if (Space.exists(parameter, named)) {
                named.put(parameter.name(), VALUE.apply(values[next++]));
            }
        }
        return new Point(named);
    }

    private static final Function<Object, Value> VALUE = value -> switch (value) {
        case Double number -> new Value.Real(number);
        case Long number -> new Value.Whole(number);
        default -> new Value.Word(value.toString());
    };

    private static Object[] repeat(int times, double value) {
        return IntStream.range(0, times).mapToObj(i -> value).toArray();
    }
}
