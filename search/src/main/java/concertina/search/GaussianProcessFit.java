package concertina.search;

import concertina.search.GaussianProcess.Hyperparameters;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.random.RandomGenerator;
import java.util.stream.IntStream;
import org.ejml.data.DMatrixRMaj;
import org.ejml.dense.row.factory.LinearSolverFactory_DDRM;
import org.ejml.interfaces.decomposition.CholeskyDecomposition_F64;
import org.ejml.interfaces.linsol.LinearSolverDense;

/**
 * Finds the hyperparameters of a {@link GaussianProcess} that are most probable after some values, by the slopes of the posterior density,
 * and draws from that density.
 *
 * <p>Lengthscales grow with the root of the dimension before anything is known (Hvarfner, Hellsten and Nardi 2024, "Vanilla Bayesian
 * optimization performs great in high dimensions"). Those of numbers are drawn towards their common mean, which is fitted with them: a few
 * trials in many dimensions are otherwise explained by a few dimensions that happen to fit, and the rest is searched in vain.
 *
 * <pre>
 * Notation
 *   θ      log w (d), log s, and log e unless the function has no noise       d + 1 or d + 2
 *   K, α   as in {@link GaussianProcess}
 *   θ̄      mean of the log w of numbers; log w − θ̄ and θ̄ are normal beforehand, as are the log w of words
 *   Q      K⁻¹ − α αᵀ, so that the derivative of the negative log likelihood by θ is ½ Σ Q ∘ ∂K/∂θ
 * </pre>
 */
final class GaussianProcessFit {
    /**
     * Variance of the noise of a function that has none, in units of the targets' variance. Its root is the least difference that the model
     * tells apart, and with it how close to a minimum it leads; with a tenth of it, valleys as Rosenbrock's were followed more slowly.
     */
    static final double NOISELESS = 1e-7;

    /** Log of a number's weight before anything is known, less the log of how many numbers there are. */
    private static final double WEIGHT_MEAN = -2 * Math.sqrt(2);
    /** How far all weights together may be from it. */
    private static final double COMMON_DEVIATION = 2;
    /** How far they may be from each other. */
    private static final double WEIGHT_DEVIATION = 0.75;

    private static final double WORD_MEAN = 0;
    private static final double WORD_DEVIATION = 1;
    private static final double SIGNAL_DEVIATION = 1.5;
    private static final double NOISE_MEAN = -5;
    private static final double NOISE_DEVIATION = 2;
    private static final double TOLERANCE = 1e-3;
    /** Of a chain, between two draws from the posterior. */
    private static final int STEPS = 5;

    /** The hyperparameters and the negative logarithm of their posterior density, up to a constant. */
    record Fitted(Hyperparameters hyperparameters, double[] theta, double loss) {}

    private final boolean[] words;
    private final double[][] inputs;
    private final boolean noiseless;
    private final int size;
    private final int numbers;

    GaussianProcessFit(boolean[] words, double[][] inputs, boolean noiseless) {
        this.words = words;
        this.inputs = inputs;
        this.noiseless = noiseless;
        size = words.length;
        numbers = (int) IntStream.range(0, size).filter(j -> !words[j]).count();
    }

    /** Where a search for hyperparameters begins when nothing is known. */
    double[] start() {
        double[] theta = new double[size + (noiseless ? 1 : 2)];
        for (int j = 0; j < size; j++) {
            theta[j] = words[j] ? WORD_MEAN : Math.log(4 / Math.sqrt(numbers));
        }
        theta[size] = 0;
        if (!noiseless) {
            theta[size + 1] = NOISE_MEAN;
        }
        return theta;
    }

    /**
     * @param targets of variance about 1
     * @param evaluations how often the density may be computed, each time for the cube of the number of inputs
     */
    Fitted fit(double[] targets, double[] start, int evaluations) {
        double[] low = new double[start.length];
        double[] high = new double[start.length];
        Arrays.fill(low, 0, size, -14);
        Arrays.fill(high, 0, size, 10);
        low[size] = -6;
        high[size] = 9;
        if (!noiseless) {
            low[size + 1] = -14;
            high[size + 1] = 1;
        }
        Lbfgs.Minimum found = Lbfgs.minimise(
                (theta, gradient) -> loss(targets, theta, gradient), start, low, high, evaluations, TOLERANCE);
        return new Fitted(hyperparameters(found.x()), found.x(), found.value());
    }

