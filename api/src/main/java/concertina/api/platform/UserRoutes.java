package concertina.api.platform;

import concertina.api.Answers;
import concertina.api.Authentication;
import concertina.api.Routes;
import concertina.api.Uploads;
import concertina.identity.Accounts;
import concertina.identity.Caller;
import concertina.identity.Role;
import concertina.identity.User;
import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import concertina.model.UserName;
import concertina.wire.Json;
import io.javalin.http.Context;
import java.io.IOException;
import java.time.Instant;
import java.util.Arrays;
import java.util.Locale;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.json.JsonMapper;

/** Users: an administrator lists and adds them, everybody changes the own password. Thread-safe. */
final class UserRoutes {
    private static final String USERS = PlatformApi.BASE + "/users";
    private static final int BODY_LIMIT_BYTES = 64 << 10;

    private final Accounts accounts;
    private final Authentication authentication;
    private final Uploads uploads;
    private final JsonMapper json = Json.mapper();

    UserRoutes(Accounts accounts, Authentication authentication, Uploads uploads) {
        this.accounts = accounts;
        this.authentication = authentication;
        this.uploads = uploads;
    }

    private record NewUser(
            @Nullable String name,
            @Nullable String password,
            @Nullable String role) {}

    private record NewPassword(
            @Nullable String oldPassword, @Nullable String password) {}

    void register(Routes routes) {
        routes.admin(
                "GET",
                USERS,
                (context, caller) -> Answers.json(
                        context, accounts.list().stream().map(Account::of).toList()));
        routes.admin("POST", USERS, this::create);
        routes.user("PUT", USERS + "/{name}/password", this::changePassword);
    }

    private void create(Context context, Caller caller) throws IOException {
        NewUser user = read(context, NewUser.class);
        String name = present("name", user.name());
        String password = present("password", user.password());
        char[] secret = password.toCharArray();
        try {
            User created = accounts.create(new UserName(name), secret, role(user.role()));
            context.status(201);
            Answers.json(context, Account.of(created));
        } finally {
            Arrays.fill(secret, '\0');
        }
    }

    /** A user without anything secret. */
    private record Account(UserName name, Role role, Instant createdAt) {
        static Account of(User user) {
            return new Account(user.name(), user.role(), user.createdAt());
        }
    }

    /** Needs the old password unless an administrator sets somebody else's. */
    private void changePassword(Context context, Caller caller) throws IOException {
        UserName name = new UserName(context.pathParam("name"));
        if (!caller.mayTouch(name)) {
            throw new ConcertinaException(ErrorCode.FORBIDDEN, "only an administrator may change another's password");
        }
        NewPassword change = read(context, NewPassword.class);
        String password = present("password", change.password());
        if (caller.user().equals(name)) {
            char[] old = present("oldPassword", change.oldPassword()).toCharArray();
            try {
                authentication.identity().logOn(name, old, context.ip());
            } catch (ConcertinaException wrong) {
                if (wrong.code() != ErrorCode.NOT_AUTHENTICATED) {
                    throw wrong;
                }
                throw new ConcertinaException(ErrorCode.FORBIDDEN, "oldPassword is not the present password");
            } finally {
                Arrays.fill(old, '\0');
            }
        }
        char[] secret = password.toCharArray();
        try {
            accounts.changePassword(name, secret);
        } finally {
            Arrays.fill(secret, '\0');
        }
        context.status(204);
    }

    private static Role role(@Nullable String role) {
        if (role == null) {
            return Role.USER;
        }
        return switch (role.toUpperCase(Locale.ROOT)) {
            case "USER" -> Role.USER;
            case "ADMIN" -> Role.ADMIN;
            default -> throw ConcertinaException.invalid("role", role, "one of USER, ADMIN");
        };
    }

    private static String present(String field, @Nullable String value) {
        if (value == null || value.isBlank()) {
            throw ConcertinaException.invalid(field, "", "text that is not empty");
        }
        return value;
    }

    private <T> T read(Context context, Class<T> type) throws IOException {
        try {
            T value = json.readValue(uploads.small(context, BODY_LIMIT_BYTES), type);
            if (value != null) {
                return value;
            }
        } catch (JacksonException malformed) {
            // Without the cause's message: it may quote the password.
            throw new ConcertinaException(
                    ErrorCode.INVALID_ARGUMENT, "the body is not the JSON object that this call takes");
        }
        throw new ConcertinaException(ErrorCode.INVALID_ARGUMENT, "the body is empty, accepted: JSON");
    }
}
