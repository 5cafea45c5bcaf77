package concertina.search;

import java.util.Arrays;
import java.util.List;
import java.util.random.RandomGenerator;
import org.ejml.data.DMatrixRMaj;
import org.ejml.dense.row.factory.DecompositionFactory_DDRM;
import org.ejml.interfaces.decomposition.EigenDecomposition_F64;

/**
 * The normal distribution of CMA-ES and how a generation of ranked points changes it.
 *
 * <pre>
 * Notation
 * n            number of coordinates
 * λ, μ         points in a generation; the better half of them
 * m, σ, C      mean (n), step size, covariance (n×n) in units of σ
 * B, D         eigenvectors (columns) and roots of the eigenvalues of C
 * w_i          weight of rank i, negative for the worse half; μ_eff their effective number
 * y_i          step of point i, (x_i − m)/σ; y_w the weighted mean of the better half
 * p_σ, p_c     evolution paths of step size and covariance
 * c_σ, c_c, c_1, c_μ, d_σ   learning rates and damping
 * E            mean length of a standard normal vector of dimension n
 * </pre>
 *
 * <p><b>Algorithm.</b> Hansen 2016, "The CMA evolution strategy: a tutorial", arXiv 1604.00772, with negative weights. Points that
 * were not drawn take part with their steps shortened to a likely length (Hansen 2011, "Injecting
 * external solutions into CMA-ES", arXiv 1110.4181).
 */
final class Evolution {
    private static final double FIRST_STEP = 0.3;
    private static final double SMALLEST_STEP = 1e-9;
    private static final double WORST_CONDITION = 1e7;

    private final int n;
    private int lambda;
    private int mu;
    private double[] weights;
    private double muEff;
    private double cSigma;
    private double dSigma;
    private double cC;
    private double c1;
    private double cMu;
    private final double expected;

    private final double[] mean;
    private double sigma;
    private final double[][] covariance;
    private final double[][] axes;
    private final double[] lengths;
    private final double[] pathSigma;
    private final double[] pathC;
    private int generation;
    private int undecomposed;

    Evolution(double[] mean, double sigma, int lambda) {
        this.n = mean.length;
        this.mean = mean.clone();
        this.sigma = sigma;
        this.expected = Math.sqrt(n) * (1 - 1 / (4.0 * n) + 1 / (21.0 * n * n));
        this.covariance = new double[n][n];
        this.axes = new double[n][n];
        this.lengths = new double[n];
        for (int j = 0; j < n; j++) {
            covariance[j][j] = 1;
            axes[j][j] = 1;
            lengths[j] = 1;
        }
        this.pathSigma = new double[n];
        this.pathC = new double[n];
        this.weights = new double[lambda];
        resize(lambda);
    }

    /** Sets the number of points in a generation and what depends on it. */
    void resize(int points) {
        lambda = points;
        mu = points / 2;
        weights = new double[lambda];
        double sum = 0;
        double squares = 0;
        double negative = 0;
        double negativeSquares = 0;
        for (int i = 0; i < lambda; i++) {
            weights[i] = StrictMath.log((lambda + 1) / 2.0) - StrictMath.log(i + 1.0);
            if (i < mu) {
                sum += weights[i];
                squares += weights[i] * weights[i];
            } else {
                negative -= Math.min(weights[i], 0);
                negativeSquares += weights[i] * weights[i];
            }
        }
        muEff = sum * sum / squares;
        double muEffNegative = negative * negative / negativeSquares;
        cSigma = (muEff + 2) / (n + muEff + 5);
        dSigma = 1 + 2 * Math.max(0, Math.sqrt((muEff - 1) / (n + 1)) - 1) + cSigma;
        cC = (4 + muEff / n) / (n + 4 + 2 * muEff / n);
        c1 = 2 / ((n + 1.3) * (n + 1.3) + muEff);
        cMu = Math.min(1 - c1, 2 * (muEff - 2 + 1 / muEff) / ((n + 2.0) * (n + 2) + muEff));
        double scale =
                Math.min(Math.min(1 + c1 / cMu, 1 + 2 * muEffNegative / (muEff + 2)), (1 - c1 - cMu) / (n * cMu));
        for (int i = 0; i < lambda; i++) {
            weights[i] *= i < mu ? 1 / sum : scale / negative;
        }
    }

    /** Around a point of the cube, as wide as is usual without knowledge. */
    static Evolution around(double[] mean, int lambda) {
        return new Evolution(mean, FIRST_STEP, lambda);
    }

    /** The usual number of points in a generation. */
    static int population(int n) {
        return 4 + (int) (3 * StrictMath.log(n));
    }

    int lambda() {
        return lambda;
    }

    /** The mean, shared: whoever moves it moves the distribution. */
    double[] mean() {
        return mean;
    }

    /** Standard deviation of one coordinate. */
    double deviation(int j) {
        return sigma * Math.sqrt(covariance[j][j]);
    }

    /** A point x drawn from the distribution, not confined to the cube. */
    double[] draw(RandomGenerator random) {
        double[] z = new double[n];
        for (int i = 0; i < n; i++) {
            z[i] = lengths[i] * random.nextGaussian();
        }
        double[] x = new double[n];
        for (int j = 0; j < n; j++) {
            double sum = 0;
            for (int i = 0; i < n; i++) {
                sum += axes[j][i] * z[i];
            }
            x[j] = mean[j] + sigma * sum;
        }
        return x;
    }

