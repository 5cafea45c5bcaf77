package concertina.trials;

import concertina.search.AshaStopper;
import concertina.search.MedianStopper;
import concertina.search.Stopper;

/**
 * By which rule trials are stopped that report worse than others.
 *
 * @param minSteps before that step no trial is stopped, more than 0
 * @param maxSteps the step at which a trial ends by itself; what the median rule does not ask for
 * @param eta of so many trials one goes on, more than 1; what the median rule does not ask for
 * @param trials before so many have ended none is stopped, at least 1; what ASHA does not ask for
 */
public record EarlyStopping(Rule rule, double minSteps, double maxSteps, double eta, int trials) {
    /** How trials are compared. */
    public enum Rule {
        /** Those not among the best 1/eta at one of a few steps are stopped. */
        ASHA,
        /** Those worse than the median of what others had reached by the same step are stopped. */
        MEDIAN
    }

    /** One that has heard of no trial yet. Throws INVALID_ARGUMENT when the numbers do not fit together. */
    public Stopper stopper() {
        return switch (rule) {
            case ASHA -> new AshaStopper(minSteps, maxSteps, eta);
            case MEDIAN -> new MedianStopper(minSteps, trials);
        };
    }
}
