package concertina.server;

import concertina.model.ConcertinaException;
import java.io.BufferedReader;
import java.io.Console;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/** Users of the platform. Passwords are read from the terminal or standard input, never from the command line. */
@Command(
        name = "users",
        description = "List and add users, change passwords.",
        mixinStandardHelpOptions = true,
        subcommands = {UsersCommand.ListCommand.class, UsersCommand.AddCommand.class, UsersCommand.PasswordCommand.class
        })
final class UsersCommand implements Runnable {
    private static final String USERS = "/concertina/v1/users";

    @Spec
    private CommandSpec spec = CommandSpec.create();

    @Override
    public void run() {
        throw new CommandLine.ParameterException(spec.commandLine(), "users needs one of list, add, password");
    }

    @Command(name = "list", description = "List users.", mixinStandardHelpOptions = true)
    static final class ListCommand implements Callable<Integer> {
        @Mixin
        private DataOption data = new DataOption();

        @Override
        public Integer call() throws InterruptedException {
            try (ServerClient client = data.client()) {
                List<List<String>> rows = new ArrayList<>();
                for (JsonNode user : client.get(USERS)) {
                    rows.add(List.of(
                            user.path("name").asString(""),
                            user.path("role").asString(""),
                            user.path("createdAt").asString("")));
                }
                TextTable.lines(List.of("USER", "ROLE", "SINCE"), rows).forEach(System.out::println);
            }
            return 0;
        }
    }

    @Command(
            name = "add",
            description = "Add a user; asks for the password, or reads it from standard input.",
            mixinStandardHelpOptions = true)
    static final class AddCommand implements Callable<Integer> {
        @Mixin
        private DataOption data = new DataOption();

        @Option(names = "--admin", description = "Let the user read and change everything.")
        private boolean admin;

        @Parameters(paramLabel = "NAME", description = "Name to log on with.")
        private String name = "";

        @Override
        public Integer call() throws InterruptedException, IOException {
            try (ServerClient client = data.client()) {
                ObjectNode user = JsonMapper.shared().createObjectNode();
                user.put("name", name);
                user.put("password", password("Password of " + name));
                user.put("role", admin ? "ADMIN" : "USER");
                client.call("POST", USERS, user);
            }
            System.out.println(name + " added");
            return 0;
        }
    }

    @Command(
            name = "password",
            description = "Change a password; asks for the new one, or reads it from standard input.",
            mixinStandardHelpOptions = true)
    static final class PasswordCommand implements Callable<Integer> {
        @Mixin
        private DataOption data = new DataOption();

        @Parameters(paramLabel = "NAME", description = "Whose.")
        private String name = "";

        @Override
        public Integer call() throws InterruptedException, IOException {
            try (ServerClient client = data.client()) {
                String chosen = password("New password of " + name);
                ObjectNode change = JsonMapper.shared().createObjectNode();
                change.put("password", chosen);
                Access access = client.access();
                boolean own = access.user().equals(name);
                if (own) {
                    change.put("oldPassword", access.password());
                }
                client.call("PUT", USERS + "/" + ServerClient.encoded(name) + "/password", change);
                if (own && System.getenv("CONCERTINA_URL") == null) {
                    new Access(access.url(), access.certificate(), name, chosen)
                            .write(data.folder().clientFile());
                }
            }
            System.out.println("password of " + name + " changed");
            return 0;
        }
    }

    private static String password(String prompt) throws IOException {
        Console console = System.console();
        String read;
        if (console != null && console.isTerminal()) {
            char[] first = console.readPassword("%s: ", prompt);
            char[] again = console.readPassword("again: ");
            if (first == null || again == null || !new String(first).equals(new String(again))) {
                throw ConcertinaException.invalid("password", "***", "the same text twice");
            }
            read = new String(first);
        } else {
            read = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8)).readLine();
        }
        if (read == null || read.isEmpty()) {
            throw ConcertinaException.invalid("password", "", "text that is not empty");
        }
        return read;
    }
}
