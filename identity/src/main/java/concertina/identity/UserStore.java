package concertina.identity;

import concertina.model.UserName;
import java.util.List;
import java.util.Optional;

/** Where users are kept. Names are compared exactly. Thread-safe; durable when a call returns. */
public interface UserStore {
    Optional<User> find(UserName name);

    /** All users, by name. */
    List<User> list();

    /** Throws CONFLICT when the name exists. */
    void add(User user);

    /** Replaces the user of the same name; throws NOT_FOUND when there is none. */
    void replace(User user);
}
