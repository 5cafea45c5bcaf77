package concertina.identity;

import java.time.Instant;
import java.util.concurrent.ConcurrentHashMap;

/** Revoked tokens in memory. */
public final class TestingRevokedTokens implements RevokedTokens {
    private final ConcurrentHashMap<String, Instant> tokens = new ConcurrentHashMap<>();

    @Override
    public void revoke(String tokenId, Instant until) {
        tokens.putIfAbsent(tokenId, until);
    }

    @Override
    public boolean revoked(String tokenId) {
        return tokens.containsKey(tokenId);
    }

    @Override
    public void forgetUntil(Instant now) {
        tokens.values().removeIf(until -> until.isBefore(now));
    }
}
