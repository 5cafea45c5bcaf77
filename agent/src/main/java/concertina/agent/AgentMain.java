package concertina.agent;

import concertina.model.AgentId;
import concertina.model.AgentReport;
import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import concertina.model.Slot;
import concertina.wire.ControlPlane;
import java.io.IOException;
import java.net.DatagramSocket;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** Command line of the agent: checks what it is given, puts the parts together, runs until it is told to end. */
@Command(
        name = "agent",
        mixinStandardHelpOptions = true,
        description = "Runs workers on this node for a Concertina server.")
public final class AgentMain implements Callable<Integer> {
    private static final Logger log;

    static {
        // Has to come before the first logger; a file given on the command line goes before this one.
        if (System.getProperty("logback.configurationFile") == null) {
            System.setProperty("logback.configurationFile", "concertina/agent/logging.xml");
        }
        log = LoggerFactory.getLogger(AgentMain.class);
    }

    @Option(names = "--server", required = true, description = "Address of the server, for example https://head:9443.")
    private URI server = URI.create("https://127.0.0.1");

    @Option(
            names = "--server-certificate",
            description = "PEM file with the one certificate the server must show. Needed for https.")
    private @Nullable Path serverCertificate;

    @Option(names = "--token-file", required = true, description = "File that holds the token agents join with.")
    private Path tokenFile = Path.of("");

    @Option(names = "--name", required = true, description = "Name of this agent, unique in the cluster.")
    private String name = "";

    @Option(
            names = "--host",
            description = "Address at which other nodes reach this one. Default: the one used towards the server.")
    private @Nullable String host;

    @Option(names = "--slots", description = "Offer this number of CPU shares, whatever GPUs there are.")
    private @Nullable Integer slots;

    @Option(names = "--data", required = true, description = "This agent's own folder.")
    private Path data = Path.of("");

    @Option(names = "--python", required = true, description = "Interpreter that runs workers.")
    private Path python = Path.of("");

    @Option(names = "--home", required = true, description = "Folder of the product, which holds python/.")
    private Path home = Path.of("");

    @Option(names = "--data-folder", description = "Folder that workers find as DLI_DATA_FS.")
    private @Nullable Path dataFolder;

    @Option(names = "--shared-folder", description = "Folder that workers find as DLI_SHARED_FS.")
    private @Nullable Path sharedFolder;

    @Option(
            names = "--environments",
            description = "Folder of Python environments, <name>/bin/python each. May be repeated.")
    private List<Path> environments = new ArrayList<>();

    @Option(
            names = "--warm-modules",
            split = ",",
            defaultValue = "torch,torch._dynamo,torch._inductor.config,numpy",
            description = "Modules loaded before workers are forked. Default: ${DEFAULT-VALUE}.")
    private List<String> warmModules = List.of();

    @Option(
            names = "--inherit",
            split = ",",
            description = "Further variables of the agent's environment that workers may see.")
    private List<String> inherit = new ArrayList<>();

    @Option(names = "--nvml", defaultValue = "libnvidia-ml.so.1", hidden = true)
    private String nvml = "";

    private AgentMain() {}

    /** Runs an agent; exit code 2 for a command line that is not accepted. */
    public static void main(String[] arguments) {
        CommandLine line = new CommandLine(new AgentMain());
        line.setExecutionExceptionHandler((e, command, result) -> {
            String reason = e instanceof ConcertinaException || e.getMessage() != null ? e.getMessage() : e.toString();
            command.getErr().println("agent: " + reason);
            log.debug("the agent ends", e);
            return e instanceof ConcertinaException ? 2 : 1;
        });
        System.exit(line.execute(arguments));
    }

