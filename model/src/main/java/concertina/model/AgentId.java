package concertina.model;

/** Identifies an agent by its configured name, for example `node1`. */
public record AgentId(String value) {
    public AgentId {
        if (value.isBlank()) {
            throw new IllegalArgumentException("AgentId must not be blank");
        }
    }

    @Override
    public String toString() {
        return value;
    }
}
