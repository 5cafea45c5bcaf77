package concertina.search;

import java.util.function.ToDoubleFunction;
import java.util.random.RandomGenerator;

/**
 * Draws from a posterior whose prior is normal, by slices along ellipses: Murray, Adams and MacKay (2010), "Elliptical slice sampling".
 *
 * <pre>
 * Notation
 *   m      mean of the prior
 *   θ      where the chain is
 *   ν      a draw from the prior, less m
 *   a      angle; m + (θ − m) cos a + ν sin a is an ellipse through θ
 * </pre>
 */
final class PosteriorSample {
    private static final int TRIES = 30;

    /** A normal distribution. */
    interface Prior {
        double[] mean();

        /** A draw, less the mean. */
        double[] draw(RandomGenerator random);
    }

    private PosteriorSample() {}

    /**
     * @param likelihood the logarithm of it, negative infinity where there is none
     * @param from where the chain begins
     * @param steps of the chain
     */
    static double[] draw(
            Prior prior, ToDoubleFunction<double[]> likelihood, double[] from, int steps, RandomGenerator random) {
        double[] mean = prior.mean();
        double[] theta = from.clone();
        double value = likelihood.applyAsDouble(theta);
        for (int step = 0; step < steps; step++) {
            double[] drawn = prior.draw(random);
            double level = value + Math.log(random.nextDouble());
            double angle = 2 * Math.PI * random.nextDouble();
            double low = angle - 2 * Math.PI;
            double high = angle;
            for (int tries = 0; tries < TRIES; tries++) {
                double[] next = new double[theta.length];
                for (int j = 0; j < next.length; j++) {
                    next[j] = mean[j] + (theta[j] - mean[j]) * Math.cos(angle) + drawn[j] * Math.sin(angle);
                }
                double there = likelihood.applyAsDouble(next);
                if (there > level) {
                    theta = next;
                    value = there;
                    break;
                }
                low = angle < 0 ? angle : low;
                high = angle < 0 ? high : angle;
                angle = low + (high - low) * random.nextDouble();
            }
        }
        return theta;
    }
}