    /**
     * Draws hyperparameters from the posterior.
     *
     * @param count how many, each some steps of a chain after the one before
     * @param start where the chain begins; best where the density is great
     */
    List<Hyperparameters> sample(double[] targets, double[] start, int count, RandomGenerator random) {
        List<Hyperparameters> samples = new ArrayList<>();
        double[] theta = start;
        for (int i = 0; i < count; i++) {
            theta = PosteriorSample.draw(prior(), tried -> likelihood(targets, tried), theta, STEPS, random);
            samples.add(hyperparameters(theta));
        }
        return samples;
    }

    private PosteriorSample.Prior prior() {
        double[] mean = new double[size + (noiseless ? 1 : 2)];
        for (int j = 0; j < size; j++) {
            mean[j] = words[j] ? WORD_MEAN : WEIGHT_MEAN - Math.log(numbers);
        }
        if (!noiseless) {
            mean[size + 1] = NOISE_MEAN;
        }
        return new PosteriorSample.Prior() {
            @Override
            public double[] mean() {
                return mean;
            }

            @Override
            public double[] draw(RandomGenerator random) {
                double[] drawn = new double[mean.length];
                double sum = 0;
                for (int j = 0; j < size; j++) {
                    drawn[j] = (words[j] ? WORD_DEVIATION : WEIGHT_DEVIATION) * random.nextGaussian();
                    sum += words[j] ? 0 : drawn[j];
                }
                double common = COMMON_DEVIATION * random.nextGaussian();
                for (int j = 0; j < size; j++) {
                    drawn[j] += words[j] ? 0 : common - sum / numbers;
                }
                drawn[size] = SIGNAL_DEVIATION * random.nextGaussian();
                if (!noiseless) {
                    drawn[size + 1] = NOISE_DEVIATION * random.nextGaussian();
                }
                return drawn;
            }
        };
    }

    /** The logarithm of the likelihood alone, up to a constant; negative infinity where K cannot be factorised. */
    double likelihood(double[] targets, double[] theta) {
        Hyperparameters tried = hyperparameters(theta);
        Matern kernel = new Matern(tried.weights(), words);
        int n = inputs.length;
        double added = tried.noise() + 1e-10 * tried.signal();
        double[][] lower = new double[n][];
        double determinant = 0;
        double[] byTargets = targets.clone();
        double[] byOnes = new double[n];
        Arrays.fill(byOnes, 1);
        for (int i = 0; i < n; i++) {
            double[] row = new double[i + 1];
            lower[i] = row;
            for (int j = 0; j <= i; j++) {
                double sum = tried.signal() * Matern.correlation(kernel.distance(inputs[i], inputs[j]));
                sum -= dot(row, lower[j], j);
                row[j] = j < i ? sum / lower[j][j] : Math.sqrt(sum + added);
            }
            if (!(row[i] > 0)) {
                return Double.NEGATIVE_INFINITY;
            }
            determinant += Math.log(row[i]);
            byTargets[i] = (byTargets[i] - dot(row, byTargets, i)) / row[i];
            byOnes[i] = (byOnes[i] - dot(row, byOnes, i)) / row[i];
        }
        double square = dot(byTargets, byTargets, n);
        double mixed = dot(byTargets, byOnes, n);
        double mean = mixed / (dot(byOnes, byOnes, n) + 1 / GaussianProcess.MEAN_VARIANCE);
        return -determinant - 0.5 * (square - mean * mixed);
    }

    private static double dot(double[] a, double[] b, int count) {
        double sum = 0;
        for (int i = 0; i < count; i++) {
            sum += a[i] * b[i];
        }
        return sum;
    }

    private Hyperparameters hyperparameters(double[] theta) {
        double[] weights = new double[size];
        for (int j = 0; j < size; j++) {
            weights[j] = Math.exp(theta[j]);
        }
        return new Hyperparameters(weights, Math.exp(theta[size]), noiseless ? NOISELESS : Math.exp(theta[size + 1]));
    }

