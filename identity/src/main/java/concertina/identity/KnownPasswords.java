package concertina.identity;

import concertina.model.UserName;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.SecureRandom;
import java.time.Duration;
import java.time.Instant;
import java.util.Arrays;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.Map;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/**
 * Remembers for some minutes which passwords were right, so that Basic credentials on every call do not cost a full hash each.
 * Holds keyed digests only, with a key of this process; an entry is worth nothing once the user's stored hash is another.
 * Bounded; thread-safe.
 */
final class KnownPasswords {
    private static final Duration LIFE = Duration.ofMinutes(5);
    private static final int MOST = 1000;

    private final SecretKeySpec key;

    /** Guarded by this. */
    private final Map<String, Known> known = new LinkedHashMap<>(64, 0.75f, true) {
        @Override
        protected boolean removeEldestEntry(Map.Entry<String, Known> eldest) {
            return size() > MOST;
        }
    };

    KnownPasswords() {
        byte[] bytes = new byte[32];
        new SecureRandom().nextBytes(bytes);
        this.key = new SecretKeySpec(bytes, "HmacSHA256");
    }

    boolean right(User user, char[] password, Instant now) {
        String digest = digest(user.name(), password);
        synchronized (this) {
            Known entry = known.get(digest);
            if (entry == null) {
                return false;
            }
            if (!now.isBefore(entry.until()) || !entry.passwordHash().equals(user.passwordHash())) {
                known.remove(digest);
                return false;
            }
            return true;
        }
    }

    void remember(User user, char[] password, Instant now) {
        String digest = digest(user.name(), password);
        synchronized (this) {
            known.put(digest, new Known(user.passwordHash(), now.plus(LIFE)));
        }
    }

    private String digest(UserName user, char[] password) {
        byte[] name = user.value().getBytes(StandardCharsets.UTF_8);
        byte[] secret = PasswordHashing.bytes(password);
        try {
            Mac mac = Mac.getInstance("HmacSHA256");
            mac.init(key);
            mac.update(ByteBuffer.allocate(Integer.BYTES).putInt(name.length).flip());
            mac.update(name);
            mac.update(secret);
            return Base64.getEncoder().encodeToString(mac.doFinal());
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException(e);
        } finally {
            Arrays.fill(secret, (byte) 0);
        }
    }

    private record Known(String passwordHash, Instant until) {}
}
