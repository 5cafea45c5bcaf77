package concertina.identity;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import concertina.model.UserName;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class AccountsTest {
    private final TestingUserStore users = new TestingUserStore();
    private final PasswordHashing passwords = new PasswordHashing();
    private final TestingClock clock = new TestingClock();
    private final Accounts accounts = new Accounts(users, passwords, clock);

    @Test
    void aCreatedUserIsStoredWithAHashOnly() {
        accounts.create(new UserName("anna.b-c_9"), "a good password".toCharArray(), Role.USER);

        User stored = users.list().getFirst();
        assertThat(stored.name().value()).isEqualTo("anna.b-c_9");
        assertThat(stored.createdAt()).isEqualTo(clock.instant());
        assertThat(stored.passwordHash()).startsWith("$argon2id$").doesNotContain("good");
        assertThat(stored.toString()).doesNotContain("argon2id");
        assertThat(passwords.matches("a good password".toCharArray(), stored.passwordHash()))
                .isTrue();
    }

    @Test
    void twoUsersWithOnePasswordHaveDifferentHashes() {
        accounts.create(new UserName("a"), "a good password".toCharArray(), Role.USER);
        accounts.create(new UserName("b"), "a good password".toCharArray(), Role.USER);

        assertThat(users.list()).extracting(User::passwordHash).doesNotHaveDuplicates();
    }

    @ParameterizedTest
    @ValueSource(strings = {"..", ".x", "-x", "a b", "a/b", "ä", "a\nb", "a:b", "a\\b", "a\0"})
    void aNameThatIsNoNameIsRefused(String name) {
        refused(ErrorCode.INVALID_ARGUMENT, "username", name, "a good password");
        refused(ErrorCode.INVALID_ARGUMENT, "username", "x".repeat(65), "a good password");
        assertThat(users.list()).isEmpty();
    }

    @Test
    void aPasswordHasEightCharactersOrMore() {
        refused(ErrorCode.INVALID_ARGUMENT, "password is '7 characters'", "anna", "seven77");
        refused(ErrorCode.INVALID_ARGUMENT, "password", "anna", "");
        refused(ErrorCode.INVALID_ARGUMENT, "password", "anna", "x".repeat(257));
        accounts.create(new UserName("anna"), "eight888".toCharArray(), Role.USER);
        assertThatExceptionOfType(ConcertinaException.class)
                .isThrownBy(() -> accounts.changePassword(new UserName("anna"), "short".toCharArray()));
    }

    @Test
    void aTakenNameIsAConflict() {
        accounts.create(new UserName("anna"), "a good password".toCharArray(), Role.USER);

        refused(ErrorCode.CONFLICT, "anna", "anna", "another password");
    }

    @Test
    void anUnknownUsersPasswordCannotBeChanged() {
        assertThatExceptionOfType(ConcertinaException.class)
                .isThrownBy(() -> accounts.changePassword(new UserName("nobody"), "a good password".toCharArray()))
                .satisfies(e -> assertThat(e.code()).isEqualTo(ErrorCode.NOT_FOUND));
    }

    @Test
    void theFirstAdministratorIsMadeOnceAndItsPasswordKeptBeforeItExists() {
        List<String> kept = new ArrayList<>();
        accounts.createFirstAdministrator("", password -> {
            assertThat(users.list()).isEmpty();
            kept.add(password);
        });
        accounts.createFirstAdministrator("", kept::add);

        assertThat(kept).hasSize(1);
        assertThat(kept.getFirst()).matches("[A-Za-z0-9]{20}");
        User admin = users.find(Accounts.ADMINISTRATOR).orElseThrow();
        assertThat(admin.role()).isEqualTo(Role.ADMIN);
        assertThat(passwords.matches(kept.getFirst().toCharArray(), admin.passwordHash()))
                .isTrue();
    }

    @Test
    void theOwnersChoiceOfTheFirstPasswordIsCheckedBeforeItIsKept() {
        List<String> kept = new ArrayList<>();
        assertThatExceptionOfType(ConcertinaException.class)
                .isThrownBy(() -> accounts.createFirstAdministrator("short", kept::add))
                .satisfies(e -> assertThat(e.code()).isEqualTo(ErrorCode.INVALID_ARGUMENT));
        assertThat(kept).isEmpty();
        accounts.createFirstAdministrator("long enough", kept::add);
        assertThat(kept).containsExactly("long enough");
    }

    @Test
    void whereThereAreUsersNoAdministratorIsMade() {
        accounts.create(new UserName("anna"), "a good password".toCharArray(), Role.USER);
        accounts.createFirstAdministrator("", password -> {
            throw new AssertionError("kept a password");
        });
        assertThat(users.list()).hasSize(1);
    }

    private void refused(ErrorCode code, String says, String name, String password) {
        assertThatExceptionOfType(ConcertinaException.class)
                .isThrownBy(() -> accounts.create(new UserName(name), password.toCharArray(), Role.USER))
                .satisfies(e -> assertThat(e.code()).isEqualTo(code))
                .satisfies(e -> assertThat(e.getMessage()).doesNotContain("\n").contains("accepted"))
                .withMessageContaining(says);
    }
}
