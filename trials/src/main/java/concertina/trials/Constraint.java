package concertina.trials;

/**
 * A bound that a metric of a trial must keep for the trial to count as one that may be used.
 *
 * @param least whether the metric must be at least the bound; else it must be at most that
 */
public record Constraint(String metric, double bound, boolean least) {
    /** By how much a value misses the bound; 0 or less where it is kept. */
    public double violation(double value) {
        double violation = least ? bound - value : value - bound;
        return Math.clamp(violation, -Double.MAX_VALUE, Double.MAX_VALUE);
    }
}
