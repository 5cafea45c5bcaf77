package concertina.search;

import concertina.model.ConcertinaException;

/**
 * When a search may end before its budget: when the best loss has not improved by more than a tolerance for a number of completed
 * trials. Used by one thread.
 */
public final class Convergence {
    private final int patience;
    private final double tolerance;
    private double best = Double.POSITIVE_INFINITY;
    private int since;

    /**
     * @param patience completed trials without improvement, at least 1
     * @param tolerance what counts as an improvement, as a share of the best loss's magnitude; at least 0
     */
    public Convergence(int patience, double tolerance) {
        if (patience < 1) {
            throw ConcertinaException.invalid("patience", Integer.toString(patience), "at least 1");
        }
        if (!(tolerance >= 0)) {
            throw ConcertinaException.invalid("tolerance", Double.toString(tolerance), "at least 0");
        }
        this.patience = patience;
        this.tolerance = tolerance;
    }

    /** Takes notice of a trial; only completed ones that meet all constraints count. */
    public void tell(Trial trial) {
        if (trial.state() instanceof Trial.State.Complete(double[] losses, double[] violations)
                && Ranking.violation(violations) == 0) {
            since++;
            if (losses[0] < best - tolerance * Math.abs(best) || Double.isInfinite(best)) {
                best = losses[0];
                since = 0;
            }
        }
    }

    public boolean converged() {
        return since >= patience;
    }

    /** The sentence why. */
    public String reason() {
        return "the best loss " + best + " has not improved by more than " + tolerance * 100 + " % in " + since
                + " completed trials";
    }
}
