package concertina.search;

import java.util.Arrays;
import java.util.List;

/**
 * How much a place promises: the log of expected improvement, averaged over how the losses may depend on the parameters (Snoek, Larochelle
 * and Adams 2012, "Practical Bayesian optimization of machine learning algorithms"), plus the log of the probability that each constraint is
 * met (Gardner, Kusner, Xu, Weinberger and Cunningham 2014, "Bayesian optimization with inequality constraints"). Immutable.
 *
 * @param objectives what the losses may be, each as likely as the others; at least one
 * @param limits models of the constraints, each of which is met where it is at most 0
 */
record Acquisition(List<Objective> objectives, List<GaussianProcess> limits) {
    /**
     * One belief about the losses.
     *
     * @param best the value to undercut; infinite while no trial met the constraints, and then only these count
     */
    record Objective(GaussianProcess process, double best) {}

    Acquisition {
        objectives = List.copyOf(objectives);
        limits = List.copyOf(limits);
    }

    /** Whether a value to undercut is known. */
    boolean improves() {
        return Double.isFinite(objectives.getFirst().best);
    }

    /** The scores of many places as the model sees them. */
    double[] scores(double[][] seen) {
        double[] scores = new double[seen.length];
        double[] means = new double[seen.length];
        double[] deviations = new double[seen.length];
        if (improves()) {
            Arrays.fill(scores, Double.NEGATIVE_INFINITY);
            for (Objective objective : objectives) {
                objective.process.predict(seen, means, deviations);
                for (int i = 0; i < scores.length; i++) {
                    double improvement = ExpectedImprovement.of(means[i], deviations[i], objective.best)
                            .log();
                    scores[i] = logSum(scores[i], improvement - Math.log(objectives.size()));
                }
            }
        }
        for (GaussianProcess limit : limits) {
            limit.predict(seen, means, deviations);
            for (int i = 0; i < scores.length; i++) {
                scores[i] += Normal.logProbability(-means[i] / deviations[i]);
            }
        }
        return scores;
    }

    /** The logarithm of the sum of two numbers given by theirs. */
    private static double logSum(double a, double b) {
        double greater = Math.max(a, b);
        return greater == Double.NEGATIVE_INFINITY ? greater : greater + Math.log1p(Math.exp(Math.min(a, b) - greater));
    }

    /** The score of one place with its slopes. */
    double score(double[] seen, double[] slopes) {
        Arrays.fill(slopes, 0);
        double score = improves() ? improvement(seen, slopes) : 0;
        double[] meanSlopes = new double[seen.length];
        double[] deviationSlopes = new double[seen.length];
        for (GaussianProcess limit : limits) {
            double[] predicted = limit.predict(seen, meanSlopes, deviationSlopes);
            double z = -predicted[0] / predicted[1];
            double slope = ExpectedImprovement.logProbabilitySlope(z) / predicted[1];
            score += Normal.logProbability(z);
            for (int j = 0; j < slopes.length; j++) {
                slopes[j] -= slope * (meanSlopes[j] + z * deviationSlopes[j]);
            }
        }
        return score;
    }

    /** Each belief adds to the slopes by its share of the improvement. */
    private double improvement(double[] seen, double[] slopes) {
        double[] meanSlopes = new double[seen.length];
        double[] deviationSlopes = new double[seen.length];
        double score = Double.NEGATIVE_INFINITY;
        for (Objective objective : objectives) {
            double[] predicted = objective.process.predict(seen, meanSlopes, deviationSlopes);
            ExpectedImprovement improvement = ExpectedImprovement.of(predicted[0], predicted[1], objective.best);
            double part = improvement.log() - Math.log(objectives.size());
            double sum = logSum(score, part);
            double share = part == Double.NEGATIVE_INFINITY ? 0 : Math.exp(part - sum);
            for (int j = 0; j < slopes.length; j++) {
                double slope = improvement.byMean() * meanSlopes[j] + improvement.byDeviation() * deviationSlopes[j];
                slopes[j] = (1 - share) * slopes[j] + share * slope;
            }
            score = sum;
        }
        return score;
    }
}
