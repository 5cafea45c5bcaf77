package concertina.search;

import java.util.Arrays;
import org.ejml.data.DMatrixRMaj;
import org.ejml.dense.row.factory.DecompositionFactory_DDRM;
import org.ejml.interfaces.decomposition.CholeskyDecomposition_F64;

/**
 * What Gaussian-process regression says of a function after some values: a prediction with its uncertainty anywhere, with slopes. After
 * Rasmussen and Williams (2006), "Gaussian processes for machine learning", algorithm 2.1. Immutable.
 *
 * <pre>
 * Notation
 *   X       inputs                                               n × d
 *   y       targets                                              n
 *   w       weights, 1 / lengthscale²                            d
 *   s, e    variances of signal and noise
 *   k(a,b)  {@link Matern} covariance s·f(r²), r² = Σ w (a − b)²
 *   K       k(X, X) + e I = L Lᵀ                                 n × n
 *   m       constant mean, a normal of variance {@value #MEAN_VARIANCE} before it sees y
 *   α       K⁻¹ (y − m)                                          n
 * </pre>
 */
final class GaussianProcess {
    static final double MEAN_VARIANCE = 1;
    /** Added to the diagonal, relative to the signal, until the matrix can be factorised. */
    private static final double[] JITTERS = {1e-10, 1e-8, 1e-6, 1e-4, 1e-2};

    /** What is fitted. */
    record Hyperparameters(double[] weights, double signal, double noise) {}

    private final Matern kernel;
    private final double signal;
    private final double diagonal;
    private final double[][] inputs;
    private final double[][] lower;
    private final double[] alpha;
    private final double mean;

    private GaussianProcess(
            Matern kernel,
            double signal,
            double diagonal,
            double[][] inputs,
            double[][] lower,
            double[] alpha,
            double mean) {
        this.kernel = kernel;
        this.signal = signal;
        this.diagonal = diagonal;
        this.inputs = inputs;
        this.lower = lower;
        this.alpha = alpha;
        this.mean = mean;
    }

    /** Conditions on values. The inputs are kept, not copied. */
    static GaussianProcess of(boolean[] words, double[][] inputs, double[] targets, Hyperparameters fitted) {
        Matern kernel = new Matern(fitted.weights, words);
        int n = inputs.length;
        DMatrixRMaj covariances = new DMatrixRMaj(n, n);
        for (int i = 0; i < n; i++) {
            for (int j = 0; j <= i; j++) {
                double covariance = fitted.signal * Matern.correlation(kernel.distance(inputs[i], inputs[j]));
                covariances.data[i * n + j] = covariance;
                covariances.data[j * n + i] = covariance;
            }
        }
        for (double jitter : JITTERS) {
            double added = fitted.noise + jitter * fitted.signal;
            DMatrixRMaj copy = covariances.copy();
            for (int i = 0; i < n; i++) {
                copy.data[i * n + i] += added;
            }
            CholeskyDecomposition_F64<DMatrixRMaj> decomposition = DecompositionFactory_DDRM.chol(n, true);
            if (decomposition.decompose(copy)) {
                double[] factor = decomposition.getT(null).data;
                double[][] lower = new double[n][];
                for (int i = 0; i < n; i++) {
                    lower[i] = Arrays.copyOfRange(factor, i * n, i * n + i + 1);
                }
                double[] ones = new double[n];
                Arrays.fill(ones, 1);
                double[] byTargets = backward(lower, forward(lower, targets.clone()));
                double[] byOnes = backward(lower, forward(lower, ones));
                double mean = sum(byTargets) / (sum(byOnes) + 1 / MEAN_VARIANCE);
                for (int i = 0; i < n; i++) {
                    byTargets[i] -= mean * byOnes[i];
                }
                return new GaussianProcess(kernel, fitted.signal, added, inputs, lower, byTargets, mean);
            }
        }
        throw new IllegalStateException("the covariances of " + n + " inputs cannot be factorised");
    }

    /**
     * The same process after it has seen what it expects at one more input: predictions stay, uncertainty shrinks around it (Ginsbourger, Le
     * Riche and Carraro 2010, "Kriging is well-suited to parallelize optimization").
     */
    GaussianProcess believing(double[] input) {
        int n = inputs.length;
        double[] row = forward(lower, covariances(input));
        double square = 0;
        for (double each : row) {
            square += each * each;
        }
        double[][] inputsNow = Arrays.copyOf(inputs, n + 1);
        double[][] lowerNow = Arrays.copyOf(lower, n + 1);
        inputsNow[n] = input;
        lowerNow[n] = Arrays.copyOf(row, n + 1);
        lowerNow[n][n] = Math.sqrt(Math.max(signal + diagonal - square, diagonal));
        return new GaussianProcess(kernel, signal, diagonal, inputsNow, lowerNow, Arrays.copyOf(alpha, n + 1), mean);
    }

