package concertina.search;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;
import static org.assertj.core.api.Assertions.withinPercentage;

import concertina.search.GaussianProcess.Hyperparameters;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.random.RandomGenerator;
import org.junit.jupiter.api.Test;

class GaussianProcessTest {
    private static final boolean[] WORDS = {false, false, true};
    private static final Hyperparameters FITTED = new Hyperparameters(new double[] {4, 0.7, 1.5}, 2, 1e-6);

    private final SplittableRandom random = new SplittableRandom(6);

    private double[][] inputs(int count) {
        double[][] inputs = new double[count][];
        for (int i = 0; i < count; i++) {
            inputs[i] = new double[] {random.nextDouble(), random.nextDouble(), random.nextInt(3)};
        }
        return inputs;
    }

    private static double[] targets(double[][] inputs) {
        return Arrays.stream(inputs)
                .mapToDouble(x -> Math.sin(5 * x[0]) + x[1] * x[1] - 0.3 * x[2])
                .toArray();
    }

    @Test
    void itPassesThroughTheTargetsAndKnowsWhereItKnowsNothing() {
        double[][] inputs = inputs(30);
        double[] targets = targets(inputs);
        GaussianProcess process = GaussianProcess.of(WORDS, inputs, targets, FITTED);
        double[] means = new double[31];
        double[] deviations = new double[31];
        double[][] at = Arrays.copyOf(inputs, 31);
        at[30] = new double[] {50, 50, 7};
        process.predict(at, means, deviations);
        for (int i = 0; i < 30; i++) {
            assertThat(means[i]).isCloseTo(targets[i], within(1e-3));
            assertThat(deviations[i]).isLessThan(2e-3);
        }
        assertThat(deviations[30]).isCloseTo(Math.sqrt(2), within(1e-9));
    }

    @Test
    void slopesAgreeWithDifferences() {
        double[][] inputs = inputs(20);
        GaussianProcess process = GaussianProcess.of(WORDS, inputs, targets(inputs), FITTED);
        double[] at = {0.37, 0.81, 1};
        double[] meanSlopes = new double[3];
        double[] deviationSlopes = new double[3];
        double[] predicted = process.predict(at, meanSlopes, deviationSlopes);
        double[] means = new double[1];
        double[] deviations = new double[1];
        process.predict(new double[][] {at}, means, deviations);
        assertThat(predicted[0]).isCloseTo(means[0], within(1e-10));
        assertThat(predicted[1]).isCloseTo(deviations[0], within(1e-10));
        for (int j = 0; j < 2; j++) {
            double[] right = at.clone();
            double[] left = at.clone();
            right[j] += 1e-5;
            left[j] -= 1e-5;
            double[] ignored = new double[3];
            double[] more = process.predict(right, ignored, ignored.clone());
            double[] less = process.predict(left, ignored, ignored.clone());
            assertThat(meanSlopes[j]).isCloseTo((more[0] - less[0]) / 2e-5, within(1e-5));
            assertThat(deviationSlopes[j]).isCloseTo((more[1] - less[1]) / 2e-5, within(1e-5));
        }
    }

    @Test
    void believingIsSeeingWhatWasExpected() {
        double[][] inputs = inputs(15);
        double[] targets = targets(inputs);
        GaussianProcess process = GaussianProcess.of(WORDS, inputs, targets, FITTED);
        double[] input = {0.2, 0.9, 2};
        GaussianProcess believing = process.believing(input).believing(new double[] {0.6, 0.1, 0});
        assertThat(believing.size()).isEqualTo(17);
        double[] means = new double[2];
        double[] deviations = new double[2];
        double[][] at = {input, {0.5, 0.5, 1}};
        believing.predict(at, means, deviations);
        assertThat(means[0]).isCloseTo(process.mean(input), within(1e-9));
        assertThat(means[1]).isCloseTo(process.mean(at[1]), within(1e-9));
        assertThat(deviations[0]).isLessThan(2e-3);
        double[] before = new double[2];
        process.predict(at, means, before);
        assertThat(deviations[1]).isLessThan(before[1]);
    }

