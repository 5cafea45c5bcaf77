package concertina.api;

import concertina.api.agents.AgentsApi;
import concertina.api.platform.PlatformApi;
import concertina.api.wmla.WmlaApi;
import concertina.api.wmla.WmlaOptions;
import concertina.identity.Accounts;
import concertina.identity.PasswordHashing;
import concertina.trials.AllSamplers;
import concertina.trials.PluginHost;
import concertina.trials.Searcher;
import io.micrometer.prometheusmetrics.PrometheusConfig;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.time.Duration;
import java.time.InstantSource;
import java.util.Base64;
import java.util.List;
import java.util.Random;
import java.util.function.UnaryOperator;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** The HTTP server as it is, on free ports, over fakes in a folder of its own. */
public final class TestServer implements AutoCloseable {
    public static final String AGENT_TOKEN = "agents-only";
    public static final String EXECS = "/platform/rest/deeplearning/v1/execs";
    public static final String KEY_PASSWORD = "only-for-tests";

    public final FakeJobs jobs = new FakeJobs();
    public final FakeIdentity identity = new FakeIdentity();
    public final FakeAgents agents = new FakeAgents();
    public final FakeFiles files;
    public final HttpApi api;
    public final Path folder;
    private final Searcher searcher;
    public final HttpClient client;

    /** What plug-ins do before each answer. */
    public volatile Runnable thinking = () -> {};

    private static KeyStore madeKeyStore;
    private final KeyStore keyStore;

    public TestServer(Path folder) {
        this(folder, options -> options);
    }

    public TestServer(Path folder, UnaryOperator<HttpOptions> change) {
        this.folder = folder;
        try {
            Files.createDirectories(folder.resolve("results"));
            Files.createDirectories(folder.resolve("shared"));
            keyStore = keyStore();
            client = HttpClient.newBuilder().sslContext(trusting(keyStore)).build();
        } catch (IOException | GeneralSecurityException failure) {
            throw new IllegalStateException(failure);
        }
        files = new FakeFiles(folder.resolve("results"));
        HttpOptions options = change.apply(new HttpOptions(
                "127.0.0.1",
                0,
                keyStore,
                KEY_PASSWORD,
                0,
                folder.resolve("tmp"),
                1 << 20,
                32 << 10,
                4,
                Duration.ofSeconds(30),
                Duration.ofSeconds(60)));
        Authentication authentication = new Authentication(identity, AGENT_TOKEN::equals);
        Uploads uploads = new Uploads(options);
        Accounts accounts = new Accounts(identity, new PasswordHashing(), InstantSource.system());
        PrometheusMeterRegistry metrics = new PrometheusMeterRegistry(PrometheusConfig.DEFAULT);
        WmlaOptions wmla = new WmlaOptions(
                "concertina",
                "0.1.0",
                "",
                folder.resolve("data"),
                folder.resolve("results"),
                folder.resolve("shared"),
                List.of(folder.resolve("shared")));
        MemoryPlugins plugins = new MemoryPlugins();
        PluginHost.Starter hosts = plugin -> new EchoHost(thinking);
        searcher = new Searcher(
                new MemorySearchJournal(), jobs, files, new AllSamplers(plugins, hosts), InstantSource.system(), 1000);
        api = HttpApi.start(
                options,
                authentication,
                metrics,
                List.of(
                        new WmlaApi(
                                wmla, authentication, uploads, jobs, files, searcher, plugins, hosts, new Random(1)),
                        new AgentsApi(agents, jobs, files, uploads, Duration.ofSeconds(2)),
                        new PlatformApi("0.1.0", authentication, uploads, jobs, files, searcher, accounts, metrics)));
    }

    public URI uri(String path) {
        return URI.create("http://127.0.0.1:" + api.httpPort() + path);
    }

    public URI secureUri(String path) {
        return URI.create("https://localhost:" + api.httpsPort() + path);
    }

    public static String basic(String user, String password) {
        return "Basic " + Base64.getEncoder().encodeToString((user + ":" + password).getBytes(StandardCharsets.UTF_8));
    }

