package concertina.identity;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import concertina.model.UserName;
import java.time.Instant;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** What every user store promises; an implementation's test extends this. */
public abstract class UserStoreContract {
    /** The store under test, empty at first, the same one during a test. */
    protected abstract UserStore users();

    private static User user(String name) {
        return new User(
                new UserName(name), "hash of " + name, Role.USER, Instant.parse("2030-01-02T03:04:05.678901234Z"));
    }

    @Test
    void anAddedUserIsFoundAsItWas() {
        users().add(user("anna"));

        assertThat(users().find(new UserName("anna"))).contains(user("anna"));
        assertThat(users().find(new UserName("anna")).orElseThrow().passwordHash())
                .isEqualTo("hash of anna");
    }

    @Test
    void namesAreComparedExactly() {
        users().add(user("anna"));

        assertThat(users().find(new UserName("Anna"))).isEmpty();
        assertThat(users().find(new UserName("anna "))).isEmpty();
        assertThat(users().find(new UserName("ann_"))).isEmpty();
        assertThat(users().find(new UserName("x' or '1'='1"))).isEmpty();
    }

    @Test
    void usersAreListedByName() {
        assertThat(users().list()).isEmpty();
        List.of("zoe", "anna", "Max").forEach(name -> users().add(user(name)));

        assertThat(users().list()).extracting(user -> user.name().value()).containsExactly("Max", "anna", "zoe");
    }

    @Test
    void aNameIsTakenOnce() {
        users().add(user("anna"));

        assertThatExceptionOfType(ConcertinaException.class)
                .isThrownBy(() -> users().add(new User(new UserName("anna"), "other", Role.ADMIN, Instant.EPOCH)))
                .satisfies(e -> assertThat(e.code()).isEqualTo(ErrorCode.CONFLICT))
                .withMessageContaining("anna");
        assertThat(users().find(new UserName("anna"))).contains(user("anna"));
    }

    @Test
    void aReplacedUserIsTheNewOne() {
        users().add(user("anna"));
        User changed = new User(new UserName("anna"), "new hash", Role.ADMIN, Instant.EPOCH);

        users().replace(changed);

        assertThat(users().find(new UserName("anna"))).contains(changed);
        assertThat(users().list()).hasSize(1);
    }

    @Test
    void anUnknownUserCannotBeReplaced() {
        assertThatExceptionOfType(ConcertinaException.class)
                .isThrownBy(() -> users().replace(user("anna")))
                .satisfies(e -> assertThat(e.code()).isEqualTo(ErrorCode.NOT_FOUND));
        assertThat(users().list()).isEmpty();
    }

    @Test
    void ofManyWhoAddOneNameAtOnceOneSucceeds() throws Exception {
        try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            List<Future<Boolean>> added = IntStream.range(0, 8)
                    .mapToObj(i -> threads.submit(() -> {
                        try {
                            users().add(new User(new UserName("anna"), "hash " + i, Role.USER, Instant.EPOCH));
                            return true;
                        } catch (ConcertinaException e) {
                            return false;
                        }
                    }))
                    .toList();
            int successes = 0;
            for (Future<Boolean> each : added) {
                successes += each.get() ? 1 : 0;
            }
            assertThat(successes).isOne();
        }
    }
}