    @Test
    void repeatedInputsAreNoObstacle() {
        double[][] inputs = new double[60][];
        Arrays.fill(inputs, new double[] {0.5, 0.5, 1});
        double[] targets = new double[60];
        Arrays.fill(targets, 0.25);
        double mean = GaussianProcess.of(WORDS, inputs, targets, new Hyperparameters(new double[] {1, 1, 1}, 1, 0))
                .mean(inputs[0]);
        assertThat(mean).isCloseTo(0.25, within(1e-2));
    }

    @Test
    void theSlopesOfThePosteriorDensityAgreeWithDifferences() {
        double[][] inputs = inputs(25);
        double[] targets = targets(inputs);
        for (boolean noiseless : new boolean[] {true, false}) {
            GaussianProcessFit fit = new GaussianProcessFit(WORDS, inputs, noiseless);
            double[] theta = fit.start();
            for (int i = 0; i < theta.length; i++) {
                theta[i] += random.nextDouble() - 0.5;
            }
            double[] gradient = new double[theta.length];
            fit.loss(targets, theta, gradient);
            for (int i = 0; i < theta.length; i++) {
                double[] more = theta.clone();
                double[] less = theta.clone();
                more[i] += 1e-5;
                less[i] -= 1e-5;
                double[] ignored = new double[theta.length];
                double difference = (fit.loss(targets, more, ignored) - fit.loss(targets, less, ignored)) / 2e-5;
                assertThat(gradient[i]).as("%d", i).isCloseTo(difference, within(1e-3 * (1 + Math.abs(difference))));
            }
        }
    }

    /** At the mean of the prior the prior's own term is 0. */
    @Test
    void theLikelihoodIsThatOfThePosteriorDensity() {
        double[][] inputs = inputs(25);
        double[] targets = targets(inputs);
        double number = -2 * Math.sqrt(2) - Math.log(2);
        double[] theta = {number, number, 0, 0};
        GaussianProcessFit fit = new GaussianProcessFit(WORDS, inputs, true);
        assertThat(fit.likelihood(targets, theta))
                .isCloseTo(-fit.loss(targets, theta, new double[4]), withinPercentage(1e-6));
        theta[3] = 500;
        assertThat(fit.likelihood(targets, theta)).isNotNaN();
    }

    /** A normal prior and a normal likelihood give a normal posterior that is known. */
    @Test
    void drawsHaveMeanAndVarianceOfThePosterior() {
        PosteriorSample.Prior prior = new PosteriorSample.Prior() {
            @Override
            public double[] mean() {
                return new double[] {3};
            }

            @Override
            public double[] draw(RandomGenerator random) {
                return new double[] {2 * random.nextGaussian()};
            }
        };
        double[] theta = {3};
        double sum = 0;
        double squares = 0;
        int count = 20_000;
        for (int i = 0; i < count; i++) {
            theta = PosteriorSample.draw(prior, at -> -0.5 * (at[0] - 1) * (at[0] - 1), theta, 2, random);
            sum += theta[0] / count;
            squares += theta[0] * theta[0] / count;
        }
        assertThat(sum).isCloseTo(1.4, within(0.05));
        assertThat(squares - sum * sum).isCloseTo(0.8, within(0.05));
    }

    @Test
    void slopesOfSeveralBeliefsAgreeWithDifferences() {
        double[][] inputs = inputs(20);
        double[] targets = targets(inputs);
        Hyperparameters other = new Hyperparameters(new double[] {1, 3, 0.5}, 1, 1e-6);
        Acquisition acquisition = new Acquisition(
                List.of(
                        new Acquisition.Objective(GaussianProcess.of(WORDS, inputs, targets, FITTED), -0.5),
                        new Acquisition.Objective(GaussianProcess.of(WORDS, inputs, targets, other), -0.6)),
                List.of(GaussianProcess.of(WORDS, inputs, targets, other)));
        double[] at = {0.41, 0.77, 1};
        double[] slopes = new double[3];
        double score = acquisition.score(at, slopes);
        assertThat(score).isCloseTo(acquisition.scores(new double[][] {at})[0], within(1e-9));
        for (int j = 0; j < 2; j++) {
            double[] right = at.clone();
            double[] left = at.clone();
            right[j] += 1e-5;
            left[j] -= 1e-5;
            double[] found = acquisition.scores(new double[][] {left, right});
            assertThat(slopes[j]).isCloseTo((found[1] - found[0]) / 2e-5, within(1e-3 * (1 + Math.abs(slopes[j]))));
        }
    }

