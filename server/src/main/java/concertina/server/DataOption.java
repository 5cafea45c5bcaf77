package concertina.server;

import java.nio.file.Path;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** The option that every command shares: which data folder. */
final class DataOption {
    @Option(
            names = "--data",
            paramLabel = "FOLDER",
            description = "Data folder; CONCERTINA_DATA, else .concertina/data of the checkout, unless given.")
    private @Nullable Path given;

    DataFolder folder() {
        if (given != null) {
            return new DataFolder(given);
        }
        String fromEnvironment = System.getenv().getOrDefault("CONCERTINA_DATA", "");
        return new DataFolder(
                fromEnvironment.isBlank()
                        ? Home.path().resolve(".concertina").resolve("data")
                        : Path.of(fromEnvironment));
    }

    ServerClient client() {
        return new ServerClient(Access.find(folder(), System.getenv()));
    }
}
