package concertina.identity;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Instant;
import org.junit.jupiter.api.Test;

/** What every store of revoked tokens promises; an implementation's test extends this. */
public abstract class RevokedTokensContract {
    private static final Instant NOON = Instant.parse("2030-01-01T12:00:00Z");

    /** The store under test, empty at first, the same one during a test. */
    protected abstract RevokedTokens revokedTokens();

    @Test
    void onlyARevokedTokenIsRevoked() {
        revokedTokens().revoke("a", NOON);

        assertThat(revokedTokens().revoked("a")).isTrue();
        assertThat(revokedTokens().revoked("A")).isFalse();
        assertThat(revokedTokens().revoked("b")).isFalse();
    }

    @Test
    void revokingTwiceChangesNothing() {
        revokedTokens().revoke("a", NOON);
        revokedTokens().revoke("a", NOON);

        assertThat(revokedTokens().revoked("a")).isTrue();
    }

    @Test
    void aTokenIsForgottenOnlyAfterItsTime() {
        revokedTokens().revoke("a", NOON);
        revokedTokens().revoke("b", NOON.plusSeconds(60));

        revokedTokens().forgetUntil(NOON.minusMillis(1));
        assertThat(revokedTokens().revoked("a")).isTrue();

        revokedTokens().forgetUntil(NOON.plusSeconds(1));
        assertThat(revokedTokens().revoked("a")).isFalse();
        assertThat(revokedTokens().revoked("b")).isTrue();
    }
}
