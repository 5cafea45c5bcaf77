package concertina.identity;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.security.SecureRandom;
import java.util.Base64;

/** The secret all agents of a cluster present to the server. Immutable, thread-safe; its text form never shows the secret. */
public final class AgentToken {
    private static final int BYTES = 32;

    private final byte[] digest;

    private AgentToken(String token) {
        this.digest = digest(token);
    }

    /** Reads the token file; makes one of 256 random bits, mode 600, when there is none. */
    public static AgentToken open(Path file) throws IOException {
        String token = SecretFile.readOrCreate(file, AgentToken::random).strip();
        if (token.length() < BYTES) {
            throw new IOException("agent token file '" + file + "' holds fewer than " + BYTES + " characters");
        }
        return new AgentToken(token);
    }

    /** Whether this is the token; takes the same time wherever the two differ. */
    public boolean matches(String presented) {
        return MessageDigest.isEqual(digest, digest(presented.strip()));
    }

    @Override
    public String toString() {
        return "AgentToken";
    }

    private static String random() {
        byte[] bits = new byte[BYTES];
        new SecureRandom().nextBytes(bits);
        return Base64.getUrlEncoder().withoutPadding().encodeToString(bits) + "\n";
    }

    private static byte[] digest(String token) {
        try {
            return MessageDigest.getInstance("SHA-256").digest(token.getBytes(StandardCharsets.UTF_8));
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }
}
