package concertina.trials;

/**
 * What a trial reported on its way.
 *
 * @param number the trial
 * @param step where it was (epochs, or steps)
 * @param value of the first objective, finite
 */
public record TrialReport(long number, double step, double value) {}
