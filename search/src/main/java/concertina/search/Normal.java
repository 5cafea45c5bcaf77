package concertina.search;

/**
 * The standard normal distribution.
 *
 * <pre>
 * Notation
 * x       argument
 * φ(x)    density, exp(−x²/2) / √(2π)
 * Φ(x)    probability of at most x
 * t       nearest knot of a table, spacing 1/128; h = x − t
 * </pre>
 *
 * <p>Φ near a knot follows from the Taylor series, since the derivatives of φ are Hermite polynomials times φ: with six terms the
 * error stays below 10⁻¹³ of the value. The knots themselves come from Marsaglia's series (2004, "Evaluating the normal
 * distribution", Journal of Statistical Software 11), in the tails from Laplace's continued fraction,
 * which takes over from |x| = 8.
 */
final class Normal {
    private static final int REACH = 8;
    private static final int KNOTS_PER_UNIT = 128;
    private static final int KNOTS = REACH * KNOTS_PER_UNIT;
    private static final double ROOT_TWO_PI = Math.sqrt(2 * Math.PI);
    private static final double HALF_LOG_TWO_PI = 0.5 * StrictMath.log(2 * Math.PI);

    /** Φ at −k/128. */
    private static final double[] LOWER = new double[KNOTS + 1];

    /** φ at k/128. */
    private static final double[] DENSITY = new double[KNOTS + 1];

    static {
        for (int k = 0; k <= KNOTS; k++) {
            double x = (double) k / KNOTS_PER_UNIT;
            DENSITY[k] = density(x);
            LOWER[k] = x < 3 ? 0.5 - DENSITY[k] * series(x) : DENSITY[k] / fraction(x);
        }
    }

    private Normal() {}

    private static double series(double x) {
        double term = x;
        double sum = x;
        for (int i = 3; Math.abs(term) > 1e-17 * Math.abs(sum); i += 2) {
            term *= x * x / i;
            sum += term;
        }
        return sum;
    }

    private static double fraction(double x) {
        double value = x;
        for (int i = x < 8 ? 200 : 40; i >= 1; i--) {
            value = x + i / value;
        }
        return value;
    }

    /** φ(x). */
    static double density(double x) {
        return StrictMath.exp(-0.5 * x * x) / ROOT_TWO_PI;
    }

    /** log φ(x). */
    static double logDensity(double x) {
        return -0.5 * x * x - HALF_LOG_TWO_PI;
    }

    /** Φ(x). */
    static double probability(double x) {
        return x <= 0 ? lower(-x) : 1 - lower(x);
    }

    /** Probability of an interval, precise in both tails. */
    static double between(double from, double to) {
        return from > 0 ? lower(from) - lower(to) : probability(to) - probability(from);
    }

    /** Φ(−x) for x ≥ 0. */
    private static double lower(double x) {
        if (x > REACH) {
            return density(x) / fraction(x);
        }
        int knot = (int) (x * KNOTS_PER_UNIT + 0.5);
        double t = (double) knot / KNOTS_PER_UNIT;
        double h = x - t;
        double t2 = t * t;
        double second = -t;
        double third = t2 - 1;
        double fourth = -t * (t2 - 3);
        double fifth = t2 * (t2 - 6) + 3;
        double sixth = -t * (t2 * (t2 - 10) + 15);
        double series =
                h * (1 + h / 2 * (second + h / 3 * (third + h / 4 * (fourth + h / 5 * (fifth + h / 6 * sixth)))));
        return LOWER[knot] - DENSITY[knot] * series;
    }

    /** log Φ(x), where Φ itself would vanish too. */
    static double logProbability(double x) {
        return x > -30 ? StrictMath.log(probability(x)) : logDensity(x) - StrictMath.log(fraction(-x));
    }

    /** The x with Φ(x) = p, for p in (0, 1): bisection, then Newton's steps. */
    static double quantile(double p) {
        if (p > 0.5) {
            return -quantile(1 - p);
        }
        double low = -38;
        double high = 0;
        for (int i = 0; i < 20; i++) {
            double middle = (low + high) / 2;
            if (probability(middle) < p) {
                low = middle;
            } else {
                high = middle;
            }
        }
        double x = (low + high) / 2;
        for (int i = 0; i < 3; i++) {
            x -= (probability(x) - p) / density(x);
        }
        return x;
    }
}
