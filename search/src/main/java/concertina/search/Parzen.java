package concertina.search;

import java.util.Arrays;
import java.util.List;
import java.util.random.RandomGenerator;

/**
 * A density over a space: a mixture of one kernel around each of some points and one that is even. Immutable.
 *
 * <pre>
 * Notation
 * d            number of coordinates
 * n            number of points, without the even kernel
 * u_kj         coordinate j of point k; NaN where the parameter does not exist in it
 * w_k          weight of kernel k, summing to 1 with that of the even kernel w_0
 * s_j          standard deviation of u_kj over the points in which j exists and the even kernel (mean 1/2, variance 1/12)
 * n_j          number of these, the even kernel included
 * h_j          bandwidth of coordinate j: max(0.4·s_j·n_j^(−1/(d+4)), 0.01), Scott's rule with a smaller factor
 * ε            chance of another word: (K − 1)/(n + K) with K words
 * x            where the density is asked for, d coordinates
 * </pre>
 *
 * <p>A kernel is a product over the coordinates (Falkner et al. 2018, "BOHB", ICML; Watanabe 2023, "Tree-structured Parzen estimator:
 * understanding its algorithm components", arXiv 2304.11127): a continuum has a normal density around u_kj cut to [0, 1]; a parameter of
 * few values has the probability of its cell under that density; words have 1 − ε for the same word and share ε evenly among the others. Where
 * a parameter exists in x but not in the point, the factor is 1, that is even; where it does not exist in x, it has none. So branches
 * of a conditional space are told apart by the factor of the parameter that decides between them. Densities are relative to the even
 * one, so cells count by their number.
 */
final class Parzen {
    /** Numbers of values up to which a parameter has a table of kernels. */
    private static final int FEW = 64;

    private static final double WIDTH = 0.4;
    private static final double NARROWEST = 0.01;

    /** How many bandwidths from a border a kernel is not cut by it. */
    private static final double INSIDE = 5;

    /** Terms of the sum that are smaller than the greatest by this in logarithm cannot be seen. */
    private static final double NEGLIGIBLE = 30;

    /** Products of probabilities are kept above, so that they do not vanish. */
    private static final double SMALLEST = 1e-200;

    private final Space space;
    private final int dimensions;
    private final int n;

    /** u_kj with j first, which lets the loops over k run in vector registers. */
    private final double[][] points;

    /** Whether a coordinate exists in every point, and in whatever is asked for. */
    private final boolean[] always;

    private final double[] logWeights;
    private final double[] cumulated;
    private final double[] bandwidths;
    private final double[] inverse;
    private final double[][] logScale;
    private final int[] cells;

    /** For numbers of few values: logarithms by the cell of x, then that of the kernel; those that have none come last, with 0. */
    private final double[][][] table;

    /** For words: logarithms for the same word, another one, and none, in this order. */
    private final double[][] words;

    private final int[][] places;

    /**
     * @param weights one for each point
     * @param even weight of the even kernel
     */
    Parzen(Space space, List<double[]> points, double[] weights, double even) {
        this.space = space;
        this.dimensions = space.size();
        this.n = points.size();
        this.points = new double[dimensions][n];
        for (int k = 0; k < n; k++) {
            for (int j = 0; j < dimensions; j++) {
                this.points[j][k] = points.get(k)[j];
            }
        }
        double total = even;
        for (double weight : weights) {
            total += weight;
        }
        this.logWeights = new double[n + 1];
        this.cumulated = new double[n];
        double sum = 0;
        for (int k = 0; k < n; k++) {
            sum += weights[k] / total;
            cumulated[k] = sum;
            logWeights[k] = StrictMath.log(weights[k] / total);
        }
        logWeights[n] = StrictMath.log(even / total);
        this.bandwidths = new double[dimensions];
        this.inverse = new double[dimensions];
        this.logScale = new double[dimensions][];
        this.cells = new int[dimensions];
        this.table = new double[dimensions][][];
        this.words = new double[dimensions][];
        this.always = new boolean[dimensions];
        this.places = new int[dimensions][];
        double[] inside = new double[n];
        Arrays.fill(inside, 1);
        for (int j = 0; j < dimensions; j++) {
            prepare(j, inside);
        }
        for (int k = 0; k < n; k++) {
            logWeights[k] -= StrictMath.log(inside[k]);
        }
    }

