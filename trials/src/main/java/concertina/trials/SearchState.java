package concertina.trials;

/** Where a search is in its life. */
public enum SearchState {
    /** Accepted; no trial has begun to run yet. */
    SUBMITTED,
    /** At least one trial has run. */
    RUNNING,
    /** It came to its end and at least one trial was measured. */
    FINISHED,
    /** It came to its end and no trial was measured, or its algorithm failed. */
    FAILED,
    /** A user stopped it; it can be restarted. */
    STOPPED;

    public boolean active() {
        return this == SUBMITTED || this == RUNNING;
    }
}
