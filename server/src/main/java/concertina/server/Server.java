package concertina.server;

import concertina.api.Authentication;
import concertina.api.HttpApi;
import concertina.api.HttpOptions;
import concertina.api.Uploads;
import concertina.api.agents.AgentsApi;
import concertina.api.platform.PlatformApi;
import concertina.api.wmla.WmlaApi;
import concertina.api.wmla.WmlaOptions;
import concertina.artifacts.ArchiveLimits;
import concertina.artifacts.FolderJobFiles;
import concertina.artifacts.FolderPlugins;
import concertina.identity.Accounts;
import concertina.identity.AgentToken;
import concertina.identity.LocalIdentity;
import concertina.identity.PasswordHashing;
import concertina.identity.TokenKeys;
import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import concertina.schedule.Planner;
import concertina.schedule.Policy;
import concertina.store.SqliteDatabase;
import concertina.train.JobFiles;
import concertina.train.TrainOptions;
import concertina.train.Trainer;
import concertina.trials.AllSamplers;
import concertina.trials.Searcher;
import io.micrometer.prometheusmetrics.PrometheusConfig;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import java.io.IOException;
import java.net.URI;
import java.nio.channels.FileLock;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.time.Clock;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The composition root: opens what a server consists of, in the order of need, and closes it in the opposite order. Nothing
 * else in the product knows more than its own interfaces. Started and closed by one thread.
 */
final class Server implements AutoCloseable {
    static final String VERSION = "0.1.0";
    private static final Logger log = LoggerFactory.getLogger(Server.class);
    private static final Duration LONGEST_POLL = Duration.ofSeconds(20);
    private static final Duration TICK = Duration.ofSeconds(1);
    private static final Duration EXECUTOR_PATIENCE = Duration.ofSeconds(5);
    private static final String PLUGINS = "tools/tune/plugins";

    /** How long a plug-in may take for one answer, its start included. */
    private static final Duration LONGEST_THOUGHT = Duration.ofMinutes(2);

    private static final int ACTIVE_SEARCHES_PER_USER = 100;
    private static final String FIRST_PASSWORD = "CONCERTINA_ADMINISTRATOR_PASSWORD";

    /** What to close, the last opened first. */
    private final Deque<AutoCloseable> opened = new ArrayDeque<>();

    private URI address = URI.create("https://127.0.0.1");

    private Server() {}

    /**
     * Starts a server and returns when it serves.
     *
     * @param environment holds the first administrator's password if the owner chose one
     */
    static Server start(DataFolder folder, Configuration configuration, Map<String, String> environment) {
        Server server = new Server();
        try {
            server.open(folder, configuration, environment);
            return server;
        } catch (IOException failed) {
            server.close();
            throw new ConcertinaException(
                    ErrorCode.INTERNAL, "the server cannot start: " + failed.getMessage(), failed);
        } catch (RuntimeException failed) {
            server.close();
            throw failed;
        }
    }

    /** Where clients on this machine reach it. */
    URI address() {
        return address;
    }