    /** The negative logarithm of the posterior density with its gradient; infinite where K cannot be factorised. */
    double loss(double[] targets, double[] theta, double[] gradient) {
        Hyperparameters tried = hyperparameters(theta);
        Matern kernel = new Matern(tried.weights(), words);
        int n = inputs.length;
        double[] covariances = new double[n * n];
        double[] slopes = new double[n * n];
        double added = tried.noise() + 1e-10 * tried.signal();
        for (int i = 0; i < n; i++) {
            for (int j = 0; j < i; j++) {
                double squared = kernel.distance(inputs[i], inputs[j]);
                double root = Math.sqrt(5 * squared);
                double decay = tried.signal() * Math.exp(-root);
                double covariance = (1 + root + root * root / 3) * decay;
                covariances[i * n + j] = covariance;
                covariances[j * n + i] = covariance;
                slopes[i * n + j] = -5.0 / 6 * (1 + root) * decay;
            }
            covariances[i * n + i] = tried.signal() + added;
        }
        LinearSolverDense<DMatrixRMaj> solver = LinearSolverFactory_DDRM.chol(n);
        if (!solver.setA(DMatrixRMaj.wrap(n, n, covariances.clone()))) {
            return Double.POSITIVE_INFINITY;
        }
        CholeskyDecomposition_F64<DMatrixRMaj> decomposition = solver.getDecomposition();
        double[] factor = decomposition.getT(null).data;
        double determinant = 0;
        for (int i = 0; i < n; i++) {
            determinant += Math.log(factor[i * n + i]);
        }
        DMatrixRMaj inverse = new DMatrixRMaj(n, n);
        solver.invert(inverse);
        double[] byTargets = new double[n];
        double[] byOnes = new double[n];
        for (int i = 0; i < n; i++) {
            for (int j = 0; j < n; j++) {
                byTargets[i] += inverse.data[i * n + j] * targets[j];
                byOnes[i] += inverse.data[i * n + j];
            }
        }
        double mean =
                Arrays.stream(byTargets).sum() / (Arrays.stream(byOnes).sum() + 1 / GaussianProcess.MEAN_VARIANCE);
        double square = 0;
        double[] alpha = byTargets;
        for (int i = 0; i < n; i++) {
            alpha[i] -= mean * byOnes[i];
            square += alpha[i] * (targets[i] - mean);
        }
        addGradient(tried, slopes, covariances, inverse.data, alpha, added, gradient);
        return determinant + 0.5 * square + 0.5 * mean * mean / GaussianProcess.MEAN_VARIANCE + prior(theta, gradient);
    }

    private void addGradient(
            Hyperparameters tried,
            double[] slopes,
            double[] covariances,
            double[] inverse,
            double[] alpha,
            double added,
            double[] gradient) {
        int n = inputs.length;
        Arrays.fill(gradient, 0);
        double bySignal = 0;
        double byNoise = 0;
        for (int i = 0; i < n; i++) {
            double[] a = inputs[i];
            for (int j = 0; j < i; j++) {
                double q = inverse[i * n + j] - alpha[i] * alpha[j];
                double byDistance = q * slopes[i * n + j];
                double[] b = inputs[j];
                for (int c = 0; c < size; c++) {
                    double difference = a[c] - b[c];
                    gradient[c] += byDistance * (words[c] ? (difference == 0 ? 0 : 1) : difference * difference);
                }
                bySignal += q * covariances[i * n + j];
            }
            double q = inverse[i * n + i] - alpha[i] * alpha[i];
            bySignal += 0.5 * q * (covariances[i * n + i] - tried.noise());
            byNoise += 0.5 * q * tried.noise();
        }
        for (int c = 0; c < size; c++) {
            gradient[c] *= tried.weights()[c];
        }
        gradient[size] = bySignal;
        if (!noiseless) {
            gradient[size + 1] = byNoise;
        }
    }

    private double prior(double[] theta, double[] gradient) {
        double mean = 0;
        for (int j = 0; j < size; j++) {
            mean += words[j] ? 0 : theta[j] / numbers;
        }
        double off = numbers == 0 ? 0 : (mean - WEIGHT_MEAN + Math.log(numbers)) / COMMON_DEVIATION;
        double loss = 0.5 * off * off;
        for (int j = 0; j < size; j++) {
            if (words[j]) {
                loss += normal(theta, gradient, j, WORD_MEAN, WORD_DEVIATION);
            } else {
                double own = (theta[j] - mean) / WEIGHT_DEVIATION;
                loss += 0.5 * own * own;
                gradient[j] += own / WEIGHT_DEVIATION + off / COMMON_DEVIATION / numbers;
            }
        }
        loss += normal(theta, gradient, size, 0, SIGNAL_DEVIATION);
        return noiseless ? loss : loss + normal(theta, gradient, size + 1, NOISE_MEAN, NOISE_DEVIATION);
    }

    private static double normal(double[] theta, double[] gradient, int i, double center, double deviation) {
        double off = (theta[i] - center) / deviation;
        gradient[i] += off / deviation;
        return 0.5 * off * off;
    }
}
