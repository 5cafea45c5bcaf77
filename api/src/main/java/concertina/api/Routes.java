package concertina.api;

import concertina.identity.Caller;
import concertina.identity.Role;
import concertina.model.UserName;
import io.javalin.http.Context;
import java.util.ArrayList;
import java.util.List;

/**
 * The routes that contracts register, each with who may call it. A handler is reached only after that has been proved, so no
 * handler authenticates by itself. Not thread-safe: filled before the server starts.
 */
public final class Routes {
    /** Who may call a route. */
    public enum Access {
        /** Anybody. */
        OPEN,
        /** Any user. */
        USER,
        /** An administrator. */
        ADMIN,
        /** An agent, by its token. */
        AGENT
    }

    /** What a route does for a user. */
    @FunctionalInterface
    public interface UserHandler {
        void handle(Context context, Caller caller) throws Exception;
    }

    /** What a route does for anybody or for an agent. */
    @FunctionalInterface
    public interface PlainHandler {
        void handle(Context context) throws Exception;
    }

    /** A route; in {@code path} a parameter is {@code {name}}, one that spans slashes {@code <name>}. */
    public record Route(String method, String path, Access access, UserHandler handler) {}

    static final Caller NOBODY = new Caller(new UserName("nobody"), Role.USER);

    private final List<Route> registered = new ArrayList<>();

    public void open(String method, String path, PlainHandler handler) {
        registered.add(new Route(method, path, Access.OPEN, (context, nobody) -> handler.handle(context)));
    }

    public void user(String method, String path, UserHandler handler) {
        registered.add(new Route(method, path, Access.USER, handler));
    }

    public void admin(String method, String path, UserHandler handler) {
        registered.add(new Route(method, path, Access.ADMIN, handler));
    }

    public void agent(String method, String path, PlainHandler handler) {
        registered.add(new Route(method, path, Access.AGENT, (context, nobody) -> handler.handle(context)));
    }

    /** Everything registered, in order. */
    public List<Route> all() {
        return List.copyOf(registered);
    }
}
