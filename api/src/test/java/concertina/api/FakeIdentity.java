package concertina.api;

import concertina.api.platform.Accounts;
import concertina.identity.Caller;
import concertina.identity.Identity;
import concertina.identity.Role;
import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import concertina.model.UserName;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** Users with plain passwords in memory. Begins with ada (administrator), bob and eve; everybody's password is "secret". */
public final class FakeIdentity implements Identity, Accounts {
    private record Known(String password, Role role) {}

    private final Map<String, Known> users = new TreeMap<>();
    private final Map<String, Caller> tokens = new HashMap<>();

    public FakeIdentity() {
        users.put("ada", new Known("secret", Role.ADMIN));
        users.put("bob", new Known("secret", Role.USER));
        users.put("eve", new Known("secret", Role.USER));
    }

    @Override
    public synchronized Caller logOn(UserName user, char[] password) {
        Known known = users.get(user.value());
        if (known == null || !known.password().equals(new String(password))) {
            throw new ConcertinaException(ErrorCode.NOT_AUTHENTICATED, "user or password is wrong");
        }
        return new Caller(user, known.role());
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
    public synchronized List<Account> list() {
        List<Account> accounts = new ArrayList<>();
        users.forEach((name, known) -> accounts.add(new Account(new UserName(name), known.role(), Instant.EPOCH)));
        return accounts;
    }

    @Override
    public synchronized void create(UserName name, char[] password, Role role) {
        if (users.putIfAbsent(name.value(), new Known(new String(password), role)) != null) {
            throw new ConcertinaException(ErrorCode.CONFLICT, "user " + name + " exists");
        }
    }

    @Override
    public synchronized void changePassword(UserName name, char[] password) {
        if (users.computeIfPresent(name.value(), (key, known) -> new Known(new String(password), known.role()))
                == null) {
            throw new ConcertinaException(ErrorCode.NOT_FOUND, "no user " + name);
        }
    }
}
