package concertina.model;

/**
 * The one exception type callers see. The message names the field, quotes the value and says what is accepted; it never
 * holds a secret or a stack trace.
 */
public final class ConcertinaException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    private final ErrorCode code;

    public ConcertinaException(ErrorCode code, String message) {
        super(message);
        this.code = code;
    }

    public ConcertinaException(ErrorCode code, String message, Throwable cause) {
        super(message, cause);
        this.code = code;
    }

    public ErrorCode code() {
        return code;
    }

    /** The usual case: a value that is not accepted. */
    public static ConcertinaException invalid(String field, String value, String accepted) {
        return new ConcertinaException(
                ErrorCode.INVALID_ARGUMENT, field + " is '" + value + "', accepted: " + accepted);
    }
}
