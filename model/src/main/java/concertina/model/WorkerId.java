package concertina.model;

/**
 * Identifies one worker process of a job. Ordinals count from 1 and are never reused within a job, so a replaced worker
 * has a new id. Written as {@code <job>.<ordinal>}, for example {@code concertina-12.3}.
 */
public record WorkerId(JobId job, int ordinal) {
    public WorkerId {
        if (ordinal < 1) {
            throw new IllegalArgumentException("worker ordinal must be at least 1, not " + ordinal);
        }
    }

    /** Reads the written form; throws {@link IllegalArgumentException} on anything else. */
    public static WorkerId parse(String text) {
        int dot = text.lastIndexOf('.');
        if (dot < 1) {
            throw new IllegalArgumentException("not a worker id: " + text);
        }
        return new WorkerId(new JobId(text.substring(0, dot)), Integer.parseInt(text.substring(dot + 1)));
    }

    @Override
    public String toString() {
        return job + "." + ordinal;
    }
}