    /** With equal weights of 1. */
    static Parzen of(Space space, List<double[]> points, double even) {
        double[] equal = new double[points.size()];
        Arrays.fill(equal, 1);
        return new Parzen(space, points, equal, even);
    }

    /** Gathers in {@code inside} what part of each kernel lies in the cube, as far as it is the same for whatever is asked for. */
    private void prepare(int j, double[] inside) {
        Parameter parameter = space.parameters().get(j);
        long count = Space.cells(parameter);
        bandwidths[j] = bandwidth(j);
        if (parameter instanceof Parameter.Choice choice && !choice.ordered()) {
            cells[j] = (int) count;
            words[j] = words((int) count);
            places[j] = places(j);
        } else if (few(parameter, count)) {
            cells[j] = (int) count;
            table[j] = numbers((int) count, bandwidths[j]);
            places[j] = places(j);
        } else {
            inverse[j] = 1 / bandwidths[j];
            scale(j, inside);
        }
    }

    private static boolean few(Parameter parameter, long count) {
        boolean equal = !(parameter instanceof Parameter.Whole whole) || whole.scale() == Parameter.Scale.LINEAR;
        return count > 0 && count <= FEW && equal;
    }

    /** As wide as the points are spread, and narrower the more there are; the even kernel counts as one of them. */
    private double bandwidth(int j) {
        int present = 1;
        double mean = 0.5;
        for (double u : points[j]) {
            if (!Double.isNaN(u)) {
                present++;
                mean += u;
            }
        }
        always[j] = present == n + 1 && space.parameters().get(j).when() == null;
        mean /= present;
        double squares = 1.0 / 12 + (0.5 - mean) * (0.5 - mean);
        for (double u : points[j]) {
            if (!Double.isNaN(u)) {
                squares += (u - mean) * (u - mean);
            }
        }
        double spread = Math.sqrt(squares / present);
        return Math.max(WIDTH * spread * StrictMath.pow(present, -1.0 / (dimensions + 4)), NARROWEST);
    }

    private void scale(int j, double[] inside) {
        double h = bandwidths[j];
        double height = Normal.logDensity(0) - StrictMath.log(h);
        logScale[j] = new double[always[j] ? 0 : n];
        for (int k = 0; k < n; k++) {
            double u = points[j][k];
            double part = 1 - beyond(u * inverse[j]) - beyond((1 - u) * inverse[j]);
            if (!always[j]) {
                logScale[j][k] = height - StrictMath.log(part);
            } else if (inside[k] * part > SMALLEST) {
                inside[k] *= part;
                logWeights[k] += height;
            } else {
                logWeights[k] += height - StrictMath.log(part);
            }
        }
    }

    private static double beyond(double border) {
        return border > INSIDE ? 0 : Normal.probability(-border);
    }

    private double[] words(int count) {
        double other = 1.0 / (n + count);
        double same = 1 - other * (count - 1);
        return new double[] {StrictMath.log(count * same), StrictMath.log(count * other), 0};
    }

    private static double[][] numbers(int count, double h) {
        double[][] logs = new double[count][count + 1];
        for (int from = 0; from < count; from++) {
            double u = (from + 0.5) / count;
            double inside = Normal.between(-u / h, (1 - u) / h);
            for (int to = 0; to < count; to++) {
                double share = Normal.between(((double) to / count - u) / h, ((to + 1.0) / count - u) / h) / inside;
                logs[to][from] = StrictMath.log(Math.max(count * share, 1e-300));
            }
        }
        return logs;
    }

    private int[] places(int j) {
        int[] places = new int[n];
        for (int k = 0; k < n; k++) {
            places[k] = Double.isNaN(points[j][k]) ? cells[j] : cell(points[j][k], cells[j]);
        }
        return places;
    }

