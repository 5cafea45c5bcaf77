package concertina.search;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

class ParzenTest {
    private static final int WORDS = 5;
    private static final int DRAWS = 200_000;

    private static final Space SPACE = new Space(List.of(new Parameter.Choice(
            "word",
            IntStream.range(0, WORDS)
                    .<Value>mapToObj(word -> new Value.Word("w" + word))
                    .toList())));

    private static double[] at(int word) {
        return new double[] {(word + 0.5) / WORDS};
    }

    @Test
    void theDensityOfWordsIsThatFromWhichTheyAreDrawn() {
        Parzen density = Parzen.of(SPACE, List.of(at(0), at(0), at(3)), 1);
        double[] share = new double[WORDS];
        SplittableRandom random = new SplittableRandom(7);
        for (int i = 0; i < DRAWS; i++) {
            share[(int) (density.draw(random)[0] * WORDS)] += 1.0 / DRAWS;
        }
        double other = 1.0 / (3 + WORDS);
        double same = 1 - (WORDS - 1) * other;
        double[] expected = {
            (2 * same + other + 1.0 / WORDS) / 4,
            (3 * other + 1.0 / WORDS) / 4,
            (3 * other + 1.0 / WORDS) / 4,
            (same + 2 * other + 1.0 / WORDS) / 4,
            (3 * other + 1.0 / WORDS) / 4
        };
        for (int word = 0; word < WORDS; word++) {
            assertThat(share[word]).as("draws of word %d", word).isCloseTo(expected[word], within(0.005));
            assertThat(Math.exp(density.logDensity(at(word))) / WORDS)
                    .as("density of word %d", word)
                    .isCloseTo(expected[word], within(1e-12));
        }
    }

    private static final Space NUMBERS =
            new Space(List.of(new Parameter.Real("x", 0, 1), new Parameter.Real("y", 0, 1)));

    private static final Parameter.Choice KIND =
            new Parameter.Choice("kind", List.of(new Value.Word("a"), new Value.Word("b")));

    /** The second exists only for the first word, the last for the other; the third has few values. */
    private static final Space BRANCHES = new Space(List.of(
            KIND,
            new Parameter.Real(
                    "only-a",
                    0,
                    1,
                    Parameter.Scale.LINEAR,
                    0,
                    new Parameter.Condition("kind", Set.of(new Value.Word("a")))),
            new Parameter.Whole("few", 1, 4),
            new Parameter.Choice(
                    "only-b",
                    List.of(new Value.Word("x"), new Value.Word("y"), new Value.Word("z")),
                    false,
                    new Parameter.Condition("kind", Set.of(new Value.Word("b"))))));

    /** By the middles of small boxes; what does not exist is left out. */
    private static double integral(Space space, Parzen density, int... boxes) {
        double sum = 0;
        int count = Arrays.stream(boxes).reduce(1, (a, b) -> a * b);
        for (int box = 0; box < count; box++) {
            double[] u = new double[boxes.length];
            int rest = box;
            for (int j = 0; j < u.length; j++) {
                u[j] = (rest % boxes[j] + 0.5) / boxes[j];
                rest /= boxes[j];
            }
            sum += Math.exp(density.logDensity(space.encode(space.decode(u)))) / count;
        }
        return sum;
    }

    @Test
    void densitiesSumToOneAtBordersAndInBranches() {
        Parzen numbers =
                Parzen.of(NUMBERS, List.of(new double[] {0.01, 0.5}, new double[] {0.99, 1}, new double[] {0.3, 0}), 1);
        assertThat(integral(NUMBERS, numbers, 200, 200)).isCloseTo(1, within(1e-3));
        Parzen branches = Parzen.of(
                BRANCHES,
                List.of(
                        new double[] {0.25, 0.02, 0.125, Double.NaN},
                        new double[] {0.75, Double.NaN, 0.875, 0.5},
                        new double[] {0.75, Double.NaN, 0.875, 0.5}),
                1);
        assertThat(integral(BRANCHES, branches, 2, 500, 4, 3)).isCloseTo(1, within(1e-3));
    }

    @Test
    void kernelsAreAsWideAsScottsRuleWithASmallerFactorSays() {
        Parzen density = Parzen.of(
                NUMBERS, Stream.generate(() -> new double[] {0.5, 0.5}).limit(9).toList(), 1);
        double width = 0.4 * Math.sqrt(1.0 / 12 / 10) * Math.pow(10, -1.0 / 6);
        double height = 1 / (Math.sqrt(2 * Math.PI) * width);
        assertThat(Math.exp(density.logDensity(new double[] {0.5, 0.5})))
                .isCloseTo((9 * height * height + 1) / 10, within(1e-6));
    }
}
