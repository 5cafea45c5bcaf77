package concertina.search;

/**
 * Decides from what trials report on their way whether they are worth going on. Used by one thread. Like a {@link Sampler} a function of
 * its settings and of the calls so far.
 */
public interface Stopper {
    /** The decision and the sentence why. */
    record Verdict(boolean stop, String reason) {}

    /**
     * Called in the order in which reports arrive.
     *
     * @param step position of the report in the trial (epochs, or steps), greater than that of the one before
     * @param loss the first objective, to be minimised; NaN where the trial reports none
     */
    Verdict report(long trial, double step, double loss);

    /** Takes notice that a trial ended, however. */
    void tell(Trial trial);
}
