package concertina.model;

/** Identifies a slot in the whole cluster: agent name, slash, index, for example `node1/0`. */
public record SlotId(String value) {
    public SlotId {
        if (value.isBlank()) {
            throw new IllegalArgumentException("SlotId must not be blank");
        }
    }

    @Override
    public String toString() {
        return value;
    }
}
