package concertina.server;

import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Starts what is not running and says where it is; shows the first password once. */
@Command(name = "up", description = "Start server and agent on this machine.", mixinStandardHelpOptions = true)
final class UpCommand implements Callable<Integer> {
    @Mixin
    private DataOption data = new DataOption();

    @Option(names = "--config", paramLabel = "FILE", description = "Configuration of the server, YAML.")
    private @Nullable Path configurationFile;

    @Option(
            names = "--slots",
            paramLabel = "N",
            description = "Offer N CPU slots; this machine's GPUs, else one slot per processor, unless given.")
    private @Nullable Integer slots;

    @Override
    public Integer call() throws InterruptedException {
        if (slots != null && (slots < 1 || slots > 1024)) {
            throw concertina.model.ConcertinaException.invalid("--slots", slots.toString(), "1 to 1024");
        }
        Configuration configuration = ConfigurationReader.read(configurationFile, System.getenv());
        DataFolder folder = data.folder();
        Installation installation = new Installation(folder);
        boolean shown = folder.passwordShown();
        boolean ran = installation.serverLives() && installation.agentLives();
        installation.startServer(configurationFile, configuration, Map.of());
        installation.startAgent(configuration, slots);
        Access access = Access.read(folder.clientFile());
        try (ServerClient client = new ServerClient(access)) {
            ClusterPage page = new ClusterPage(client);
            installation.awaitAgent(() -> page.connected(Installation.AGENT));
            System.out.println("Concertina " + (ran ? "is already up" : "is up") + " at " + access.url());
            System.out.println("  user      " + access.user());
            System.out.println("  password  "
                    + (shown ? "see " + folder.clientFile() : access.password() + "   (shown this once)"));
            System.out.println("  slots     " + page.slots());
            System.out.println("  logs      " + folder.serverLog() + ", " + folder.agentLog(Installation.AGENT));
            if (!shown) {
                folder.notePasswordShown();
            }
        }
        return 0;
    }
}
