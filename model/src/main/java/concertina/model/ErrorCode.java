package concertina.model;

/** What went wrong, as far as a caller can act on it. The kind fixes the HTTP status. */
public enum ErrorCode {
    INVALID_ARGUMENT(Kind.USER, 400),
    NOT_AUTHENTICATED(Kind.USER, 401),
    FORBIDDEN(Kind.USER, 403),
    /** An object that the exec API's callers name; that API answers 400, not 404. */
    UNKNOWN_TASK(Kind.USER, 400),
    NOT_FOUND(Kind.USER, 404),
    CONFLICT(Kind.USER, 409),
    TOO_LARGE(Kind.USER, 413),
    QUOTA_EXCEEDED(Kind.QUOTA, 429),
    NO_CAPACITY(Kind.CAPACITY, 503),
    /** A disk of the server's is full. */
    NO_SPACE(Kind.CAPACITY, 507),
    ENGINE_FAILED(Kind.ENGINE, 500),
    INTERNAL(Kind.INTERNAL, 500);

    /** Who has to act. */
    public enum Kind {
        USER,
        QUOTA,
        CAPACITY,
        ENGINE,
        INTERNAL
    }

    private final Kind kind;
    private final int httpStatus;

    ErrorCode(Kind kind, int httpStatus) {
        this.kind = kind;
        this.httpStatus = httpStatus;
    }

    public Kind kind() {
        return kind;
    }

    public int httpStatus() {
        return httpStatus;
    }
}
