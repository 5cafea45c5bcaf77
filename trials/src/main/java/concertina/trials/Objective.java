package concertina.trials;

/** A metric that a search makes as small or as large as it can. */
public record Objective(String metric, boolean maximize) {
    /** The one value of a trial: the best that it ever reported. */
    public double value(MetricSummary summary) {
        return maximize ? summary.max() : summary.min();
    }

    /** The same for samplers, which minimise. */
    public double loss(MetricSummary summary) {
        return maximize ? -summary.max() : summary.min();
    }

    /** The metric whose loss this is. */
    public double metric(double loss) {
        return maximize ? -loss : loss;
    }
}
