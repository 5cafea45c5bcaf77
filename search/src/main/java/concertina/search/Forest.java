package concertina.search;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.random.RandomGenerator;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * Regression trees on bootstrap samples of the unit cube (Breiman, Random Forests, 2001), kept as the boxes of their leaves, from which
 * marginals follow by sums. Immutable. Only one tree is in memory at a time, which is proportional to samples times dimensions.
 *
 * <p>Notation:
 * <pre>
 * n, d     samples, dimensions
 * x        samples, n by d, in [0, 1]
 * y        what is to be predicted, n; moved to mean 0 and divided, so that neither scale nor offset costs digits
 * leaf     box [low, high) of d sides, its volume and the mean of y in it
 * </pre>
 */
final class Forest {
    /** A leaf of a tree; the boxes of a tree fill the cube. */
    record Leaf(double[] low, double[] high, double volume, double mean) {}

    private static final int MOST_LEVELS = 48;

    private final double[][] x;
    private final double[] y;
    private final double unit;
    private final double center;
    private final int trees;
    private final long seed;

    /**
     * @param x samples, n by d, none NaN; n at least 1
     * @param y n finite numbers
     */
    Forest(double[][] x, double[] y, int trees, long seed) {
        this.x = x;
        double greatest = Arrays.stream(y).map(Math::abs).max().orElse(0);
        this.unit = greatest > 0 ? greatest : 1;
        this.center = Arrays.stream(y).map(value -> value / unit).average().orElse(0);
        this.y = Arrays.stream(y).map(value -> value / unit - center).toArray();
        this.trees = trees;
        this.seed = seed;
    }

    /** The leaves of each tree, which is grown when it is looked at. */
    Iterable<List<Leaf>> trees() {
        return () -> IntStream.range(0, trees).mapToObj(this::tree).iterator();
    }

    private List<Leaf> tree(int tree) {
        RandomGenerator random = Randomness.of(seed, tree);
        int[] sample = random.ints(y.length, 0, y.length).toArray();
        List<Leaf> leaves = new ArrayList<>();
        double[] low = new double[x[0].length];
        double[] high = new double[x[0].length];
        Arrays.fill(high, 1);
        split(x, y, sample, low, high, 0, leaves);
        return leaves;
    }

    /** The best place to divide samples: where the squared error of the two means is least. */
    private record Cut(int dimension, double threshold, double gain) {}

    private static void split(
            double[][] x, double[] y, int[] sample, double[] low, double[] high, int level, List<Leaf> leaves) {
        Cut best = level < MOST_LEVELS ? cut(x, y, sample) : null;
        if (best == null) {
            double volume = 1;
            for (int i = 0; i < low.length; i++) {
                volume *= high[i] - low[i];
            }
            leaves.add(new Leaf(
                    low,
                    high,
                    volume,
                    Arrays.stream(sample).mapToDouble(i -> y[i]).average().orElse(0)));
            return;
        }
        double[] middle = high.clone();
        middle[best.dimension] = best.threshold;
        split(x, y, select(x, sample, best, true), low, middle, level + 1, leaves);
        middle = low.clone();
        middle[best.dimension] = best.threshold;
        split(x, y, select(x, sample, best, false), middle, high, level + 1, leaves);
    }

    private static int[] select(double[][] x, int[] sample, Cut cut, boolean below) {
        return Arrays.stream(sample)
                .filter(i -> x[i][cut.dimension] < cut.threshold == below)
                .toArray();
    }

    private static @Nullable Cut cut(double[][] x, double[] y, int[] sample) {
        Cut best = null;
        int size = sample.length;
        double mean = Arrays.stream(sample).mapToDouble(i -> y[i]).average().orElse(0);
        double total = 0;
        double squares = 0;
        for (int i : sample) {
            total += y[i] - mean;
            squares += (y[i] - mean) * (y[i] - mean);
        }
        long[] keys = new long[size];
        double[] values = new double[size];
        for (int dimension = 0; dimension < x[0].length; dimension++) {
            order(x, sample, dimension, keys);
            for (int i = 0; i < size; i++) {
                values[i] = x[sample[(int) (keys[i] & 0xffff)]][dimension];
            }
            double left = 0;
            for (int i = 1; i < size; i++) {
                left += y[sample[(int) (keys[i - 1] & 0xffff)]] - mean;
                if (values[i] <= values[i - 1]) {
                    continue;
                }
                double right = total - left;
                double gain = left * left / i + right * right / (size - i) - total * total / size;
                if (gain > 1e-12 * squares && (best == null || gain > best.gain)) {
                    double threshold = (values[i - 1] + values[i]) / 2;
                    best = new Cut(dimension, threshold > values[i - 1] ? threshold : values[i], gain);
                }
            }
        }
        return best;
    }

    /** Sorts the positions in the sample by one coordinate: that in the upper bits, the position in the lower 16. */
    private static void order(double[][] x, int[] sample, int dimension, long[] keys) {
        for (int i = 0; i < sample.length; i++) {
            keys[i] = ((long) (x[sample[i]][dimension] * (1L << 46)) << 16) | i;
        }
        Arrays.sort(keys);
    }

    /** Mean over all trees of what each predicts, averaged over all dimensions but two, at the middles of a grid. */
    double[][] marginal(int first, int second, int grid) {
        double[][] sums = new double[grid + 1][grid + 1];
        for (List<Leaf> leaves : trees()) {
            for (Leaf leaf : leaves) {
                double share = leaf.volume
                        * leaf.mean
                        / ((leaf.high[first] - leaf.low[first]) * (leaf.high[second] - leaf.low[second]));
                int left = cell(leaf.low[first], grid);
                int right = cell(leaf.high[first], grid);
                int bottom = cell(leaf.low[second], grid);
                int top = cell(leaf.high[second], grid);
                sums[left][bottom] += share;
                sums[right][bottom] -= share;
                sums[left][top] -= share;
                sums[right][top] += share;
            }
        }
        double[][] means = new double[grid][grid];
        for (int i = 0; i < grid; i++) {
            for (int j = 0; j < grid; j++) {
                if (j > 0) {
                    sums[i][j] += sums[i][j - 1];
                }
                means[i][j] = sums[i][j] + (i > 0 ? means[i - 1][j] : 0);
            }
        }
        for (double[] row : means) {
            for (int j = 0; j < grid; j++) {
                row[j] = (row[j] / trees + center) * unit;
            }
        }
        return means;
    }

    /** The first cell of a grid whose middle is not below a coordinate. */
    private static int cell(double coordinate, int grid) {
        return Math.clamp((int) Math.ceil(coordinate * grid - 0.5), 0, grid);
    }
}
