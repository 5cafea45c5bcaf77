package concertina.search;

import java.util.Arrays;

/**
 * Makes losses of any scale and tail fit a Gaussian process: linear, or logarithmic in the distance to the least one beyond some scale,
 * then moved to mean 0 and variance 1. Which scale explains the values best is for the caller to find out: {@link #density} makes them
 * comparable (Snelson, Rasmussen and Ghahramani 2003, "Warped Gaussian processes").
 *
 * <pre>
 * Notation
 *   y      losses                                              n
 *   z      y − min y
 *   c      scale; infinite for the linear warp
 *   T(z)   log(1 + z/c), or z
 *   t      (T(z) − mean T) / deviation of T                    n
 * </pre>
 */
record Warp(double least, double scale, double mean, double deviation) {
    /** Shares of the losses that lie below the scales worth trying. */
    private static final double[] SHARES = {0.8, 0.4, 0.15};

    private static final double LARGEST = 1e140;

    /** Scales to try for these losses, the linear one first. */
    static double[] scales(double[] losses) {
        double[] sorted = losses.clone();
        Arrays.sort(sorted);
        double[] scales = new double[SHARES.length + 1];
        scales[0] = Double.POSITIVE_INFINITY;
        for (int i = 0; i < SHARES.length; i++) {
            double z = distance(sorted[(int) Math.ceil(SHARES[i] * (sorted.length - 1))], sorted[0]);
            scales[i + 1] = z > 0 ? z : Double.POSITIVE_INFINITY;
        }
        return scales;
    }

    static Warp of(double[] losses, double scale) {
        double least = Arrays.stream(losses).min().orElse(0);
        Warp unscaled = new Warp(least, scale, 0, 1);
        double mean = 0;
        for (double loss : losses) {
            mean += unscaled.apply(loss) / losses.length;
        }
        double variance = 0;
        for (double loss : losses) {
            double off = unscaled.apply(loss) - mean;
            variance += off * off / losses.length;
        }
        return new Warp(least, scale, mean, variance > 0 ? Math.sqrt(variance) : 1);
    }

    private static double distance(double loss, double least) {
        return Math.min(Math.max(loss - least, 0), LARGEST);
    }

    /** A loss as the model sees it. */
    double apply(double loss) {
        double z = distance(loss, least);
        return ((Double.isInfinite(scale) ? z : Math.log1p(z / scale)) - mean) / deviation;
    }

    double[] apply(double[] losses) {
        return Arrays.stream(losses).map(this::apply).toArray();
    }

    /** The logarithm of the product of the slopes at the losses, which turns a density of warped losses into one of losses. */
    double density(double[] losses) {
        double sum = -losses.length * Math.log(deviation);
        for (double loss : losses) {
            sum -= Double.isInfinite(scale) ? 0 : Math.log(scale + distance(loss, least));
        }
        return sum;
    }
}
