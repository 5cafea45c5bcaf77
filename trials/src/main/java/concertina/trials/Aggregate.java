package concertina.trials;

/** Which of a metric's values over the steps of a trial stands for the trial. */
public enum Aggregate {
    MINIMIZE,
    MAXIMIZE,
    LATEST;

    public double of(MetricSummary summary) {
        return switch (this) {
            case MINIMIZE -> summary.min();
            case MAXIMIZE -> summary.max();
            case LATEST -> summary.latest();
        };
    }
}