    private static int cell(double u, int count) {
        return Math.min((int) (u * count), count - 1);
    }

    /** A point drawn from the density, with a coordinate for every parameter whether it exists or not. */
    double[] draw(RandomGenerator random) {
        double dice = random.nextDouble();
        int k = 0;
        while (k < n && dice >= cumulated[k]) {
            k++;
        }
        double[] x = new double[dimensions];
        for (int j = 0; j < dimensions; j++) {
            double u = k < n ? points[j][k] : Double.NaN;
            x[j] = Double.isNaN(u)
                    ? random.nextDouble()
                    : words[j] != null
                            ? word(j, u, random)
                            : table[j] == null ? normal(u, bandwidths[j], random) : draw(j, u, random);
        }
        return x;
    }

    private static double normal(double u, double h, RandomGenerator random) {
        for (int attempt = 0; attempt < 100; attempt++) {
            double x = u + h * random.nextGaussian();
            if (x >= 0 && x <= 1) {
                return x;
            }
        }
        return u;
    }

    /** The same word with probability 1 − ε, else any of the others. */
    private double word(int j, double u, RandomGenerator random) {
        int count = cells[j];
        int from = cell(u, count);
        double other = 1.0 / (n + count);
        double dice = random.nextDouble();
        double before = from * other;
        double same = 1 - other * (count - 1);
        int to = dice < before
                ? (int) (dice / other)
                : dice < before + same ? from : from + 1 + (int) ((dice - before - same) / other);
        return (Math.min(to, count - 1) + 0.5) / count;
    }

    private double draw(int j, double u, RandomGenerator random) {
        int from = cell(u, cells[j]);
        double dice = random.nextDouble() * cells[j];
        int to = 0;
        while (to + 1 < cells[j] && (dice -= StrictMath.exp(table[j][to][from])) >= 0) {
            to++;
        }
        return (to + 0.5) / cells[j];
    }

    /** Logarithm of the density at {@code x}, where NaN stands for what does not exist. */
    double logDensity(double[] x) {
        double[] terms = logWeights.clone();
        for (int j = 0; j < dimensions; j++) {
            if (Double.isNaN(x[j])) {
                continue;
            }
            if (words[j] != null) {
                addWord(places[j], cell(x[j], cells[j]), cells[j], words[j], n, terms);
            } else if (table[j] != null) {
                addCell(places[j], table[j][cell(x[j], cells[j])], n, terms);
            } else if (always[j]) {
                addNormal(points[j], x[j], inverse[j], n, terms);
            } else {
                addSomeNormal(points[j], logScale[j], x[j], inverse[j], n, terms);
            }
        }
        double greatest = Double.NEGATIVE_INFINITY;
        for (double term : terms) {
            greatest = Math.max(greatest, term);
        }
        double sum = 0;
        for (double term : terms) {
            if (term > greatest - NEGLIGIBLE) {
                sum += StrictMath.exp(term - greatest);
            }
        }
        return greatest + StrictMath.log(sum);
    }

    private static void addCell(int[] from, double[] logs, int n, double[] terms) {
        for (int k = 0; k < n; k++) {
            terms[k] += logs[from[k]];
        }
    }

    private static void addWord(int[] from, int word, int none, double[] logs, int n, double[] terms) {
        for (int k = 0; k < n; k++) {
            terms[k] += logs[from[k] == word ? 0 : from[k] == none ? 2 : 1];
        }
    }

    private static void addNormal(double[] u, double x, double inverse, int n, double[] terms) {
        for (int k = 0; k < n; k++) {
            double z = (x - u[k]) * inverse;
            terms[k] -= 0.5 * z * z;
        }
    }

    private static void addSomeNormal(double[] u, double[] scale, double x, double inverse, int n, double[] terms) {
        for (int k = 0; k < n; k++) {
            double z = (x - u[k]) * inverse;
            if (!Double.isNaN(z)) {
                terms[k] += scale[k] - 0.5 * z * z;
            }
        }
    }
}
