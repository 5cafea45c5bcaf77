package concertina.search;

/**
 * The logarithm of expected improvement and its slopes, exact also where the improvement itself is too small for a double, after Ament,
 * Daulton, Eriksson, Balandat and Bakshy (2023), "Unexpected improvements to expected improvement for Bayesian optimization".
 *
 * <pre>
 * Notation
 *   m, s    mean and standard deviation of the prediction
 *   b       best value so far, to be undercut
 *   z       (b - m) / s
 *   p, P    density and distribution function of the standard normal
 *   h(z)    p(z) + z P(z), so that the expected improvement is s h(z)
 *   t       -z where z is far below 0
 *   c(t)    the continued fraction 1 / (t + 2 / (t + 3 / (t + ...))), which gives P(-t) = p(t) / (t + c)
 * </pre>
 *
 * @param log log of the expected improvement
 * @param byMean its derivative by m
 * @param byDeviation its derivative by s
 */
record ExpectedImprovement(double log, double byMean, double byDeviation) {
    /** Below, h loses digits by cancellation; beyond, the continued fraction needs few terms. */
    private static final double FAR = 2.5;

    private static final int TERMS = 60;

    static ExpectedImprovement of(double mean, double deviation, double best) {
        double z = (best - mean) / deviation;
        if (z > -FAR) {
            double density = Normal.density(z);
            double probability = Normal.probability(z);
            double h = density + z * probability;
            return new ExpectedImprovement(
                    Math.log(deviation) + Math.log(h), -probability / (deviation * h), density / (deviation * h));
        }
        double t = -z;
        double c = fraction(t);
        return new ExpectedImprovement(
                Math.log(deviation) + Normal.logDensity(t) + Math.log(c / (t + c)),
                -1 / (deviation * c),
                (t + c) / (deviation * c));
    }

    /** The derivative of log P(z). */
    static double logProbabilitySlope(double z) {
        return z < -FAR ? -z + fraction(-z) : Normal.density(z) / Normal.probability(z);
    }

    private static double fraction(double t) {
        double tail = t;
        for (int k = TERMS; k >= 2; k--) {
            tail = t + k / tail;
        }
        return 1 / tail;
    }
}
