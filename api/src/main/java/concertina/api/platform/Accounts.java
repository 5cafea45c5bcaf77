package concertina.api.platform;

import concertina.identity.Role;
import concertina.model.UserName;
import java.time.Instant;
import java.util.List;

/** What the API may do with users. Thread-safe; durable when a call returns. No message or log ever holds a password. */
public interface Accounts {
    /** All users, by name. */
    List<Account> list();

    /** Throws INVALID_ARGUMENT for a name or password that is not accepted, CONFLICT when the name exists. */
    void create(UserName name, char[] password, Role role);

    /** Throws INVALID_ARGUMENT for a password that is not accepted, NOT_FOUND when there is no such user. */
    void changePassword(UserName name, char[] password);

    /** A user without anything secret. */
    record Account(UserName name, Role role, Instant createdAt) {}
}
