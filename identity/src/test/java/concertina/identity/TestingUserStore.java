package concertina.identity;

import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import concertina.model.UserName;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;

/** Users in memory. */
public final class TestingUserStore implements UserStore {
    private final ConcurrentHashMap<UserName, User> users = new ConcurrentHashMap<>();

    @Override
    public Optional<User> find(UserName name) {
        return Optional.ofNullable(users.get(name));
    }

    @Override
    public List<User> list() {
        return users.values().stream()
                .sorted(Comparator.comparing(user -> user.name().value()))
                .toList();
    }

    @Override
    public void add(User user) {
        if (users.putIfAbsent(user.name(), user) != null) {
            throw new ConcertinaException(
                    ErrorCode.CONFLICT, "username '" + user.name() + "' is taken, accepted: another");
        }
    }

    @Override
    public void replace(User user) {
        if (users.computeIfPresent(user.name(), (name, present) -> user) == null) {
            throw new ConcertinaException(
                    ErrorCode.NOT_FOUND, "username '" + user.name() + "' is unknown, accepted: an existing user");
        }
    }

    /** Takes a user away, as an administrator with access to the database might. */
    public void remove(UserName name) {
        users.remove(name);
    }
}
