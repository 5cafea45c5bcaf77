package concertina.model;

/** Where a job is in its life. Only the last three are final. */
public enum JobState {
    /** Accepted, holds no slot. Also while all workers were lost and new ones wait for slots. */
    PENDING,
    /** Holds slots, its processes are starting. */
    STARTING,
    /** At least one of its processes runs the script. */
    RUNNING,
    /** Every process ended by itself with exit code 0 and all result files have arrived. */
    FINISHED,
    /** Somebody stopped it. */
    KILLED,
    /** The script failed, or the platform gave up on it; the reason says which. */
    ERROR;

    public boolean finalState() {
        return this == FINISHED || this == KILLED || this == ERROR;
    }
}
