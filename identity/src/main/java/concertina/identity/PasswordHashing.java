package concertina.identity;

import com.password4j.Argon2Function;
import com.password4j.types.Argon2;
import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.StandardCharsets;
import java.security.SecureRandom;
import java.util.Arrays;
import java.util.Base64;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Argon2id with 19 MiB, two passes, one lane: the smallest memory that OWASP recommends with that many passes, because every
 * hash under way holds that memory. Only so many hashes run at once; some more callers wait a little, the rest get
 * QUOTA_EXCEEDED. Thread-safe; keeps no password.
 */
public final class PasswordHashing {
    private static final int MEMORY_KIB = 19 * 1024;
    private static final int PASSES = 2;
    private static final int LANES = 1;
    private static final int HASH_BYTES = 32;
    private static final int SALT_BYTES = 16;
    private static final int WAIT_SECONDS = 10;

    private final Argon2Function argon = Argon2Function.getInstance(MEMORY_KIB, PASSES, LANES, HASH_BYTES, Argon2.ID);
    private final SecureRandom random = new SecureRandom();
    private final Semaphore running;
    private final AtomicInteger present = new AtomicInteger();
    private final AtomicLong done = new AtomicLong();
    private final int mostPresent;

    /**
     * @param concurrent hashes at once
     * @param waiting callers that may wait for their turn
     */
    public PasswordHashing(int concurrent, int waiting) {
        this.running = new Semaphore(concurrent, true);
        this.mostPresent = concurrent + waiting;
    }

    /** Two hashes at once, 32 callers waiting. */
    public PasswordHashing() {
        this(2, 32);
    }

    /** Hashes computed so far. */
    public long done() {
        return done.get();
    }

    /** Looks like an encoded hash and costs as much to check, but belongs to no password. */
    String nobodysHash() {
        byte[] bytes = new byte[SALT_BYTES + HASH_BYTES];
        random.nextBytes(bytes);
        Base64.Encoder base64 = Base64.getEncoder().withoutPadding();
        return "$argon2id$v=19$m=" + MEMORY_KIB + ",t=" + PASSES + ",p=" + LANES + "$"
                + base64.encodeToString(Arrays.copyOf(bytes, SALT_BYTES)) + "$"
                + base64.encodeToString(Arrays.copyOfRange(bytes, SALT_BYTES, bytes.length));
    }

    /** The encoded hash, parameters and a new salt included. */
    String hash(char[] password) {
        byte[] salt = new byte[SALT_BYTES];
        random.nextBytes(salt);
        return inTurn(password, bytes -> argon.hash(bytes, salt).getResult());
    }

    /** Whether the password belongs to an encoded hash, whatever its parameters. */
    boolean matches(char[] password, String encoded) {
        return inTurn(
                password,
                bytes -> Argon2Function.getInstanceFromHash(encoded)
                        .check(bytes, encoded.getBytes(StandardCharsets.US_ASCII)));
    }

    private <T> T inTurn(char[] password, Work<T> work) {
        try {
            if (present.incrementAndGet() > mostPresent || !running.tryAcquire(WAIT_SECONDS, TimeUnit.SECONDS)) {
                throw busy();
            }
            byte[] bytes = bytes(password);
            try {
                return work.with(bytes);
            } finally {
                done.incrementAndGet();
                Arrays.fill(bytes, (byte) 0);
                running.release();
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw busy();
        } finally {
            present.decrementAndGet();
        }
    }

    static byte[] bytes(char[] password) {
        ByteBuffer encoded = StandardCharsets.UTF_8.encode(CharBuffer.wrap(password));
        byte[] bytes = new byte[encoded.remaining()];
        encoded.get(bytes);
        Arrays.fill(encoded.array(), (byte) 0);
        return bytes;
    }

    private static ConcertinaException busy() {
        return new ConcertinaException(
                ErrorCode.QUOTA_EXCEEDED, "too many log-ons at this moment, accepted: the same again in some seconds");
    }

    private interface Work<T> {
        T with(byte[] password);
    }
}
