package concertina.api;

import concertina.identity.Caller;
import concertina.identity.Identity;
import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import concertina.model.UserName;
import io.javalin.http.Context;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.Optional;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/**
 * Finds a request's credentials ({@code X-Auth-Token}, {@code Authorization: Bearer} or {@code Authorization: Basic}, in this
 * order) and has them proved. Thread-safe. Never logs or quotes a credential.
 */
public final class Authentication {
    private static final String ACCEPTED =
            ", accepted: X-Auth-Token, Authorization: Bearer <token> or Authorization: Basic";

    private final Identity identity;
    private final Predicate<String> agentToken;

    /** @param agentToken whether a token is the agents'; must take the same time for every wrong one */
    public Authentication(Identity identity, Predicate<String> agentToken) {
        this.identity = identity;
        this.agentToken = agentToken;
    }

    /** Proves the user who calls; throws NOT_AUTHENTICATED. */
    public Caller user(Context context) {
        Optional<String> token = token(context);
        if (token.isPresent()) {
            return identity.verify(token.get());
        }
        return basic(context);
    }

    /** Proves the user by name and password only; throws NOT_AUTHENTICATED. */
    public Caller basic(Context context) {
        String header = context.header("Authorization");
        if (header == null || header.isBlank()) {
            throw missing("no credentials" + ACCEPTED);
        }
        String credentials = after("Basic", header);
        if (credentials == null) {
            throw missing("Authorization has an unknown scheme" + ACCEPTED);
        }
        String pair = decode(credentials);
        int colon = pair.indexOf(':');
        if (colon < 1) {
            throw missing("Authorization: Basic is malformed, accepted: base64 of user:password");
        }
        char[] password = pair.substring(colon + 1).toCharArray();
        return identity.logOn(new UserName(userPart(pair.substring(0, colon))), password, context.ip());
    }

    /** The token in the request, if any. */
    public Optional<String> token(Context context) {
        String own = context.header("X-Auth-Token");
        if (own != null && !own.isBlank()) {
            String inner = after("Bearer", own);
            return Optional.of(inner == null ? own.strip() : inner);
        }
        String header = context.header("Authorization");
        return header == null ? Optional.empty() : Optional.ofNullable(after("Bearer", header));
    }

    /** Throws NOT_AUTHENTICATED unless the request carries the agents' token. */
    public void agent(Context context) {
        String header = context.header("Authorization");
        String token = header == null ? null : after("Bearer", header);
        if (token == null || !agentToken.test(token)) {
            throw missing("not an agent's token, accepted: Authorization: Bearer <agent token>");
        }
    }

    public Identity identity() {
        return identity;
    }

    private static String userPart(String user) {
        if (user.isBlank()) {
            throw missing("Authorization: Basic is malformed, accepted: base64 of user:password");
        }
        return user;
    }

    private static @Nullable String after(String scheme, String header) {
        String stripped = header.strip();
        if (stripped.length() > scheme.length()
                && stripped.regionMatches(true, 0, scheme, 0, scheme.length())
                && Character.isWhitespace(stripped.charAt(scheme.length()))) {
            return stripped.substring(scheme.length()).strip();
        }
        return null;
    }

    private static String decode(String credentials) {
        try {
            byte[] bytes = Base64.getDecoder().decode(credentials);
            return StandardCharsets.UTF_8
                    .newDecoder()
                    .decode(ByteBuffer.wrap(bytes))
                    .toString();
        } catch (IllegalArgumentException | CharacterCodingException malformed) {
            throw missing("Authorization: Basic is malformed, accepted: base64 of user:password");
        }
    }

    private static ConcertinaException missing(String message) {
        return new ConcertinaException(ErrorCode.NOT_AUTHENTICATED, message);
    }
}
