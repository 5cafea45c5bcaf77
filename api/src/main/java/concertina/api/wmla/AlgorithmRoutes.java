package concertina.api.wmla;

import concertina.api.Answers;
import concertina.api.Parameters;
import concertina.api.Routes;
import concertina.api.Uploads;
import concertina.api.Uploads.FilePart;
import concertina.api.Uploads.Form;
import concertina.identity.Caller;
import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import concertina.model.UserName;
import concertina.trials.BuiltInSamplers;
import concertina.trials.Plugin;
import concertina.trials.PluginHost;
import concertina.trials.PluginRehearsal;
import concertina.trials.Plugins;
import concertina.trials.Searches;
import io.javalin.http.Context;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.time.ZoneId;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import tools.jackson.databind.JsonNode;

/** Search algorithms: the built-in ones, and plug-ins that users install, try and delete. Thread-safe. */
final class AlgorithmRoutes {
    private static final String ALGORITHMS = WmlaApi.BASE + "/hypersearch/algorithm";
    private static final String DATA = "data";
    private static final int DATA_LIMIT_BYTES = 1 << 20;
    private static final List<String> LEVELS = List.of("DEBUG", "INFO", "WARNING", "WARN", "ERROR", "CRITICAL");
    private static final DateTimeFormatter TIME =
            DateTimeFormatter.ofPattern("yyyy-MM-dd HH:mm:ss").withZone(ZoneId.systemDefault());

    /** What the routes need of the world. */
    record Parts(Plugins plugins, PluginHost.Starter hosts, Searches searches) {}

    private final Uploads uploads;
    private final Parts parts;
    private final List<Path> folders;
    private final Set<UserName> trying = ConcurrentHashMap.newKeySet();

    /** @param folders below which a folder of the server may be installed */
    AlgorithmRoutes(Uploads uploads, Parts parts, List<Path> folders) {
        this.uploads = uploads;
        this.parts = parts;
        this.folders = folders;
    }

    void register(Routes routes) {
        routes.user("GET", ALGORITHMS, (context, caller) -> list(context));
        // A plug-in runs as the server does.
        routes.admin("POST", ALGORITHMS + "/install", this::install);
        routes.user("POST", ALGORITHMS + "/debug", this::debug);
        routes.user("GET", ALGORITHMS + "/{algorithm}", (context, caller) -> one(context));
        routes.user("DELETE", ALGORITHMS + "/{algorithm}", this::delete);
    }

    private void list(Context context) {
        Optional<String> type = Parameters.oneOf(context, "type", "BUILD_IN", "USER_PLUGIN");
        List<Map<String, Object>> algorithms = new ArrayList<>();
        if (type.isEmpty() || type.get().equals("BUILD_IN")) {
            BuiltInSamplers.names().forEach(name -> algorithms.add(builtIn(name)));
        }
        if (type.isEmpty() || type.get().equals("USER_PLUGIN")) {
            parts.plugins().list().forEach(plugin -> algorithms.add(view(plugin)));
        }
        Answers.json(context, algorithms);
    }

    private void one(Context context) {
        String name = context.pathParam("algorithm");
        Answers.json(
                context,
                BuiltInSamplers.named(name)
                        .map(AlgorithmRoutes::builtIn)
                        .or(() -> parts.plugins().find(name).map(AlgorithmRoutes::view))
                        .orElse(Map.of()));
    }

    private static Map<String, Object> builtIn(String name) {
        Map<String, Object> entry = new LinkedHashMap<>();
        entry.put("name", name);
        entry.put("type", "BUILD_IN");
        entry.put("remoteExec", false);
        return entry;
    }

    private static Map<String, Object> view(Plugin plugin) {
        Map<String, Object> entry = new LinkedHashMap<>();
        entry.put("name", plugin.name());
        entry.put("path", plugin.folder().toString());
        entry.put("condaHome", plugin.condaHome());
        entry.put("condaEnv", plugin.condaEnvironment());
        entry.put("creator", plugin.creator().value());
        entry.put("createtime", TIME.format(plugin.createdAt()));
        entry.put("type", "USER_PLUGIN");
        entry.put("remoteExec", false);
        entry.put("logLevel", plugin.logLevel());
        return entry;
    }