    public HttpRequest.Builder as(String user, String path) {
        return HttpRequest.newBuilder(uri(path)).header("Authorization", basic(user, "secret"));
    }

    public HttpRequest.Builder asAgent(String path) {
        return HttpRequest.newBuilder(uri(path)).header("Authorization", "Bearer " + AGENT_TOKEN);
    }

    public HttpResponse<String> send(HttpRequest.Builder request) {
        try {
            return client.send(request.timeout(Duration.ofSeconds(30)).build(), HttpResponse.BodyHandlers.ofString());
        } catch (IOException failure) {
            throw new UncheckedIOException(failure);
        } catch (InterruptedException interrupted) {
            throw new IllegalStateException(interrupted);
        }
    }

    public HttpResponse<String> get(String user, String path) {
        return send(as(user, path));
    }

    public JsonNode json(String user, String path) {
        HttpResponse<String> response = get(user, path);
        if (response.statusCode() != 200) {
            throw new AssertionError(path + " answered " + response.statusCode() + ": " + response.body());
        }
        return JsonMapper.shared().readTree(response.body());
    }

    public HttpResponse<String> post(String user, String path) {
        return send(as(user, path).POST(HttpRequest.BodyPublishers.noBody()));
    }

    public static String execs(String args) {
        return EXECS + "?args=" + java.net.URLEncoder.encode(args, StandardCharsets.UTF_8);
    }

    /** Submits with a file part and gives the answer. */
    public HttpResponse<String> submit(String user, String args, String fileName, String content) {
        Multipart form = new Multipart().file("file", fileName, content);
        return send(
                as(user, execs(args)).header("Content-Type", form.contentType()).POST(form.publisher()));
    }

    /** Submits a small script and gives the job's id. */
    public String submitted(String user, String args) {
        HttpResponse<String> response = submit(user, args, "main.py", "print(1)\n");
        if (response.statusCode() != 200) {
            throw new AssertionError("submission answered " + response.statusCode() + ": " + response.body());
        }
        return JsonMapper.shared().readTree(response.body()).get("id").asString();
    }

    @Override
    public void close() {
        api.close();
        client.close();
    }

    /** Made once: the tool that makes it is a process of its own. */
    private static synchronized KeyStore keyStore() throws IOException, GeneralSecurityException {
        if (madeKeyStore == null) {
            Path scratch = Files.createTempDirectory("keys");
            madeKeyStore = makeKeyStore(scratch.resolve("keys.p12"));
            Files.delete(scratch.resolve("keys.p12"));
            Files.delete(scratch);
        }
        return madeKeyStore;
    }

    private static KeyStore makeKeyStore(Path path) throws IOException, GeneralSecurityException {
        Process keytool = new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "keytool")
                                .toString(),
                        "-genkeypair",
                        "-alias",
                        "server",
                        "-keyalg",
                        "EC",
                        "-dname",
                        "CN=localhost",
                        "-ext",
                        "SAN=dns:localhost,ip:127.0.0.1",
                        "-storetype",
                        "PKCS12",
                        "-storepass",
                        KEY_PASSWORD,
                        "-keystore",
                        path.toString())
                .redirectErrorStream(true)
                .start();
        String output = new String(keytool.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        try {
            if (keytool.waitFor() != 0) {
                throw new IOException("keytool: " + output);
            }
        } catch (InterruptedException interrupted) {
            throw new IOException(interrupted);
        }
        KeyStore store = KeyStore.getInstance("PKCS12");
        try (InputStream stream = Files.newInputStream(path)) {
            store.load(stream, KEY_PASSWORD.toCharArray());
        }
        return store;
    }

    private static SSLContext trusting(KeyStore keyStore) throws IOException, GeneralSecurityException {
        KeyStore trusted = KeyStore.getInstance("PKCS12");
        trusted.load(null, null);
        trusted.setCertificateEntry("server", keyStore.getCertificate("server"));
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(trusted);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, trust.getTrustManagers(), null);
        return context;
    }
}
