package concertina.identity;

import concertina.model.ConcertinaException;
import concertina.model.UserName;
import java.security.SecureRandom;
import java.time.InstantSource;
import java.util.List;
import java.util.function.Consumer;
import java.util.regex.Pattern;

/** Creates users and changes passwords; who may ask for that is checked by the caller. Thread-safe. */
public final class Accounts {
    public static final UserName ADMINISTRATOR = new UserName("admin");

    private static final Pattern NAME = Pattern.compile("[A-Za-z0-9_][A-Za-z0-9._-]{0,63}");
    private static final int SHORTEST_PASSWORD = 8;
    static final int LONGEST_PASSWORD = 256;
    private static final String LETTERS = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    private static final int RANDOM_PASSWORD = 20;

    private final UserStore users;
    private final PasswordHashing passwords;
    private final InstantSource clock;

    public Accounts(UserStore users, PasswordHashing passwords, InstantSource clock) {
        this.users = users;
        this.passwords = passwords;
        this.clock = clock;
    }

    /** Throws INVALID_ARGUMENT for a bad name or password, CONFLICT when the name is taken. */
    public User create(UserName name, char[] password, Role role) {
        if (!NAME.matcher(name.value()).matches()) {
            throw ConcertinaException.invalid(
                    "username",
                    shown(name.value()),
                    "1 to 64 letters, digits and '._-', beginning with a letter, digit or '_'");
        }
        check(password);
        User user = new User(name, passwords.hash(password), role, clock.instant());
        users.add(user);
        return user;
    }

    /** Also makes every token and remembered password of that user worthless. Throws NOT_FOUND. */
    public void changePassword(UserName name, char[] password) {
        check(password);
        User present = users.find(name)
                .orElseThrow(() -> new ConcertinaException(
                        concertina.model.ErrorCode.NOT_FOUND,
                        "username '" + shown(name.value()) + "' is unknown, accepted: an existing user"));
        users.replace(new User(name, passwords.hash(password), present.role(), present.createdAt()));
    }

    public List<User> list() {
        return users.list();
    }

    /**
     * Creates the first administrator when there is no user at all; otherwise has no effect.
     *
     * @param chosen the owner's choice; a random password is made when empty
     * @param keep is handed the password before the account exists, so that no crash in between can lose it
     */
    public void createFirstAdministrator(String chosen, Consumer<String> keep) {
        if (!users.list().isEmpty()) {
            return;
        }
        String password = chosen.isEmpty() ? randomPassword() : chosen;
        check(password.toCharArray());
        keep.accept(password);
        create(ADMINISTRATOR, password.toCharArray(), Role.ADMIN);
    }

    private static String randomPassword() {
        SecureRandom random = new SecureRandom();
        StringBuilder password = new StringBuilder();
        for (int i = 0; i < RANDOM_PASSWORD; i++) {
            password.append(LETTERS.charAt(random.nextInt(LETTERS.length())));
        }
        return password.toString();
    }

    private static void check(char[] password) {
        if (password.length < SHORTEST_PASSWORD || password.length > LONGEST_PASSWORD) {
            throw ConcertinaException.invalid(
                    "password",
                    password.length + " characters",
                    SHORTEST_PASSWORD + " to " + LONGEST_PASSWORD + " characters");
        }
    }

    private static String shown(String name) {
        String cut = name.length() > 80 ? name.substring(0, 80) + "…" : name;
        return cut.replaceAll("\\p{Cntrl}", "?");
    }
}
