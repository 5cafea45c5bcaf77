package concertina.model;

/** The name a person logs on with. */
public record UserName(String value) {
    public UserName {
        if (value.isBlank()) {
            throw new IllegalArgumentException("UserName must not be blank");
        }
    }

    @Override
    public String toString() {
        return value;
    }
}