    private void install(Context context, Caller caller) throws IOException, InterruptedException {
        try (Form form = uploads.receive(context)) {
            JsonNode data = PythonLiteral.read(data(form));
            if (!data.isObject()) {
                throw ConcertinaException.invalid(DATA, Fields.shown(data), "an object with name, and path or a file");
            }
            String name = Fields.needed(data, "", "name", "the name of the plug-in");
            if (BuiltInSamplers.named(name).isPresent()) {
                throw new ConcertinaException(
                        ErrorCode.CONFLICT, "name is '" + name + "', a built-in algorithm, accepted: a new name");
            }
            if (data.path("remoteExec").asBoolean(false)) {
                throw ConcertinaException.invalid("remoteExec", "true", "false; plug-ins run beside the server");
            }
            String level = Fields.text(data, "", "logLevel").orElse("INFO").toUpperCase(java.util.Locale.ROOT);
            if (!LEVELS.contains(level)) {
                throw ConcertinaException.invalid("logLevel", level, "one of " + String.join(", ", LEVELS));
            }
            // A client posts the JSON as a file part of that name as well.
            Optional<FilePart> archive = form.files().stream()
                    .filter(file -> !file.name().equals(DATA))
                    .findFirst();
            Path source = archive.map(FilePart::path).orElseGet(() -> folder(data));
            Plugin plugin = parts.plugins()
                    .install(new Plugins.Installation(
                            name,
                            source,
                            archive.map(FilePart::fileName).orElse(""),
                            Fields.text(data, "", "condaHome").orElse(""),
                            Fields.text(data, "", "condaEnv").orElse(""),
                            level,
                            caller.user()));
            Map<String, Object> answer = new LinkedHashMap<>();
            answer.put("uid", plugin.name());
            answer.put("href", ALGORITHMS + "/" + plugin.name());
            Answers.json(context, answer);
        }
    }

    private static String data(Form form) throws IOException {
        return form.text(DATA, DATA_LIMIT_BYTES)
                .orElseThrow(
                        () -> ConcertinaException.invalid(DATA, "", "a JSON object with name, and path or a file"));
    }

    /** A folder of the server that may be installed: below one of those that the owner shares, links followed first. */
    private Path folder(JsonNode data) {
        String path = Fields.needed(data, "", "path", "a folder of the server, or a file part with a gzip tar");
        try {
            Path real = Path.of(path).toRealPath();
            for (Path folder : folders) {
                if (Files.isDirectory(folder) && Files.isDirectory(real) && real.startsWith(folder.toRealPath())) {
                    return real;
                }
            }
        } catch (IOException | InvalidPathException unreadable) {
            throw refused(path);
        }
        throw refused(path);
    }

    private ConcertinaException refused(String path) {
        return ConcertinaException.invalid(
                "path",
                path,
                "a folder below "
                        + String.join(
                                " or ", folders.stream().map(Path::toString).toList()));
    }

    /** One at a time for each user: a plug-in may think for minutes, in a process beside the server. */
    private void debug(Context context, Caller caller) throws IOException, InterruptedException {
        if (!trying.add(caller.user())) {
            throw new ConcertinaException(
                    ErrorCode.CONFLICT,
                    "user '" + caller.user() + "' is trying a plug-in already, accepted: one at a time");
        }
        try {
            debug(context);
        } finally {
            trying.remove(caller.user());
        }
    }

    /** Lets an installed plug-in propose some points for made-up results, and tells all that it said. */
    private void debug(Context context) throws IOException, InterruptedException {
        try (Form form = uploads.receive(context)) {
            JsonNode data = PythonLiteral.read(data(form));
            String name = Fields.needed(data, "", "name", "the name of an installed plug-in");
            Plugin plugin = parts.plugins()
                    .find(name)
                    .orElseThrow(() -> ConcertinaException.invalid("name", name, "the name of an installed plug-in"));
            Map<String, String> settings = SearchRequest.settings(data, "");
            List<JsonNode> hyperParameters = Fields.list(data, "", "hyperParams");
            if (hyperParameters.isEmpty()) {
                throw ConcertinaException.invalid("hyperParams", "[]", "at least one, as a search has them");
            }
            PluginRehearsal rehearsal = PluginRehearsal.of(
                    parts.hosts(),
                    plugin,
                    HyperParameters.space(hyperParameters),
                    settings,
                    data.path("hyperParams").toString());
            Map<String, Object> answer = new LinkedHashMap<>();
            answer.put("name", name);
            answer.put("points", rehearsal.points());
            answer.put("error", rehearsal.error());
            answer.put("log", rehearsal.log());
            Answers.json(context, answer);
        }
    }

    private void delete(Context context, Caller caller) throws IOException {
        String name = context.pathParam("algorithm");
        if (BuiltInSamplers.named(name).isPresent()) {
            throw ConcertinaException.invalid("algorithm", name, "a plug-in; built-in algorithms stay");
        }
        Plugin plugin = parts.plugins()
                .find(name)
                .orElseThrow(() -> new ConcertinaException(ErrorCode.NOT_FOUND, "cannot find algorithm " + name));
        if (!caller.mayTouch(plugin.creator())) {
            throw new ConcertinaException(
                    ErrorCode.FORBIDDEN,
                    "algorithm '" + name + "' is " + plugin.creator() + "'s, accepted: a plug-in of your own");
        }
        long users = parts.searches().list(user -> true).stream()
                .filter(search ->
                        search.state().active() && search.spec().algorithm().equals(name))
                .count();
        if (users > 0) {
            throw new ConcertinaException(
                    ErrorCode.CONFLICT,
                    "algorithm '" + name + "' is used by " + users
                            + (users == 1 ? " search" : " searches")
                            + " under way, accepted: a plug-in that none uses; stop them first");
        }
        parts.plugins().delete(name);
        context.status(204);
    }
}
