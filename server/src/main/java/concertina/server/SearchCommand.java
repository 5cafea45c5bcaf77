package concertina.server;

import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;

/** Searches of hyperparameters: begin, watch, end, and ask what they found. */
@Command(
        name = "search",
        description = "Search hyperparameters: run, list, show, try, stop, restart, delete, importance, front, export.",
        mixinStandardHelpOptions = true,
        subcommands = {
            SearchRunCommand.class,
            SearchCommand.ListCommand.class,
            SearchShowCommand.class,
            SearchCommand.TryCommand.class,
            SearchCommand.StopCommand.class,
            SearchCommand.RestartCommand.class,
            SearchCommand.DeleteCommand.class,
            SearchCommand.ImportanceCommand.class,
            SearchCommand.FrontCommand.class,
            SearchCommand.ExportCommand.class
        })
final class SearchCommand implements Runnable {
    private static final String SEARCHES = "/concertina/v1/searches";

    @Spec
    private CommandSpec spec = CommandSpec.create();

    @Override
    public void run() {
        throw new CommandLine.ParameterException(
                spec.commandLine(),
                "search needs one of run, list, show, try, stop, restart, delete, importance, front, export");
    }

    /** The path of one search in our own API. */
    static String path(String name) {
        return SEARCHES + "/" + ServerClient.encoded(name);
    }

    @Command(name = "list", description = "List searches, oldest first.", mixinStandardHelpOptions = true)
    static final class ListCommand implements Callable<Integer> {
        @Mixin
        private DataOption data = new DataOption();

        @Override
        public Integer call() throws InterruptedException {
            try (ServerClient client = data.client()) {
                SearchTable.list(client.get(SEARCHES).path("searches")).forEach(System.out::println);
            }
            return 0;
        }
    }

    /** A change that can be made to several searches, one after the other. */
    abstract static class ChangeCommand implements Callable<Integer> {
        private final String method;
        private final String action;
        private final String done;

        @Mixin
        private DataOption data = new DataOption();

        @Parameters(paramLabel = "SEARCH", arity = "1..*", description = "Names of the searches.")
        private List<String> searches = List.of();

        ChangeCommand(String method, String action, String done) {
            this.method = method;
            this.action = action;
            this.done = done;
        }

        @Override
        public Integer call() throws InterruptedException {
            try (ServerClient client = data.client()) {
                for (String search : searches) {
                    client.changeSearch(method, search, action);
                    System.out.println(search + " " + done);
                }
            }
            return 0;
        }
    }

    /** A look at one search. */
    abstract static class LookCommand implements Callable<Integer> {
        @Mixin
        private DataOption data = new DataOption();

        @Parameters(paramLabel = "SEARCH", description = "Name of the search.")
        private String search = "";

        @Override
        public Integer call() throws InterruptedException, IOException {
            try (ServerClient client = data.client()) {
                show(client, search);
            }
            return 0;
        }

        /** Prints what is asked for. */
        abstract void show(ServerClient client, String search) throws InterruptedException, IOException;
    }

    @Command(
            name = "try",
            description = "Put a point of your own in line, to be tried next.",
            mixinStandardHelpOptions = true)
    static final class TryCommand implements Callable<Integer> {
        @Mixin
        private DataOption data = new DataOption();

        @Parameters(index = "0", paramLabel = "SEARCH", description = "Name of the search.")
        private String search = "";

        @Parameters(index = "1..*", paramLabel = "NAME=VALUE", arity = "1..*", description = "Every hyperparameter.")
        private Map<String, String> values = new LinkedHashMap<>();

        @Override
        public Integer call() throws InterruptedException {
            ObjectNode point = JsonNodeFactory.instance.objectNode();
            values.forEach(point::put);
            try (ServerClient client = data.client()) {
                client.enqueue(search, point.toString());
            }
            return 0;
        }
    }

    @Command(
            name = "stop",
            description = "Stop searches and the jobs of their trials; they can be restarted.",
            mixinStandardHelpOptions = true)
    static final class StopCommand extends ChangeCommand {
        StopCommand() {
            super("PUT", "", "stopped");
        }
    }

    @Command(
            name = "restart",
            description = "Let stopped or failed searches go on where they stood.",
            mixinStandardHelpOptions = true)
    static final class RestartCommand extends ChangeCommand {
        RestartCommand() {
            super("PUT", "/restart", "restarted");
        }
    }

    @Command(
            name = "delete",
            description = "Stop searches and forget them; the jobs of their trials stay.",
            mixinStandardHelpOptions = true)
    static final class DeleteCommand extends ChangeCommand {
        DeleteCommand() {
            super("DELETE", "", "deleted");
        }
    }

    @Command(
            name = "importance",
            description = "Draw how much of the metric's variance each hyperparameter explains.",
            mixinStandardHelpOptions = true)
    static final class ImportanceCommand extends LookCommand {
        @Override
        void show(ServerClient client, String search) throws InterruptedException {
            SearchTable.importance(client.get(path(search) + "/importance")).forEach(System.out::println);
        }
    }

    @Command(
            name = "front",
            description = "List the trials that no other beats in every objective.",
            mixinStandardHelpOptions = true)
    static final class FrontCommand extends LookCommand {
        @Override
        void show(ServerClient client, String search) throws InterruptedException {
            ObjectNode shown = (ObjectNode) client.get(path(search) + "?latest=0");
            shown.set("trials", client.get(path(search) + "/pareto-front").path("trials"));
            SearchTable.trials(shown).forEach(System.out::println);
        }
    }

    @Command(name = "export", description = "Write all trials as CSV or JSON.", mixinStandardHelpOptions = true)
    static final class ExportCommand extends LookCommand {
        /** Their names are the words of the command line and of the API. */
        enum Format {
            csv,
            json
        }

        @Option(names = "--format", paramLabel = "WHICH", description = "csv (the default) or json.")
        private Format format = Format.csv;

        @Option(
                names = {"-o", "--output"},
                paramLabel = "FILE",
                description = "Where to; standard output unless given.")
        private @Nullable Path file;

        @Override
        void show(ServerClient client, String search) throws InterruptedException, IOException {
            String path = path(search) + "/trials?format=" + format;
            Path target = file;
            if (target == null) {
                client.copy(path, System.out);
                System.out.flush();
                return;
            }
            // Asked first, so that a refusal leaves a file that is there as it is.
            client.get(path(search) + "?latest=0");
            try (OutputStream out = new BufferedOutputStream(Files.newOutputStream(target))) {
                client.copy(path, out);
            }
            System.out.println(target);
        }
    }
}
