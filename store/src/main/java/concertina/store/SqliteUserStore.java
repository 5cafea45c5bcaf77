package concertina.store;

import concertina.identity.Role;
import concertina.identity.User;
import concertina.identity.UserStore;
import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import concertina.model.UserName;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import org.jdbi.v3.core.statement.StatementContext;

/** Users in table user_account. Thread-safe. */
final class SqliteUserStore implements UserStore {
    private final SqliteDatabase database;

    SqliteUserStore(SqliteDatabase database) {
        this.database = database;
    }

    @Override
    public Optional<User> find(UserName name) {
        return database.read(handle -> handle.select(
                        "select name, password_hash, role, created_at from user_account where name = ?", name.value())
                .map(SqliteUserStore::user)
                .findOne());
    }

    @Override
    public List<User> list() {
        return database.read(
                handle -> handle.select("select name, password_hash, role, created_at from user_account order by name")
                        .map(SqliteUserStore::user)
                        .list());
    }

    @Override
    public void add(User user) {
        int added = database.write(handle -> handle.execute(
                """
                insert into user_account (name, password_hash, role, created_at) values (?, ?, ?, ?)
                on conflict (name) do nothing""",
                user.name().value(),
                user.passwordHash(),
                user.role().name(),
                user.createdAt().toString()));
        if (added == 0) {
            throw new ConcertinaException(
                    ErrorCode.CONFLICT, "username '" + user.name() + "' is taken, accepted: a name not in use");
        }
    }

    @Override
    public void replace(User user) {
        int replaced = database.write(handle -> handle.execute(
                "update user_account set password_hash = ?, role = ?, created_at = ? where name = ?",
                user.passwordHash(),
                user.role().name(),
                user.createdAt().toString(),
                user.name().value()));
        if (replaced == 0) {
            throw new ConcertinaException(
                    ErrorCode.NOT_FOUND, "username '" + user.name() + "' is unknown, accepted: an existing user");
        }
    }

    private static User user(ResultSet row, StatementContext context) throws SQLException {
        return new User(
                new UserName(row.getString("name")),
                row.getString("password_hash"),
                Role.valueOf(row.getString("role")),
                Instant.parse(row.getString("created_at")));
    }
}
