package concertina.api;

import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import java.io.FilterInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.time.Duration;

/** A request body that may be neither larger nor slower than allowed. Used by one thread. */
final class GuardedInput extends FilterInputStream {
    private final long limitBytes;
    private final Duration timeout;
    private final long startNanos = System.nanoTime();
    private long bytes;

    GuardedInput(InputStream body, long limitBytes, Duration timeout) {
        super(body);
        this.limitBytes = limitBytes;
        this.timeout = timeout;
    }

    @Override
    public int read() throws IOException {
        byte[] one = new byte[1];
        return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
    }

    @Override
    public int read(byte[] buffer, int offset, int length) throws IOException {
        int count = super.read(buffer, offset, length);
        bytes += Math.max(0, count);
        if (bytes > limitBytes) {
            throw tooLarge(limitBytes);
        }
        if (count >= 0 && System.nanoTime() - startNanos > timeout.toNanos()) {
            throw new ConcertinaException(
                    ErrorCode.INVALID_ARGUMENT,
                    "the body took longer than " + timeout.toSeconds() + " s to arrive, accepted: a faster upload");
        }
        return count;
    }

    static ConcertinaException tooLarge(long limitBytes) {
        return new ConcertinaException(
                ErrorCode.TOO_LARGE, "the body is over the limit, accepted: at most " + limitBytes + " bytes");
    }
}