    private void open(DataFolder folder, Configuration configuration, Map<String, String> environment)
            throws IOException {
        folder.create(configuration);
        FileLock lock = folder.lock();
        opened.push(lock.acquiredBy());
        ProcessFile process = Installation.serverProcess(folder);
        process.write(ProcessHandle.current(), "");
        opened.push(process::delete);

        ServerCertificate certificate = certificate(folder, configuration);
        SqliteDatabase database = SqliteDatabase.open(folder.database());
        opened.push(database);
        Clock clock = Clock.systemUTC();
        PasswordHashing passwords = new PasswordHashing();
        Accounts accounts = new Accounts(database.users(), passwords, clock);
        accounts.createFirstAdministrator(
                firstPassword(folder, environment),
                password -> remember(
                        folder, address(configuration, certificate, configuration.httpsPort()), certificate, password));
        Authentication authentication = new Authentication(
                new LocalIdentity(
                        database.users(),
                        database.revokedTokens(),
                        TokenKeys.open(folder.tokenKey()),
                        passwords,
                        clock),
                AgentToken.open(folder.agentToken())::matches);

        JobFiles files = new FolderJobFiles(folder.results(configuration), limits(configuration));
        ExecutorService planning = Executors.newSingleThreadExecutor(
                Thread.ofPlatform().name("planner").daemon().factory());
        opened.push(() -> stop(planning));
        Trainer trainer = new Trainer(
                database.journal(),
                Planner::plan,
                new Policy(Duration.ofSeconds(configuration.settleSeconds())),
                clock,
                Trainer.randomSecrets(),
                planning,
                options(configuration));
        ScheduledExecutorService ticking = Executors.newSingleThreadScheduledExecutor(
                Thread.ofPlatform().name("ticker").daemon().factory());
        opened.push(() -> stop(ticking));
        ticking.scheduleWithFixedDelay(() -> tick(trainer), 0, TICK.toMillis(), TimeUnit.MILLISECONDS);

        FolderPlugins plugins =
                new FolderPlugins(folder.shared(configuration).resolve(PLUGINS), limits(configuration), clock);
        plugins.sweep();
        PluginProcesses hosts = new PluginProcesses(Home.path(), Home::python, LONGEST_THOUGHT, System.getenv());
        opened.push(hosts);
        Searcher searcher = new Searcher(
                database.searchJournal(),
                trainer,
                files,
                new AllSamplers(plugins, hosts),
                clock,
                ACTIVE_SEARCHES_PER_USER);
        opened.push(searcher);

        PrometheusMeterRegistry metrics = new PrometheusMeterRegistry(PrometheusConfig.DEFAULT);
        opened.push(metrics::close);
        HttpOptions http = http(folder, configuration, certificate);
        Uploads uploads = new Uploads(http);
        uploads.sweep();
        HttpApi api = listen(
                configuration,
                () -> HttpApi.start(
                        http,
                        authentication,
                        metrics,
                        List.of(
                                new AgentsApi(trainer, trainer, files, uploads, LONGEST_POLL),
                                new WmlaApi(
                                        wmla(folder, configuration),
                                        authentication,
                                        uploads,
                                        trainer,
                                        files,
                                        searcher,
                                        plugins,
                                        hosts,
                                        new SecureRandom()),
                                new PlatformApi(
                                        VERSION,
                                        authentication,
                                        uploads,
                                        trainer,
                                        files,
                                        searcher,
                                        accounts,
                                        metrics))));
        opened.push(api);

        address = address(configuration, certificate, api.httpsPort());
        publish(folder, certificate);
        process.write(ProcessHandle.current(), address.toString());
        log.info("serving at {}{}", address, api.httpPort() < 0 ? "" : " and http://127.0.0.1:" + api.httpPort());
    }

    /** What the owner chose, else what an earlier start kept that did not come as far as the account, else empty. */
    private static String firstPassword(DataFolder folder, Map<String, String> environment) {
        String chosen = environment.getOrDefault(FIRST_PASSWORD, "");
        return chosen.isEmpty() && Files.isReadable(folder.clientFile())
                ? Access.read(folder.clientFile()).password()
                : chosen;
    }

    /** Leaves the way in for this installation's own command line. */
    private static void remember(DataFolder folder, URI address, ServerCertificate certificate, String password) {
        new Access(address, certificate.certificateFile(), Accounts.ADMINISTRATOR.value(), password)
                .write(folder.clientFile());
    }

    /** The command line finds this start's address; whom it logs on as stays. */
    private void publish(DataFolder folder, ServerCertificate certificate) {
        Path file = folder.clientFile();
        Access before = Files.isReadable(file)
                ? Access.read(file)
                : new Access(address, null, Accounts.ADMINISTRATOR.value(), "");
        new Access(address, certificate.certificateFile(), before.user(), before.password()).write(file);
    }

    private static ServerCertificate certificate(DataFolder folder, Configuration configuration) {
        Path certificateFile = configuration.certificateFile();
        Path privateKeyFile = configuration.privateKeyFile();
        if (certificateFile != null && privateKeyFile != null) {
            return ServerCertificate.given(certificateFile, privateKeyFile);
        }
        return ServerCertificate.selfSigned(
                folder.tls(),
                configuration.certificateNames(),
                Clock.systemUTC().instant());
    }

