package concertina.search;

/**
 * Keeps a normal distribution from getting caught in one value of a parameter that has cells instead of a continuum.
 *
 * <pre>
 * Notation
 * m, s         mean and standard deviation of one coordinate
 * a            factor by which the coordinate's deviation is stretched
 * l, h         borders of the cell in which m lies
 * α            least probability of leaving the cell
 * </pre>
 *
 * <p>Hamano et al. 2022, "CMA-ES with margin: lower-bounding marginal probability for mixed-integer black-box optimization", GECCO: at
 * the end of the range the mean moves until the neighbour has probability α; in between mean and stretch change until each side has at
 * least α/2.
 */
final class Margin {
    private Margin() {}

    /** Whether a parameter has cells. */
    static boolean applies(Parameter parameter) {
        return Space.cells(parameter) > 1;
    }

    /**
     * Moves the mean of coordinate {@code j} and returns the new stretch.
     *
     * @param deviation without the stretch
     */
    static double correct(Parameter parameter, double[] mean, int j, double deviation, double stretch, double alpha) {
        double low = border(parameter, mean[j], false);
        double high = border(parameter, mean[j], true);
        double s = deviation * stretch;
        double reach = Normal.quantile(1 - alpha);
        if (low <= 0) {
            mean[j] = Math.max(mean[j], high - s * reach);
            return stretch;
        }
        if (high >= 1) {
            mean[j] = Math.min(mean[j], low + s * reach);
            return stretch;
        }
        double below = Normal.probability((low - mean[j]) / s);
        double above = Normal.probability((mean[j] - high) / s);
        if (below >= alpha / 2 && above >= alpha / 2) {
            return stretch;
        }
        double inside = 1 - below - above;
        below = Math.max(below, alpha / 2);
        above = Math.max(above, alpha / 2);
        double excess = below + above + inside - 1;
        double share = excess / (below + above + inside - 1.5 * alpha);
        below -= share * (below - alpha / 2);
        above -= share * (above - alpha / 2);
        double left = -Normal.quantile(below);
        double right = -Normal.quantile(above);
        s = (high - low) / (left + right);
        mean[j] = low + left * s;
        return s / deviation;
    }

    /** A border of the cell around a coordinate. */
    private static double border(Parameter parameter, double u, boolean upper) {
        if (parameter instanceof Parameter.Whole whole && whole.scale() == Parameter.Scale.LOG) {
            double from = StrictMath.log(whole.low() - 0.5);
            double to = StrictMath.log(whole.high() + 0.5);
            double value = Space.number(Space.decode(parameter, u));
            return (StrictMath.log(value + (upper ? 0.5 : -0.5)) - from) / (to - from);
        }
        long cells = Space.cells(parameter);
        long cell = Math.min((long) (Math.clamp(u, 0, 1) * cells), cells - 1);
        return (double) (cell + (upper ? 1 : 0)) / cells;
    }
}