    @Test
    void fittingFindsWhichColumnMatters() {
        double[][] inputs = inputs(60);
        double[] targets =
                Arrays.stream(inputs).mapToDouble(x -> 2 * Math.sin(9 * x[0])).toArray();
        double[] weights = new GaussianProcessFit(WORDS, inputs, true)
                .fit(targets, new GaussianProcessFit(WORDS, inputs, true).start(), 60)
                .hyperparameters()
                .weights();
        assertThat(weights[0]).isGreaterThan(20 * weights[1]);
    }

    @Test
    void improvementIsExactNearAndFar() {
        assertThat(ExpectedImprovement.of(0, 1, 0).log()).isCloseTo(Math.log(0.3989422804014327), within(1e-12));
        assertThat(ExpectedImprovement.of(1, 2, 3).log()).isCloseTo(Math.log(2 * 1.0833154705876864), within(1e-12));
        assertThat(ExpectedImprovement.of(100, 1, 0).log())
                .as("asymptotically log p(z) - 2 log z")
                .isCloseTo(-5000 - 0.9189385332046727 - 2 * Math.log(100) - 3e-4, within(1e-6));
        for (double mean : List.of(-3.0, 0.5, 2.49999, 2.50001, 30.0)) {
            ExpectedImprovement at = ExpectedImprovement.of(mean, 1, 0);
            double byMean = (ExpectedImprovement.of(mean + 1e-5, 1, 0).log()
                            - ExpectedImprovement.of(mean - 1e-5, 1, 0).log())
                    / 2e-5;
            double byDeviation = (ExpectedImprovement.of(mean, 1 + 1e-6, 0).log()
                            - ExpectedImprovement.of(mean, 1 - 1e-6, 0).log())
                    / 2e-6;
            assertThat(at.byMean()).as("%s", mean).isCloseTo(byMean, within(1e-4 * Math.abs(byMean)));
            assertThat(at.byDeviation()).as("%s", mean).isCloseTo(byDeviation, within(1e-4 * Math.abs(byDeviation)));
        }
    }

    @Test
    void aWarpIsMonotoneAndItsDensityCountsTheSlopes() {
        double[] losses = {1e6, 3, 2, 1000, 50, 2.5, 2};
        for (double scale : Warp.scales(losses)) {
            Warp warp = Warp.of(losses, scale);
            double[] warped = warp.apply(losses);
            assertThat(Arrays.stream(warped).average().orElseThrow()).isCloseTo(0, within(1e-9));
            assertThat(Arrays.stream(warped).map(t -> t * t).average().orElseThrow())
                    .isCloseTo(1, within(1e-9));
            double density = 0;
            for (double loss : losses) {
                double step = 1e-4 * (1 + loss);
                density += Math.log((warp.apply(loss + step) - warp.apply(loss)) / step);
            }
            assertThat(warp.density(losses)).isCloseTo(density, within(2e-2));
        }
        assertThat(Warp.of(new double[] {-1e308, 1e308}, Double.POSITIVE_INFINITY)
                        .apply(1e308))
                .isCloseTo(1, within(1e-6));
    }

    @Test
    void theMinimiserKeepsToItsBox() {
        Lbfgs.Minimum found = Lbfgs.minimise(
                (x, gradient) -> {
                    double a = 1 - x[0];
                    double b = x[1] - x[0] * x[0];
                    gradient[0] = -2 * a - 400 * x[0] * b;
                    gradient[1] = 200 * b;
                    return a * a + 100 * b * b;
                },
                new double[] {-1, 0.4},
                new double[] {-2, -2},
                new double[] {2, 0.5},
                500,
                1e-14);
        assertThat(found.x()[0]).isCloseTo(0.7085, within(1e-3));
        assertThat(found.x()[1]).isEqualTo(0.5);
    }
}