    private static URI address(Configuration configuration, ServerCertificate certificate, int port) {
        String host = configuration.listenAddress();
        boolean anywhere = host.equals("0.0.0.0") || host.equals("::");
        if (anywhere || host.equals("127.0.0.1") || configuration.certificateFile() != null) {
            host = certificate.hostName();
        }
        return URI.create("https://" + (host.contains(":") ? "[" + host + "]" : host) + ":" + port);
    }

    private static ArchiveLimits limits(Configuration configuration) {
        ArchiveLimits standard = ArchiveLimits.DEFAULT;
        long upload = uploadBytes(configuration);
        return new ArchiveLimits(
                standard.maxEntries(),
                Math.max(standard.maxTotalBytes(), 4 * upload),
                standard.maxRatio(),
                upload,
                standard.maxPathBytes(),
                standard.maxDepth());
    }

    private static long uploadBytes(Configuration configuration) {
        return (long) configuration.uploadLimitMegabytes() << 20;
    }

    private static TrainOptions options(Configuration configuration) {
        TrainOptions standard = TrainOptions.DEFAULT;
        return new TrainOptions(
                configuration.namespace(),
                configuration.unfinishedJobsLimit(),
                standard.heartbeat(),
                standard.gathering(),
                standard.forming(),
                standard.answering(),
                standard.stopGrace(),
                standard.leftoverGrace(),
                standard.shippingGrace(),
                standard.deaths(),
                new TrainOptions.Patience(
                        Duration.ofSeconds(configuration.hangSeconds()),
                        Duration.ofSeconds(configuration.longWorkSeconds()),
                        Duration.ofSeconds(configuration.loadingSeconds()),
                        Duration.ofSeconds(configuration.gangGraceSeconds()),
                        standard.patience().loads()),
                new TrainOptions.Slowness(
                        configuration.stragglerFactor(),
                        Duration.ofSeconds(configuration.stragglerSeconds()),
                        configuration.stragglerReplacementFactor(),
                        configuration.stragglerReplacements()),
                new TrainOptions.Logs(configuration.logFirstMegabytes(), configuration.logLastMegabytes()));
    }

    private static HttpOptions http(DataFolder folder, Configuration configuration, ServerCertificate certificate) {
        HttpOptions standard = HttpOptions.standard(certificate.keyStore(), certificate.password(), folder.uploads());
        Integer httpPort = configuration.httpPort();
        return new HttpOptions(
                configuration.listenAddress(),
                configuration.httpsPort(),
                certificate.keyStore(),
                certificate.password(),
                httpPort == null ? -1 : httpPort,
                folder.uploads(),
                uploadBytes(configuration),
                standard.headerLimitBytes(),
                standard.concurrentUploads(),
                standard.idleTimeout(),
                standard.uploadTimeout());
    }

    private static WmlaOptions wmla(DataFolder folder, Configuration configuration) {
        return new WmlaOptions(
                configuration.namespace(),
                VERSION,
                "",
                folder.data(configuration),
                folder.results(configuration),
                folder.shared(configuration),
                List.of(folder.shared(configuration), folder.data(configuration)));
    }

    private static HttpApi listen(Configuration configuration, java.util.function.Supplier<HttpApi> start) {
        try {
            return start.get();
        } catch (IllegalStateException failed) {
            throw new ConcertinaException(
                    ErrorCode.CONFLICT,
                    "cannot listen on " + configuration.listenAddress() + " port " + configuration.httpsPort()
                            + (configuration.httpPort() == null
                                    ? ""
                                    : " and 127.0.0.1 port " + configuration.httpPort())
                            + ": in use or not allowed; choose another with https-port (or CONCERTINA_HTTPS_PORT)",
                    failed);
        }
    }

    private static void tick(Trainer trainer) {
        try {
            trainer.tick();
        } catch (RuntimeException failed) {
            log.error("a tick failed", failed);
        }
    }

    private static void stop(ExecutorService executor) throws InterruptedException {
        executor.shutdown();
        if (!executor.awaitTermination(EXECUTOR_PATIENCE.toMillis(), TimeUnit.MILLISECONDS)) {
            executor.shutdownNow();
        }
    }

    @Override
    public void close() {
        while (!opened.isEmpty()) {
            try {
                opened.pop().close();
            } catch (InterruptedException interrupted) {
                Thread.currentThread().interrupt();
            } catch (Exception failed) {
                log.warn("closing failed: {}", failed.toString());
            }
        }
    }
}
