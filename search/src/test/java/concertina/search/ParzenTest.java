package concertina.search;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
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
}