    @Override
    public Integer call() throws IOException {
        check();
        ControlPlane.yieldToTraining();
        Path own = Files.createDirectories(data).toRealPath();
        Path modules = home.toRealPath().resolve("python");
        Path interpreter = python.toAbsolutePath();
        AgentId agent = new AgentId(name);
        List<Slot> found = Slots.find(agent, slots, nvml, System.getenv("CUDA_VISIBLE_DEVICES"));
        log.info("agent {} offers {}", name, found);
        int processors = Runtime.getRuntime().availableProcessors();
        Map<String, String> inherited = WorkerEnvironment.inherited(System.getenv(), Set.copyOf(inherit));
        Path fabricHome = own.resolve("fabric");
        FabricArchive.write(modules, fabricHome);

        ReportLedger ledger = new ReportLedger();
        ControlSocket control =
                ControlSocket.open(own, (worker, message) -> ledger.add(new AgentReport.Message(worker, message)));
        WorkerEnvironment.Node node = new WorkerEnvironment.Node(
                inherited,
                name,
                host == null ? ownAddress() : host,
                Files.createDirectories(own.resolve("results")),
                dataFolder == null ? null : Files.createDirectories(dataFolder).toRealPath(),
                sharedFolder == null
                        ? null
                        : Files.createDirectories(sharedFolder).toRealPath(),
                fabricHome,
                modules,
                processors,
                found,
                control.path());
        WorkerStarter starter = new WorkerStarter(
                interpreter,
                modules.resolve("concertina").resolve("supervisor.py"),
                warmModules,
                supervisorEnvironment(inherited, node.threads(1)),
                own);
        starter.open();
        ServerLink link = new ServerLink(
                agent, server, this::token, serverCertificate == null ? null : PinnedTrust.of(serverCertificate));
        Agent running = new Agent(
                agent,
                interpreter,
                PythonEnvironments.usual(environments, System.getenv()),
                node,
                link,
                new SharedCode(own.resolve("code")),
                starter,
                control,
                ledger);
        Runtime.getRuntime().addShutdownHook(Thread.ofPlatform().name("ending").unstarted(running::close));
        running.run();
        return 0;
    }

    private void check() {
        String scheme = server.getScheme();
        boolean plain = "http".equals(scheme);
        if (!plain && !"https".equals(scheme) || server.getHost() == null) {
            throw ConcertinaException.invalid("--server", server.toString(), "https://host:port");
        }
        if (!plain && serverCertificate == null) {
            throw new ConcertinaException(
                    ErrorCode.INVALID_ARGUMENT, "--server-certificate is missing, accepted: a PEM file");
        }
        if (!name.matches("[A-Za-z0-9][A-Za-z0-9._-]{0,62}")) {
            throw ConcertinaException.invalid(
                    "--name", name, "1 to 63 letters, digits, '.', '-' and '_', the first a letter or digit");
        }
        if (slots != null && (slots < 1 || slots > 1024)) {
            throw ConcertinaException.invalid("--slots", slots.toString(), "1 to 1024");
        }
        if (!Files.isExecutable(python)) {
            throw ConcertinaException.invalid("--python", python.toString(), "path of a Python interpreter");
        }
        if (!Files.isRegularFile(home.resolve("python/concertina/supervisor.py"))) {
            throw ConcertinaException.invalid("--home", home.toString(), "the product's folder, which holds python/");
        }
        if (token().isEmpty()) {
            throw ConcertinaException.invalid(
                    "--token-file", tokenFile.toString(), "a file that holds the agents' token");
        }
    }

    private String token() {
        try {
            return Files.readString(tokenFile, StandardCharsets.UTF_8).strip();
        } catch (IOException e) {
            throw ConcertinaException.invalid("--token-file", tokenFile.toString(), "a readable file");
        }
    }

    private static Map<String, String> supervisorEnvironment(Map<String, String> inherited, int threads) {
        Map<String, String> environment = new TreeMap<>(inherited);
        environment.remove("PYTHONPATH");
        environment.put("PYTHONUNBUFFERED", "1");
        environment.put("OMP_NUM_THREADS", Integer.toString(threads));
        environment.put("MKL_NUM_THREADS", Integer.toString(threads));
        return environment;
    }

    /** The address this node has on its way to the server; nothing is sent to find out. */
    private String ownAddress() throws IOException {
        int port = server.getPort() > 0 ? server.getPort() : 443;
        try (DatagramSocket socket = new DatagramSocket()) {
            socket.connect(new InetSocketAddress(InetAddress.getByName(server.getHost()), port));
            return socket.getLocalAddress().getHostAddress();
        }
    }
}