    /** Number of inputs it was conditioned on. */
    int size() {
        return inputs.length;
    }

    private double[] covariances(double[] input) {
        double[] covariances = new double[inputs.length];
        for (int i = 0; i < covariances.length; i++) {
            covariances[i] = signal * Matern.correlation(kernel.distance(input, inputs[i]));
        }
        return covariances;
    }

    double mean(double[] input) {
        double[] covariances = covariances(input);
        double sum = mean;
        for (int i = 0; i < covariances.length; i++) {
            sum += covariances[i] * alpha[i];
        }
        return sum;
    }

    /** Predicts at many inputs at once, which is several times as fast as one after the other. */
    void predict(double[][] at, double[] means, double[] deviations) {
        int n = inputs.length;
        int m = at.length;
        double[][] transposed = new double[kernel.size()][m];
        for (int c = 0; c < m; c++) {
            for (int j = 0; j < transposed.length; j++) {
                transposed[j][c] = at[c][j];
            }
        }
        double[] squares = new double[m];
        Arrays.fill(means, mean);
        double[][] rows = new double[n][];
        for (int i = 0; i < n; i++) {
            double[] row = kernel.distances(inputs[i], transposed, m);
            double weight = alpha[i];
            for (int c = 0; c < m; c++) {
                row[c] = signal * Matern.correlation(row[c]);
                means[c] += weight * row[c];
            }
            double[] factors = lower[i];
            for (int j = 0; j < i; j++) {
                subtract(row, rows[j], factors[j]);
            }
            double inverse = 1 / factors[i];
            for (int c = 0; c < m; c++) {
                row[c] *= inverse;
                squares[c] += row[c] * row[c];
            }
            rows[i] = row;
        }
        for (int c = 0; c < m; c++) {
            deviations[c] = deviation(squares[c]);
        }
    }

    private static void subtract(double[] from, double[] what, double times) {
        for (int c = 0; c < from.length; c++) {
            from[c] -= times * what[c];
        }
    }

    private double deviation(double square) {
        return Math.sqrt(Math.max(signal - square, 1e-12 * signal));
    }

    /**
     * Predicts at one input.
     *
     * @param meanSlopes receives the derivatives of the mean
     * @param deviationSlopes receives those of the standard deviation
     * @return mean and standard deviation
     */
    double[] predict(double[] at, double[] meanSlopes, double[] deviationSlopes) {
        int n = inputs.length;
        double[] covariances = new double[n];
        double[] slopes = new double[n];
        double predicted = mean;
        for (int i = 0; i < n; i++) {
            double distance = kernel.distance(at, inputs[i]);
            covariances[i] = signal * Matern.correlation(distance);
            slopes[i] = signal * Matern.slope(distance);
            predicted += covariances[i] * alpha[i];
        }
        double[] solved = forward(lower, covariances);
        double square = 0;
        for (double each : solved) {
            square += each * each;
        }
        double deviation = deviation(square);
        double[] beta = backward(lower, solved);
        Arrays.fill(meanSlopes, 0);
        Arrays.fill(deviationSlopes, 0);
        for (int i = 0; i < n; i++) {
            kernel.addSlopes(at, inputs[i], slopes[i] * alpha[i], meanSlopes);
            kernel.addSlopes(at, inputs[i], -slopes[i] * beta[i] / deviation, deviationSlopes);
        }
        return new double[] {predicted, deviation};
    }

    /** Solves L x = b in place. */
    private static double[] forward(double[][] lower, double[] b) {
        for (int i = 0; i < b.length; i++) {
            double[] row = lower[i];
            double even = 0;
            double odd = 0;
            int j = 0;
            for (; j + 3 < i; j += 4) {
                even += row[j] * b[j] + row[j + 1] * b[j + 1];
                odd += row[j + 2] * b[j + 2] + row[j + 3] * b[j + 3];
            }
            for (; j < i; j++) {
                even += row[j] * b[j];
            }
            b[i] = (b[i] - even - odd) / row[i];
        }
        return b;
    }

    /** Solves Lᵀ x = b in place. */
    private static double[] backward(double[][] lower, double[] b) {
        for (int i = b.length - 1; i >= 0; i--) {
            double[] row = lower[i];
            double solved = b[i] / row[i];
            b[i] = solved;
            for (int j = 0; j < i; j++) {
                b[j] -= row[j] * solved;
            }
        }
        return b;
    }

    private static double sum(double[] values) {
        double sum = 0;
        for (double value : values) {
            sum += value;
        }
        return sum;
    }
}
