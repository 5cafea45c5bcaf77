package concertina.identity;

/** What a user may do beyond its own jobs. */
public enum Role {
    /** Reads and changes only what it created. */
    USER,
    /** Reads and changes everything, and administers users. */
    ADMIN
}
