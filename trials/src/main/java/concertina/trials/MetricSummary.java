package concertina.trials;

/** What a trial reported of one metric over all its steps; finite numbers. */
public record MetricSummary(String name, double min, double max, double latest) {}
