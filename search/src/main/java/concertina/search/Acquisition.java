package concertina.search;

import java.util.Arrays;
import java.util.List;

/**
 * How much a place promises: the log of expected improvement, plus the log of the probability that each constraint is met (Gardner, Kusner,
 * Xu, Weinberger and Cunningham 2014, "Bayesian optimization with inequality constraints"). Immutable.
 *
 * @param best the value to undercut; infinite while no trial met the constraints, and then only these count
 * @param limits models of the constraints, each of which is met where it is at most 0
 */
record Acquisition(GaussianProcess objective, double best, List<GaussianProcess> limits) {
    Acquisition {
        limits = List.copyOf(limits);
    }

    /** Whether a value to undercut is known. */
    boolean improves() {
        return Double.isFinite(best);
    }

    /** The same, counting only improvements by more than a distance. */
    Acquisition beyond(double distance) {
        return new Acquisition(objective, best - distance, limits);
    }

    /** The scores of many places as the model sees them. */
    double[] scores(double[][] seen) {
        double[] scores = new double[seen.length];
        double[] means = new double[seen.length];
        double[] deviations = new double[seen.length];
        if (improves()) {
            objective.predict(seen, means, deviations);
            for (int i = 0; i < scores.length; i++) {
                scores[i] =
                        ExpectedImprovement.of(means[i], deviations[i], best).log();
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

    /** The score of one place with its slopes. */
    double score(double[] seen, double[] slopes) {
        double[] meanSlopes = new double[seen.length];
        double[] deviationSlopes = new double[seen.length];
        Arrays.fill(slopes, 0);
        double score = 0;
        if (improves()) {
            double[] predicted = objective.predict(seen, meanSlopes, deviationSlopes);
            ExpectedImprovement improvement = ExpectedImprovement.of(predicted[0], predicted[1], best);
            score = improvement.log();
            for (int j = 0; j < slopes.length; j++) {
                slopes[j] = improvement.byMean() * meanSlopes[j] + improvement.byDeviation() * deviationSlopes[j];
            }
        }
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
}
