package concertina.server;

import concertina.wire.ControlPlane;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Runs the server in the foreground until it is told to end. */
@Command(name = "serve", description = "Run the server in the foreground.", mixinStandardHelpOptions = true)
final class ServeCommand implements Callable<Integer> {
    @Mixin
    private DataOption data = new DataOption();

    @Option(names = "--config", paramLabel = "FILE", description = "Configuration, YAML.")
    private @Nullable Path configurationFile;

    @Option(names = "--detached", hidden = true, description = "Log to the log file only.")
    private boolean detached;

    @Override
    public Integer call() throws InterruptedException {
        ControlPlane.yieldToTraining();
        Configuration configuration = ConfigurationReader.read(configurationFile, System.getenv());
        DataFolder folder = data.folder();
        folder.create(configuration);
        Logging.start(folder.serverLog(), !detached, configuration.logLevel());
        Server server = Server.start(folder, configuration, System.getenv());
        CountDownLatch ended = new CountDownLatch(1);
        Runtime.getRuntime()
                .addShutdownHook(new Thread(
                        () -> {
                            server.close();
                            Logging.stop();
                            ended.countDown();
                        },
                        "shutdown"));
        System.out.println("Concertina is ready at " + server.address());
        ended.await();
        return 0;
    }
}
