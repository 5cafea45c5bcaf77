package concertina.search;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import concertina.search.Parameter.Scale;
import concertina.search.Parameter.Whole;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class EvolutionTest {
    private static List<double[]> steps(double[]... steps) {
        return List.of(steps);
    }

    private static void check(Evolution evolution, double[] mean, double... deviations) {
        assertThat(evolution.mean()).containsExactly(mean, within(1e-9));
        for (int j = 0; j < deviations.length; j++) {
            assertThat(evolution.deviation(j)).isCloseTo(deviations[j], within(1e-9));
        }
    }

    /** Expected numbers come from the tutorial's formulas, written down a second time with NumPy. */
    @Test
    void aGenerationChangesMeanStepAndCovarianceAsTheTutorialSays() {
        Evolution evolution = new Evolution(new double[] {0.5, 0.5}, 0.05, 6);
        evolution.learn(steps(new double[][] {{.9, .4}, {.2, -.7}, {-.3, 1.1}, {.5, .5}, {-1.2, .3}, {.1, -1.4}}), 6);
        check(
                evolution,
                new double[] {0.5303368107104238, 0.5070921868371344},
                0.04281237011288978,
                0.03902726296645947);
        evolution.learn(steps(new double[][] {{1.5, -.2}, {.7, .6}, {.4, -.9}, {-.6, -.8}, {.3, .2}, {-1.1, .9}}), 2);
        check(
                evolution,
                new double[] {0.585527088578752, 0.5091632573232144},
                0.06200641698853126,
                0.041638699332362965);
        // So long a path that the covariance does not follow it.
        evolution.learn(steps(new double[][] {{4, 3}, {3.5, 3.2}, {3, 3}, {.2, .1}, {-.5, .4}, {.3, -.6}}), 6);
        check(
                evolution,
                new double[] {0.7821284755451862, 0.6681845410203039},
                0.2147358529534469,
                0.14840973507728675);
    }

    /** Place of the mean, and how likely a coordinate is in the cells below and above that of the mean. */
    private static double[] sides(Whole whole, double mean, double s) {
        Value here = Space.decode(whole, mean);
        double low = mean;
        double high = mean;
        for (double step = 0.5; step > 1e-12; step /= 2) {
            low -= low - step >= 0 && Space.decode(whole, low - step).equals(here) ? step : 0;
            high += high + step <= 1 && Space.decode(whole, high + step).equals(here) ? step : 0;
        }
        return new double[] {
            here.equals(new Value.Whole(whole.low())) ? Double.NaN : Normal.probability((low - mean) / s),
            here.equals(new Value.Whole(whole.high())) ? Double.NaN : Normal.probability((mean - high) / s)
        };
    }

    @Test
    void marginsLeaveTheNeighboursAChance() {
        long seed = System.nanoTime();
        SplittableRandom random = new SplittableRandom(seed);
        double alpha = 0.05;
        for (Whole whole : List.of(new Whole("n", 0, 9), new Whole("n", 1, 9, Scale.LOG, 1, null))) {
            for (int i = 0; i < 2000; i++) {
                double[] mean = {random.nextDouble()};
                double deviation = Math.pow(10, -5 * random.nextDouble());
                double stretch = Margin.correct(whole, mean, 0, deviation, 1, alpha);
                double[] sides = sides(whole, mean[0], deviation * stretch);
                boolean end = Double.isNaN(sides[0]) || Double.isNaN(sides[1]);
                for (double side : sides) {
                    assertThat(Double.isNaN(side) || side > 0.99 * (end ? alpha : alpha / 2))
                            .as("seed %d: %s at %s, %s", seed, whole, mean[0], deviation)
                            .isTrue();
                }
            }
        }
    }
}
