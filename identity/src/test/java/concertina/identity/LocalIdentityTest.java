package concertina.identity;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import com.nimbusds.jose.JWSAlgorithm;
import com.nimbusds.jose.JWSHeader;
import com.nimbusds.jose.crypto.MACSigner;
import com.nimbusds.jose.crypto.RSASSASigner;
import com.nimbusds.jwt.JWTClaimsSet;
import com.nimbusds.jwt.PlainJWT;
import com.nimbusds.jwt.SignedJWT;
import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import concertina.model.UserName;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.Base64;
import java.util.Date;
import java.util.List;
import java.util.Random;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.IntStream;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class LocalIdentityTest {
    private static final UserName ANNA = new UserName("anna");
    private static final String PASSWORD = "correct horse ü";

    @TempDir
    static Path folder;

    private static TokenKeys keys;
    private static PasswordHashing passwords;

    private final TestingUserStore users = new TestingUserStore();
    private final TestingRevokedTokens revokedTokens = new TestingRevokedTokens();
    private final TestingClock clock = new TestingClock();
    private final Accounts accounts = new Accounts(users, passwords, clock);
    private LocalIdentity identity;

    @BeforeAll
    static void secrets() throws Exception {
        keys = TokenKeys.open(folder.resolve("token-key.pem"));
        passwords = new PasswordHashing();
    }

    @BeforeEach
    void anna() {
        accounts.create(ANNA, PASSWORD.toCharArray(), Role.USER);
        identity = new LocalIdentity(users, revokedTokens, keys, passwords, clock);
    }

    @Test
    void theRightPasswordProvesTheUser() {
        assertThat(logOn("anna", PASSWORD)).isEqualTo(new Caller(ANNA, Role.USER));
    }

    @Test
    void aWrongPasswordAndAnUnknownUserGetTheSameAnswer() {
        String wrong = message(() -> logOn("anna", "wrong password"));
        String unknown = message(() -> logOn("nobody", "wrong password"));

        assertThat(wrong).isEqualTo(unknown).doesNotContain("wrong password");
        refused(ErrorCode.NOT_AUTHENTICATED, () -> logOn("anna", ""));
        refused(ErrorCode.NOT_AUTHENTICATED, () -> logOn("anna", PASSWORD + " "));
        refused(ErrorCode.NOT_AUTHENTICATED, () -> logOn("Anna", PASSWORD));
        refused(ErrorCode.NOT_AUTHENTICATED, () -> logOn("anna", "x".repeat(10_000)));
    }

    @Test
    void anUnknownUserCostsAHashOfTheSameParameters() {
        long before = passwords.done();
        refused(ErrorCode.NOT_AUTHENTICATED, () -> logOn("nobody", PASSWORD));

        assertThat(passwords.done()).isEqualTo(before + 1);
        String parameters = users.find(ANNA).orElseThrow().passwordHash().replaceFirst("p=1.*", "p=1");
        assertThat(parameters).isEqualTo("$argon2id$v=19$m=19456,t=2,p=1");
        assertThat(passwords.nobodysHash())
                .startsWith(parameters)
                .hasSameSizeAs(users.find(ANNA).orElseThrow().passwordHash());
    }

    @Test
    void whenTooManyLogOnTheRestIsTurnedAway() {
        LocalIdentity full = new LocalIdentity(users, revokedTokens, keys, new PasswordHashing(0, 0), clock);

        refused(ErrorCode.QUOTA_EXCEEDED, () -> full.logOn(ANNA, PASSWORD.toCharArray()));
        refused(ErrorCode.QUOTA_EXCEEDED, () -> full.logOn(new UserName("nobody"), PASSWORD.toCharArray()));
    }

    @Test
    void aRightPasswordIsHashedOnceInFiveMinutes() {
        logOn("anna", PASSWORD);
        long before = passwords.done();

        clock.advance(Duration.ofMinutes(5).minusMillis(1));
        logOn("anna", PASSWORD);
        assertThat(passwords.done()).isEqualTo(before);
        refused(ErrorCode.NOT_AUTHENTICATED, () -> logOn("anna", "something else"));
        assertThat(passwords.done()).isEqualTo(before + 1);

        clock.advance(Duration.ofMillis(1));
        logOn("anna", PASSWORD);
        assertThat(passwords.done()).isEqualTo(before + 2);
    }

    @Test
    void manyLogOnsAtOnceAllGetTheirAnswer() throws Exception {
        try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            List<Future<Caller>> callers = IntStream.range(0, 8)
                    .mapToObj(i -> threads.submit(() -> identity.logOn(ANNA, PASSWORD.toCharArray(), "address " + i)))
                    .toList();
            for (Future<Caller> caller : callers) {
                assertThat(caller.get().user()).isEqualTo(ANNA);
            }
        }
    }

    @Test
    void aChangedPasswordEndsTheOldOneAndAllTokens() {
        String token = identity.issue(logOn("anna", PASSWORD)).value();
        accounts.changePassword(ANNA, "another password".toCharArray());

        refused(ErrorCode.NOT_AUTHENTICATED, () -> logOn("anna", PASSWORD));
        refused(ErrorCode.NOT_AUTHENTICATED, () -> identity.verify(token));
        assertThat(logOn("anna", "another password").user()).isEqualTo(ANNA);
    }

    @Test
    void guessingIsSlowedDownForThatUserAndAddressOnly() {
        for (int i = 0; i < 10; i++) {
            refused(ErrorCode.NOT_AUTHENTICATED, () -> logOnFrom("10.0.0.9", "wrong"));
        }
        refused(ErrorCode.QUOTA_EXCEEDED, () -> logOnFrom("10.0.0.9", "wrong"));
        refused(ErrorCode.QUOTA_EXCEEDED, () -> logOnFrom("10.0.0.9", PASSWORD));

        assertThat(logOnFrom("10.0.0.1", PASSWORD).user()).isEqualTo(ANNA);
        assertThat(logOnFrom("10.0.0.9", PASSWORD).user())
                .as("known to be right")
                .isEqualTo(ANNA);
    }

    @Test
    void nobodyIsKeptOutForLong() {
        for (int i = 0; i < 10; i++) {
            refused(ErrorCode.NOT_AUTHENTICATED, () -> logOnFrom("a", "wrong"));
        }
        refused(ErrorCode.QUOTA_EXCEEDED, () -> logOnFrom("a", PASSWORD));
        clock.advance(Duration.ofSeconds(6));

        assertThat(logOnFrom("a", PASSWORD).user()).isEqualTo(ANNA);
        for (int i = 0; i < 9; i++) {
            refused(ErrorCode.NOT_AUTHENTICATED, () -> logOnFrom("a", "wrong"));
        }
    }

    @Test
    void aTokenCarriesTheClaimsThatClientsKnow() throws Exception {
        accounts.create(new UserName("root"), PASSWORD.toCharArray(), Role.ADMIN);
        Identity.Token token = identity.issue(logOn("root", PASSWORD));

        SignedJWT signed = SignedJWT.parse(token.value());
        JWTClaimsSet claims = signed.getJWTClaimsSet();
        assertThat(signed.getHeader().getAlgorithm()).isEqualTo(JWSAlgorithm.RS256);
        assertThat(claims.getStringClaim("username")).isEqualTo("root");
        assertThat(claims.getStringClaim("role")).isEqualTo("Admin");
        assertThat(claims.getStringListClaim("permissions"))
                .containsExactlyInAnyOrder("administrator", "can_provision", "manage_catalog", "access_catalog");
        assertThat(claims.getClaim("groups")).isEqualTo(List.of(10000L));
        assertThat(claims.getSubject()).isEqualTo("root");
        assertThat(claims.getIssuer()).isEqualTo("KNOXSSO");
        assertThat(claims.getAudience()).containsExactly("DSX");
        assertThat(claims.getStringClaim("uid")).matches("[0-9]{10}");
        assertThat(claims.getStringClaim("authenticator")).isEqualTo("default");
        assertThat(Duration.between(
                        claims.getIssueTime().toInstant(),
                        claims.getExpirationTime().toInstant()))
                .isEqualTo(Duration.ofSeconds(43_164));
        assertThat(token.expiresInSeconds()).isEqualTo(43_164);
        assertThat(token.toString()).doesNotContain(token.value());
        JWTClaimsSet user =
                SignedJWT.parse(identity.issue(logOn("anna", PASSWORD)).value()).getJWTClaimsSet();
        assertThat(user.getStringClaim("role")).isEqualTo("User");
        assertThat(user.getStringListClaim("permissions")).containsExactly("access_catalog", "can_provision");
    }

    @Test
    void aTokenProvesItsUserUntilItExpires() {
        String token = identity.issue(logOn("anna", PASSWORD)).value();

        clock.advance(Duration.ofSeconds(43_163));
        assertThat(identity.verify(token)).isEqualTo(new Caller(ANNA, Role.USER));
        clock.advance(Duration.ofSeconds(1));
        refused(ErrorCode.NOT_AUTHENTICATED, () -> identity.verify(token));
    }

    @Test
    void aRevokedTokenProvesNothingAndOthersGoOn() {
        String first = identity.issue(logOn("anna", PASSWORD)).value();
        String second = identity.issue(logOn("anna", PASSWORD)).value();

        identity.revoke(first);
        identity.revoke(first);

        refused(ErrorCode.NOT_AUTHENTICATED, () -> identity.verify(first));
        assertThat(identity.verify(second).user()).isEqualTo(ANNA);
    }

    @Test
    void revokingAForgedTokenHasNoEffect() throws Exception {
        String token = identity.issue(logOn("anna", PASSWORD)).value();
        String forged = token.substring(0, token.length() - 8) + "AAAAAAAA";

        identity.revoke(forged);
        identity.revoke("nonsense");

        assertThat(identity.verify(token).user()).isEqualTo(ANNA);
    }

    @Test
    void aTokenWhoseUserIsGoneProvesNothing() {
        Caller caller = logOn("anna", PASSWORD);
        String token = identity.issue(caller).value();
        users.remove(ANNA);

        refused(ErrorCode.NOT_AUTHENTICATED, () -> identity.verify(token));
        refused(ErrorCode.NOT_AUTHENTICATED, () -> identity.issue(caller));
    }

    @Test
    void theRoleIsTheStoredOneNotTheTokens() {
        String token = identity.issue(logOn("anna", PASSWORD)).value();
        User anna = users.find(ANNA).orElseThrow();
        users.replace(new User(ANNA, anna.passwordHash(), Role.ADMIN, anna.createdAt()));

        assertThat(identity.verify(token).admin()).isTrue();
    }

    @Test
    void noOtherAlgorithmOrKeyIsAccepted() throws Exception {
        JWTClaimsSet claims =
                SignedJWT.parse(identity.issue(logOn("anna", PASSWORD)).value()).getJWTClaimsSet();
        SignedJWT confused = new SignedJWT(new JWSHeader(JWSAlgorithm.HS256), claims);
        confused.sign(new MACSigner(keys.publicKey().getEncoded()));
        SignedJWT longer = new SignedJWT(new JWSHeader(JWSAlgorithm.RS512), claims);
        longer.sign(new RSASSASigner(keys.privateKey()));
        SignedJWT foreign = new SignedJWT(new JWSHeader(JWSAlgorithm.RS256), claims);
        foreign.sign(new RSASSASigner(
                TokenKeys.open(folder.resolve("foreign-key.pem")).privateKey()));

        for (String token : List.of(
                confused.serialize(), longer.serialize(), foreign.serialize(), new PlainJWT(claims).serialize())) {
            refused(ErrorCode.NOT_AUTHENTICATED, () -> identity.verify(token));
        }
    }

    @Test
    void aTokenOfOurKeyWithoutOurClaimsIsRefused() throws Exception {
        JWTClaimsSet good =
                SignedJWT.parse(identity.issue(logOn("anna", PASSWORD)).value()).getJWTClaimsSet();
        assertThat(identity.verify(signed(good)).user()).isEqualTo(ANNA);

        for (String claim : List.of("sub", "iss", "aud", "exp", "iat", "jti", "credential")) {
            String token =
                    signed(new JWTClaimsSet.Builder(good).claim(claim, null).build());
            refused(ErrorCode.NOT_AUTHENTICATED, () -> identity.verify(token));
        }
        String future = signed(new JWTClaimsSet.Builder(good)
                .issueTime(Date.from(clock.instant().plusSeconds(3600)))
                .build());
        refused(ErrorCode.NOT_AUTHENTICATED, () -> identity.verify(future));
        String odd = signed(new JWTClaimsSet.Builder(good).claim("sub", "  ").build());
        refused(ErrorCode.NOT_AUTHENTICATED, () -> identity.verify(odd));
    }

    @Test
    void noChangedByteOfATokenIsAccepted() {
        String token = identity.issue(logOn("anna", PASSWORD)).value();
        String alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.{}\"\u0000é";
        for (long seed = 0; seed < 3000; seed++) {
            Random random = new Random(seed);
            StringBuilder changed = new StringBuilder(token);
            for (int i = 0; i <= random.nextInt(3); i++) {
                changed.setCharAt(random.nextInt(changed.length()), alphabet.charAt(random.nextInt(alphabet.length())));
            }
            if (random.nextInt(10) == 0) {
                changed.setLength(random.nextInt(changed.length()));
            }
            String mutated = changed.toString();
            if (!sameBits(mutated, token)) {
                try {
                    identity.verify(mutated);
                    throw new AssertionError("accepted with seed " + seed);
                } catch (ConcertinaException e) {
                    assertThat(e.code()).as("seed %d", seed).isEqualTo(ErrorCode.NOT_AUTHENTICATED);
                }
            }
        }
    }

    @Test
    void nonsenseIsRefused() {
        String deep = Base64.getUrlEncoder().encodeToString("[".repeat(5000).getBytes(UTF_8));
        for (String token : List.of("", ".", "..", "...", "a.b.c", "null", deep + ".e30.AA", "x".repeat(1 << 20))) {
            refused(ErrorCode.NOT_AUTHENTICATED, () -> identity.verify(token));
        }
    }

    @Test
    void tokensOutliveARestart() throws Exception {
        String token = identity.issue(logOn("anna", PASSWORD)).value();

        LocalIdentity restarted = new LocalIdentity(
                users, revokedTokens, TokenKeys.open(folder.resolve("token-key.pem")), passwords, clock);

        assertThatCode(() -> restarted.verify(token)).doesNotThrowAnyException();
    }

    /** The last character of base64url holds bits that do not count. */
    private static boolean sameBits(String left, String right) {
        String[] a = left.split("\\.", -1);
        String[] b = right.split("\\.", -1);
        if (a.length != 3 || !a[0].equals(b[0]) || !a[1].equals(b[1])) {
            return false;
        }
        try {
            return Arrays.equals(
                    Base64.getUrlDecoder().decode(a[2]), Base64.getUrlDecoder().decode(b[2]));
        } catch (IllegalArgumentException e) {
            return left.equals(right);
        }
    }

    private static String signed(JWTClaimsSet claims) throws Exception {
        SignedJWT token = new SignedJWT(new JWSHeader(JWSAlgorithm.RS256), claims);
        token.sign(new RSASSASigner(keys.privateKey()));
        return token.serialize();
    }

    private Caller logOn(String user, String password) {
        return identity.logOn(new UserName(user), password.toCharArray());
    }

    private Caller logOnFrom(String address, String password) {
        return identity.logOn(ANNA, password.toCharArray(), address);
    }

    private static String message(ThrowingCallable call) {
        try {
            call.call();
        } catch (Throwable e) {
            return String.valueOf(e.getMessage());
        }
        throw new AssertionError("no exception");
    }

    private static void refused(ErrorCode code, ThrowingCallable call) {
        assertThatExceptionOfType(ConcertinaException.class)
                .isThrownBy(call)
                .satisfies(e -> assertThat(e.code()).isEqualTo(code))
                .satisfies(e -> assertThat(e.getMessage()).doesNotContain("\n"));
    }
}
