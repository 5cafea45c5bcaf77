package concertina.search;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Arrays;
import java.util.HashSet;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class SobolTest extends SamplerContract {
    @Override
    protected Sampler sampler(Space space, long seed) {
        return new Sobol(space, seed);
    }

    @Test
    void everyCoordinateMeetsEveryCellOnce() {
        SobolSequence sequence = new SobolSequence(SobolSequence.DIMENSIONS, new SplittableRandom(1));
        assertThat(SobolSequence.DIMENSIONS).isEqualTo(64);
        for (int dimension = 0; dimension < SobolSequence.DIMENSIONS; dimension++) {
            boolean[] met = new boolean[1024];
            for (int i = 0; i < 1024; i++) {
                met[(int) (sequence.point(4096 + i)[dimension] * 1024)] = true;
            }
            assertThat(met).as("dimension %d", dimension).doesNotContain(false);
        }
    }

    @Test
    void pairsOfTheFirstCoordinatesMeetEveryBoxOnce() {
        SobolSequence sequence = new SobolSequence(2, new SplittableRandom(2));
        for (int bits = 0; bits <= 8; bits++) {
            boolean[] met = new boolean[256];
            for (int i = 0; i < 256; i++) {
                double[] x = sequence.point(i);
                met[(int) (x[0] * (1 << bits)) << (8 - bits) | (int) (x[1] * (1 << (8 - bits)))] = true;
            }
            assertThat(met).as("%d bits of the first", bits).doesNotContain(false);
        }
    }

    @Test
    void itIsMoreEvenThanRandomPoints() {
        for (int dimensions : new int[] {2, 6, 10}) {
            int count = 256;
            double sobol = 0;
            double random = 0;
            for (int seed = 0; seed < 5; seed++) {
                SobolSequence sequence = new SobolSequence(dimensions, new SplittableRandom(seed));
                SplittableRandom source = new SplittableRandom(100 + seed);
                sobol += discrepancy(
                        IntStream.range(0, count).mapToObj(sequence::point).toArray(double[][]::new));
                random += discrepancy(IntStream.range(0, count)
                        .mapToObj(i -> source.doubles(dimensions).toArray())
                        .toArray(double[][]::new));
            }
            assertThat(sobol).as("%d dimensions", dimensions).isLessThan(0.6 * random);
        }
    }

    @Test
    void seedsGiveDifferentPointsWithTheRightMean() {
        double[] means = new double[16];
        for (int seed = 0; seed < 4000; seed++) {
            double[] x = new SobolSequence(16, Randomness.of(seed, 0)).point(5);
            Arrays.setAll(means, j -> means[j] + x[j] / 4000);
        }
        assertThat(Arrays.stream(means).boxed())
                .allSatisfy(mean -> assertThat(mean).isBetween(0.47, 0.53));
    }

    @Test
    void theScrambleIsMoreThanAShift() {
        Set<Long> differences = new HashSet<>();
        for (int seed = 0; seed < 10; seed++) {
            SobolSequence sequence = new SobolSequence(3, Randomness.of(seed, 0));
            differences.add(bits(sequence.point(0)[2]) ^ bits(sequence.point(1)[2]));
        }
        assertThat(differences).hasSize(10);
    }

    private static long bits(double coordinate) {
        return (long) (coordinate * (1L << 32));
    }

    /** Centred L2 discrepancy (Hickernell 1998, "A generalized discrepancy and quadrature error bound"). */
    private static double discrepancy(double[][] points) {
        int count = points.length;
        int dimensions = points[0].length;
        double single = 0;
        double pairs = 0;
        for (double[] x : points) {
            double product = 1;
            for (double value : x) {
                double z = Math.abs(value - 0.5);
                product *= 1 + z / 2 - z * z / 2;
            }
            single += product;
            for (double[] y : points) {
                product = 1;
                for (int j = 0; j < dimensions; j++) {
                    product *= 1 + Math.abs(x[j] - 0.5) / 2 + Math.abs(y[j] - 0.5) / 2 - Math.abs(x[j] - y[j]) / 2;
                }
                pairs += product;
            }
        }
        return Math.sqrt(Math.pow(13.0 / 12, dimensions) - 2 * single / count + pairs / count / count);
    }
}
