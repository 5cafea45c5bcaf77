package concertina.identity;

import com.nimbusds.jose.JOSEException;
import com.nimbusds.jose.JOSEObjectType;
import com.nimbusds.jose.JWSAlgorithm;
import com.nimbusds.jose.JWSHeader;
import com.nimbusds.jose.JWSSigner;
import com.nimbusds.jose.JWSVerifier;
import com.nimbusds.jose.crypto.RSASSASigner;
import com.nimbusds.jose.crypto.RSASSAVerifier;
import com.nimbusds.jwt.JWTClaimsSet;
import com.nimbusds.jwt.SignedJWT;
import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import concertina.model.UserName;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.text.ParseException;
import java.time.Instant;
import java.time.InstantSource;
import java.util.Base64;
import java.util.Date;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import java.util.zip.CRC32;

/**
 * Users of this installation: passwords checked against the user store, tokens signed here with RS256 and no other algorithm
 * accepted. A token also names a digest of the stored password hash, so that a new password ends all older tokens; the role
 * always comes from the store. Thread-safe.
 */
public final class LocalIdentity implements Identity {
    /** What existing clients saw as a token's life. */
    private static final long TOKEN_SECONDS = 43_164;

    private static final int LONGEST_TOKEN = 8192;
    private static final long CLOCK_SKEW_SECONDS = 60;
    private static final String ISSUER = "KNOXSSO";
    private static final String AUDIENCE = "DSX";

    private final UserStore users;
    private final RevokedTokens revokedTokens;
    private final PasswordHashing passwords;
    private final InstantSource clock;
    private final JWSSigner signer;
    private final JWSVerifier verifier;
    private final KnownPasswords known = new KnownPasswords();
    private final Attempts attempts = new Attempts();

    /** Stands in for the hash of a user who does not exist, so that the answer takes as long. */
    private final String nobodysHash;

    public LocalIdentity(
            UserStore users,
            RevokedTokens revokedTokens,
            TokenKeys keys,
            PasswordHashing passwords,
            InstantSource clock) {
        this.users = users;
        this.revokedTokens = revokedTokens;
        this.passwords = passwords;
        this.clock = clock;
        this.signer = new RSASSASigner(keys.privateKey());
        this.verifier = new RSASSAVerifier(keys.publicKey());
        this.nobodysHash = passwords.nobodysHash();
    }

    @Override
    public Caller logOn(UserName name, char[] password) {
        return logOn(name, password, "");
    }

    @Override
    public Caller logOn(UserName name, char[] password, String address) {
        Instant now = clock.instant();
        Optional<User> user = users.find(name);
        if (user.isPresent() && known.right(user.get(), password, now)) {
            return caller(user.get());
        }
        attempts.take(name, address, now);
        boolean right = passwords.matches(password, user.map(User::passwordHash).orElse(nobodysHash));
        if (!right || user.isEmpty()) {
            throw new ConcertinaException(
                    ErrorCode.NOT_AUTHENTICATED, "user or password is wrong, accepted: an existing user's credentials");
        }
        attempts.succeeded(name, address);
        known.remember(user.get(), password, now);
        return caller(user.get());
    }

    @Override
    public Token issue(Caller caller) {
        User user = users.find(caller.user()).orElseThrow(LocalIdentity::refused);
        Instant now = clock.instant();
        List<String> permissions = switch (user.role()) {
            case USER -> List.of("access_catalog", "can_provision");
            case ADMIN -> List.of("administrator", "can_provision", "manage_catalog", "access_catalog");
        };
        JWTClaimsSet claims = new JWTClaimsSet.Builder()
                .claim("username", user.name().value())
                .claim("role", user.role() == Role.ADMIN ? "Admin" : "User")
                .claim("permissions", permissions)
                .claim("groups", List.of(10000))
                .subject(user.name().value())
                .issuer(ISSUER)
                .audience(AUDIENCE)
                .claim("uid", number(user.name()))
                .claim("authenticator", "default")
                .claim("credential", fingerprint(user))
                .jwtID(UUID.randomUUID().toString())
                .issueTime(Date.from(now))
                .expirationTime(Date.from(now.plusSeconds(TOKEN_SECONDS)))
                .build();
        SignedJWT token = new SignedJWT(
                new JWSHeader.Builder(JWSAlgorithm.RS256)
                        .type(JOSEObjectType.JWT)
                        .build(),
                claims);
        try {
            token.sign(signer);
        } catch (JOSEException e) {
            throw new ConcertinaException(ErrorCode.INTERNAL, "the token could not be signed", e);
        }
        return new Token(token.serialize(), TOKEN_SECONDS);
    }

    @Override
    public Caller verify(String token) {
        return caller(owner(claims(token)));
    }

    @Override
    public void revoke(String token) {
        JWTClaimsSet claims;
        try {
            claims = claims(token);
        } catch (ConcertinaException e) {
            return;
        }
        revokedTokens.revoke(claims.getJWTID(), claims.getExpirationTime().toInstant());
        revokedTokens.forgetUntil(clock.instant());
    }

    /** The claims of a token that is signed by us and within its time; all claims read later are there. */
    private JWTClaimsSet claims(String token) {
        if (token.length() > LONGEST_TOKEN) {
            throw refused();
        }
        try {
            SignedJWT signed = SignedJWT.parse(token);
            if (!JWSAlgorithm.RS256.equals(signed.getHeader().getAlgorithm()) || !signed.verify(verifier)) {
                throw refused();
            }
            JWTClaimsSet claims = signed.getJWTClaimsSet();
            Date expires = claims.getExpirationTime();
            Date issued = claims.getIssueTime();
            Instant now = clock.instant();
            if (!ISSUER.equals(claims.getIssuer())
                    || !claims.getAudience().contains(AUDIENCE)
                    || claims.getJWTID() == null
                    || claims.getSubject() == null
                    || claims.getSubject().isBlank()
                    || expires == null
                    || issued == null
                    || !now.isBefore(expires.toInstant())
                    || issued.toInstant().isAfter(now.plusSeconds(CLOCK_SKEW_SECONDS))) {
                throw refused();
            }
            return claims;
        } catch (ParseException | JOSEException | IllegalArgumentException e) {
            throw refused();
        }
    }

    private User owner(JWTClaimsSet claims) {
        if (revokedTokens.revoked(claims.getJWTID())) {
            throw refused();
        }
        User user = users.find(new UserName(claims.getSubject())).orElseThrow(LocalIdentity::refused);
        if (!fingerprint(user).equals(claims.getClaim("credential"))) {
            throw refused();
        }
        return user;
    }

    private static Caller caller(User user) {
        return new Caller(user.name(), user.role());
    }

    private static ConcertinaException refused() {
        return new ConcertinaException(
                ErrorCode.NOT_AUTHENTICATED,
                "the token is not valid, accepted: one issued by this server that has neither expired nor been revoked");
    }

    /** A number that clients may show; it identifies nothing. */
    private static String number(UserName name) {
        CRC32 crc = new CRC32();
        crc.update(name.value().getBytes(StandardCharsets.UTF_8));
        return Long.toString(1_000_000_000L + crc.getValue() % 1_000_000_000L);
    }

    private static String fingerprint(User user) {
        try {
            byte[] digest = MessageDigest.getInstance("SHA-256")
                    .digest(user.passwordHash().getBytes(StandardCharsets.UTF_8));
            return Base64.getUrlEncoder()
                    .withoutPadding()
                    .encodeToString(digest)
                    .substring(0, 16);
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }
}
