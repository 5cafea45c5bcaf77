package concertina.server;

import concertina.api.platform.Accounts;
import concertina.identity.Role;
import concertina.model.UserName;
import java.util.List;

/** Hands the API's wishes about users to the identity module. Thread-safe. */
record StoredAccounts(concertina.identity.Accounts accounts) implements Accounts {
    @Override
    public List<Account> list() {
        return accounts.list().stream()
                .map(user -> new Account(user.name(), user.role(), user.createdAt()))
                .toList();
    }

    @Override
    public void create(UserName name, char[] password, Role role) {
        accounts.create(name, password, role);
    }

    @Override
    public void changePassword(UserName name, char[] password) {
        accounts.changePassword(name, password);
    }
}
