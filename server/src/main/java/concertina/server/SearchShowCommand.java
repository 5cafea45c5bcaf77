package concertina.server;

import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Shows a search and its trials, once or for as long as it lives. */
@Command(
        name = "show",
        description = "Show a search and its trials; the best is marked.",
        mixinStandardHelpOptions = true)
final class SearchShowCommand implements Callable<Integer> {
    @Mixin
    private DataOption data = new DataOption();

    @Option(
            names = {"-f", "--follow"},
            description =
                    "Go on until the search has ended: a live table on a terminal, otherwise a line for each change.")
    private boolean follow;

    @Parameters(paramLabel = "SEARCH", description = "Name of the search.")
    private String search = "";

    @Override
    public Integer call() throws InterruptedException {
        try (ServerClient client = data.client()) {
            SearchScreen screen = new SearchScreen(client, search, System.out);
            if (follow) {
                return screen.follow();
            }
            screen.once();
            return 0;
        }
    }
}
