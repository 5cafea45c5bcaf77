package concertina.identity;

import java.time.Instant;

/** Which tokens were made worthless before their time. Thread-safe; durable when a call returns. */
public interface RevokedTokens {
    /** Remembers a token's id at least until that moment; no effect when it is known. */
    void revoke(String tokenId, Instant until);

    boolean revoked(String tokenId);

    /** Forgets tokens whose moment has passed; they have expired by themselves. */
    void forgetUntil(Instant now);
}
