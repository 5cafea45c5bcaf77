package concertina.api;

import concertina.identity.Caller;
import concertina.identity.Identity;
import concertina.identity.Role;
import concertina.identity.User;
import concertina.identity.UserStore;
import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import concertina.model.UserName;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/** Users in memory: ada (administrator), bob and eve, whose password is "secret" whatever is stored as its hash. */
public final class FakeIdentity implements Identity, UserStore {
    private final Map<String, User> users = new TreeMap<>();
    private final Map<String, Caller> tokens = new HashMap<>();
    /** Where log-ons came from, in order. */
    public final List<String> addresses = new ArrayList<>();

    public FakeIdentity() {
        for (String name : List.of("ada", "bob", "eve")) {
            Role role = name.equals("ada") ? Role.ADMIN : Role.USER;
            users.put(name, new User(new UserName(name), "hash-of-" + name, role, Instant.EPOCH));
        }
    }

    @Override
    public synchronized Caller logOn(UserName user, char[] password) {
        User known = users.get(user.value());
        if (known == null || !new String(password).equals("secret")) {
            throw new ConcertinaException(ErrorCode.NOT_AUTHENTICATED, "user or password is wrong");
        }
        return new Caller(user, known.role());
    }

    @Override
    public synchronized Caller logOn(UserName user, char[] password, String address) {
        addresses.add(address);
        return logOn(user, password);
    }

    @Override
    public synchronized Token issue(Caller caller) {
        String token = "token-" + caller.user() + "-" + tokens.size();
        tokens.put(token, caller);
        return new Token(token, 43200);
    }

    @Override
    public synchronized Caller verify(String token) {
        Caller caller = tokens.get(token);
        if (caller == null) {
            throw new ConcertinaException(ErrorCode.NOT_AUTHENTICATED, "the token is not valid, log on again");
        }
        return caller;
    }

    @Override
    public synchronized void revoke(String token) {
        tokens.remove(token);
    }

    @Override
    public synchronized Optional<User> find(UserName name) {
        return Optional.ofNullable(users.get(name.value()));
    }

    @Override
    public synchronized List<User> list() {
        return new ArrayList<>(users.values());
    }

    @Override
    public synchronized void add(User user) {
        if (users.putIfAbsent(user.name().value(), user) != null) {
            throw new ConcertinaException(ErrorCode.CONFLICT, "user " + user.name() + " exists");
        }
    }

    @Override
    public synchronized void replace(User user) {
        if (users.replace(user.name().value(), user) == null) {
            throw new ConcertinaException(ErrorCode.NOT_FOUND, "no user " + user.name());
        }
    }
}
