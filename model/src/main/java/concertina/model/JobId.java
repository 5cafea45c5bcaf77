package concertina.model;

/** Identifies a job for ever: namespace, hyphen, counter, for example `concertina-12`. */
public record JobId(String value) {
    public JobId {
        if (value.isBlank()) {
            throw new IllegalArgumentException("JobId must not be blank");
        }
    }

    @Override
    public String toString() {
        return value;
    }
}