    /** The step y from the mean to x. */
    double[] step(double[] x) {
        double[] y = new double[n];
        for (int j = 0; j < n; j++) {
            y[j] = (x[j] - mean[j]) / sigma;
        }
        return y;
    }

    /** A step that was not drawn, shortened to a length that drawing makes likely. */
    double[] likely(double[] y) {
        double most = Math.sqrt(n) + 2.0 * n / (n + 2);
        double length = length(whiten(y));
        return length <= most
                ? y
                : Arrays.stream(y).map(value -> value * most / length).toArray();
    }

    /**
     * Learns from a generation.
     *
     * @param y λ steps, the best first
     * @param useful how many of them, counted from the best, have a result at all; at least one
     */
    void learn(List<double[]> y, int useful) {
        double[] w = weights.clone();
        double positive = 0;
        for (int i = 0; i < mu; i++) {
            w[i] = i < useful ? w[i] : 0;
            positive += w[i];
        }
        double[] step = new double[n];
        for (int i = 0; i < mu; i++) {
            w[i] /= positive;
            for (int j = 0; j < n; j++) {
                step[j] += w[i] * y.get(i)[j];
            }
        }
        move(step);
        adapt(step, w, y);
        generation++;
        if (++undecomposed >= 1 / (10 * n * (c1 + cMu))) {
            decompose();
        }
    }

    private void move(double[] step) {
        double[] straight = whiten(step);
        for (int j = 0; j < n; j++) {
            mean[j] = Math.clamp(mean[j] + sigma * step[j], 0, 1);
            pathSigma[j] = (1 - cSigma) * pathSigma[j] + Math.sqrt(cSigma * (2 - cSigma) * muEff) * straight[j];
        }
        double change = Math.min(1, cSigma / dSigma * (length(pathSigma) / expected - 1));
        sigma = Math.min(sigma * StrictMath.exp(change), 1);
    }

    private void adapt(double[] step, double[] w, List<double[]> y) {
        double faded = 1 - StrictMath.pow(1 - cSigma, 2.0 * (generation + 1));
        boolean steady = length(pathSigma) / Math.sqrt(faded) < (1.4 + 2.0 / (n + 1)) * expected;
        double total = 0;
        for (int j = 0; j < n; j++) {
            pathC[j] = (1 - cC) * pathC[j] + (steady ? Math.sqrt(cC * (2 - cC) * muEff) * step[j] : 0);
        }
        double[] scaled = new double[lambda];
        for (int i = 0; i < lambda; i++) {
            total += w[i];
            double length = w[i] < 0 ? length(whiten(y.get(i))) : 0;
            scaled[i] = w[i] < 0 ? w[i] * n / Math.max(length * length, 1e-12) : w[i];
        }
        double keep = 1 + (steady ? 0 : c1 * cC * (2 - cC)) - c1 - cMu * total;
        for (int a = 0; a < n; a++) {
            for (int b = 0; b <= a; b++) {
                double sum = 0;
                for (int i = 0; i < lambda; i++) {
                    sum += scaled[i] * y.get(i)[a] * y.get(i)[b];
                }
                covariance[a][b] = keep * covariance[a][b] + c1 * pathC[a] * pathC[b] + cMu * sum;
                covariance[b][a] = covariance[a][b];
            }
        }
    }

    /** C^(−1/2)·v. */
    private double[] whiten(double[] v) {
        double[] result = new double[n];
        for (int i = 0; i < n; i++) {
            double sum = 0;
            for (int j = 0; j < n; j++) {
                sum += axes[j][i] * v[j];
            }
            sum /= lengths[i];
            for (int j = 0; j < n; j++) {
                result[j] += axes[j][i] * sum;
            }
        }
        return result;
    }

    private static double length(double[] v) {
        double squares = 0;
        for (double value : v) {
            squares += value * value;
        }
        return Math.sqrt(squares);
    }

    private void decompose() {
        undecomposed = 0;
        EigenDecomposition_F64<DMatrixRMaj> eigen = DecompositionFactory_DDRM.eig(n, true, true);
        if (!eigen.decompose(new DMatrixRMaj(covariance))) {
            return;
        }
        double greatest = 0;
        for (int i = 0; i < n; i++) {
            greatest = Math.max(greatest, eigen.getEigenvalue(i).getReal());
        }
        for (int i = 0; i < n; i++) {
            lengths[i] = Math.sqrt(Math.max(eigen.getEigenvalue(i).getReal(), greatest * 1e-16));
            DMatrixRMaj vector = eigen.getEigenVector(i);
            for (int j = 0; j < n; j++) {
                axes[j][i] = vector.get(j);
            }
        }
    }

    /** Whether further generations would not lead on: the steps are too small, or one direction far shorter than another. */
    boolean spent() {
        double shortest = Double.POSITIVE_INFINITY;
        double longest = 0;
        for (double length : lengths) {
            shortest = Math.min(shortest, length);
            longest = Math.max(longest, length);
        }
        return sigma * longest < SMALLEST_STEP || longest > WORST_CONDITION * shortest;
    }
}
