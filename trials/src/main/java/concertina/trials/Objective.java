package concertina.trials;

/** A metric that a search makes as small or as large as it can. */
public record Objective(String metric, boolean maximize) {
    /** The best value of a trial that it ever reported. */
    public double value(MetricSummary summary) {
        return maximize ? summary.max() : summary.min();
    }

    /** A value of the metric for samplers, which minimise. */
    public double loss(double value) {
        return maximize ? -value : value;
    }

    /** The metric whose loss this is. */
    public double metric(double loss) {
        return maximize ? -loss : loss;
    }
}
