package concertina.identity;

import concertina.model.UserName;

/** Proves who calls. Thread-safe. No message or log ever holds a password or token. */
public interface Identity {
    /** Throws NOT_AUTHENTICATED for an unknown user or a wrong password, with the same message and about the same time for both. */
    Caller logOn(UserName user, char[] password);

    /**
     * The same, with attempts from different places counted apart, so that nobody can keep a user out from elsewhere. Throws
     * QUOTA_EXCEEDED after too many failures or with too many log-ons at this moment.
     *
     * @param address where the call comes from
     */
    default Caller logOn(UserName user, char[] password, String address) {
        return logOn(user, password);
    }

    /** A signed token that proves the caller until it expires. */
    Token issue(Caller caller);

    /** Throws NOT_AUTHENTICATED when the token is malformed, forged, expired or revoked, or its user is gone. */
    Caller verify(String token);

    /** Makes a token worthless before its time; no effect on one that is not valid. */
    void revoke(String token);

    /** A token and its life. */
    record Token(String value, long expiresInSeconds) {
        @Override
        public String toString() {
            return "Token[" + expiresInSeconds + " s]";
        }
    }
}
