package concertina.api;

import concertina.identity.Caller;
import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import io.javalin.Javalin;
import io.javalin.compression.CompressionStrategy;
import io.javalin.config.JavalinConfig;
import io.javalin.http.Context;
import io.javalin.http.HandlerType;
import io.javalin.http.HttpResponseException;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Timer;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.eclipse.jetty.server.Connector;
import org.eclipse.jetty.server.HttpConfiguration;
import org.eclipse.jetty.server.HttpConnectionFactory;
import org.eclipse.jetty.server.Request;
import org.eclipse.jetty.server.SecureRequestCustomizer;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import org.eclipse.jetty.server.SslConnectionFactory;
import org.eclipse.jetty.util.ssl.SslContextFactory;

/**
 * The HTTP server: one HTTPS port, on request one plain port on the loopback address, every route behind its authentication,
 * every error in its contract's shape. Handlers run on virtual threads. Closing it ends open requests.
 */
public final class HttpApi implements AutoCloseable {
    private static final String HTTPS = "https";
    private static final String HTTP = "http";

    private final Javalin app;
    private final List<Routes.Route> routes;

    private HttpApi(Javalin app, List<Routes.Route> routes) {
        this.app = app;
        this.routes = routes;
    }

    /** Starts serving the contracts; returns once the ports are bound. Throws {@link IllegalStateException} when they cannot be. */
    public static HttpApi start(
            HttpOptions options, Authentication authentication, MeterRegistry metrics, List<Contract> contracts) {
        if (options.httpsPort() < 0 && options.httpPort() < 0) {
            throw new IllegalArgumentException("neither an HTTPS nor an HTTP port is configured");
        }
        Routes routes = new Routes();
        contracts.forEach(contract -> contract.register(routes));
        Javalin app = Javalin.create(config -> configure(config, options, authentication, metrics, routes.all()));
        try {
            app.start();
        } catch (RuntimeException failure) {
            app.stop();
            throw new IllegalStateException(
                    "cannot listen on " + options.listenAddress() + ":" + options.httpsPort() + ": "
                            + failure.getMessage(),
                    failure);
        }
        return new HttpApi(app, routes.all());
    }

    /** The bound HTTPS port; negative when there is none. */
    public int httpsPort() {
        return port(HTTPS);
    }

    /** The bound plain port; negative when there is none. */
    public int httpPort() {
        return port(HTTP);
    }

    public List<Routes.Route> routes() {
        return routes;
    }

    @Override
    public void close() {
        app.stop();
    }

    private int port(String name) {
        for (Connector connector : app.jettyServer().server().getConnectors()) {
            if (name.equals(connector.getName()) && connector instanceof ServerConnector bound) {
                return bound.getLocalPort();
            }
        }
        return -1;
    }

    private static void configure(
            JavalinConfig config,
            HttpOptions options,
            Authentication authentication,
            MeterRegistry metrics,
            List<Routes.Route> routes) {
        config.concurrency.useVirtualThreads = true;
        config.startup.showJavalinBanner = false;
        config.startup.showOldJavalinVersionWarning = false;
        config.startup.startupWatcherEnabled = false;
        config.http.prefer405over404 = true;
        config.http.compressionStrategy = CompressionStrategy.NONE;
        config.http.asyncTimeout = 0;
        config.jetty.modifyServer(server -> server.setErrorHandler(new ErrorPage()));
        config.jetty.modifyServletContextHandler(handler -> handler.setErrorHandler(new ErrorPage()));
        if (options.httpsPort() >= 0) {
            config.jetty.addConnector((server, http) -> https(server, http, options));
        }
        if (options.httpPort() >= 0) {
            config.jetty.addConnector((server, http) -> {
                ServerConnector connector =
                        new ServerConnector(server, new HttpConnectionFactory(configured(http, options)));
                connector.setName(HTTP);
                connector.setHost("127.0.0.1");
                connector.setPort(options.httpPort());
                connector.setIdleTimeout(options.idleTimeout().toMillis());
                return connector;
            });
        }
        for (Routes.Route route : routes) {
            Timer.Builder timer = Timer.builder("http.server.requests")
                    .description("Time from a request's arrival to the end of its answer")
                    .tag("method", route.method())
                    .tag("route", route.path());
            config.routes.addHttpHandler(HandlerType.findOrCreate(route.method()), route.path(), context -> {
                long start = System.nanoTime();
                try {
                    serve(route, context, authentication);
                } finally {
                    timer.register(metrics).record(System.nanoTime() - start, TimeUnit.NANOSECONDS);
                }
            });
        }
        config.routes.exception(Exception.class, Errors::answer);
        // Known to the framework by itself, so the line above does not cover it.
        config.routes.exception(HttpResponseException.class, Errors::answer);
        config.router.javaLangErrorHandler((response, error) -> {
            org.slf4j.LoggerFactory.getLogger(HttpApi.class).error("a request failed", error);
            response.setStatus(500);
        });
    }

    private static void serve(Routes.Route route, Context context, Authentication authentication) throws Exception {
        switch (route.access()) {
            case OPEN -> route.handler().handle(context, Routes.NOBODY);
            case AGENT -> {
                authentication.agent(context);
                route.handler().handle(context, Routes.NOBODY);
            }
            case USER -> route.handler().handle(context, authentication.user(context));
            case ADMIN -> {
                Caller caller = authentication.user(context);
                if (!caller.admin()) {
                    throw new ConcertinaException(ErrorCode.FORBIDDEN, "only an administrator may do this");
                }
                route.handler().handle(context, caller);
            }
        }
    }

    private static HttpConfiguration configured(HttpConfiguration http, HttpOptions options) {
        HttpConfiguration own = new HttpConfiguration(http);
        own.setRequestHeaderSize(options.headerLimitBytes());
        own.setSendServerVersion(false);
        own.setSendDateHeader(true);
        own.setIdleTimeout(options.idleTimeout().toMillis());
        return own;
    }

    private static ServerConnector https(Server server, HttpConfiguration http, HttpOptions options) {
        SslContextFactory.Server tls = new SslContextFactory.Server();
        tls.setKeyStore(options.keyStore());
        tls.setKeyStorePassword(options.keyStorePassword());
        tls.setKeyManagerPassword(options.keyStorePassword());
        // Clients reach one machine under many names, and the certificate is often our own.
        tls.setSniRequired(false);
        HttpConfiguration own = configured(http, options);
        own.addCustomizer(new SecureRequestCustomizer(false));
        ServerConnector connector =
                new ServerConnector(server, new SslConnectionFactory(tls, "http/1.1"), new HttpConnectionFactory(own));
        connector.setName(HTTPS);
        connector.setHost(options.listenAddress());
        connector.setPort(options.httpsPort());
        connector.setIdleTimeout(options.idleTimeout().toMillis());
        return connector;
    }

    /** What Jetty answers before a request reaches a route: malformed request lines, too large headers. */
    private static final class ErrorPage extends org.eclipse.jetty.ee10.servlet.ErrorPageErrorHandler {
        @Override
        public boolean handle(
                Request request, org.eclipse.jetty.server.Response response, org.eclipse.jetty.util.Callback callback) {
            int status = Math.max(400, response.getStatus());
            String path = Request.getPathInContext(request);
            String reason = org.eclipse.jetty.http.HttpStatus.getMessage(status);
            response.getHeaders().put("Content-Type", Errors.contentType(path));
            String body = Errors.body(path, status, "HTTP_" + status, reason);
            org.eclipse.jetty.io.Content.Sink.write(response, true, body, callback);
            return true;
        }
    }
}
