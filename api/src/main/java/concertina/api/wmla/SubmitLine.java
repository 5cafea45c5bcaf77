package concertina.api.wmla;

import concertina.api.wmla.Words.Word;
import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import concertina.model.Framework;
import concertina.model.JobSpec;
import concertina.train.JobFiles.StoredCode;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * Reads the exec command line, with or without the {@code data} object beside it, into a {@link JobSpec}. Platform flags are
 * taken out, everything else reaches the script in the order in which it came, and nothing is added. Secrets are struck out
 * of the line that is kept. Pure: whether the script exists is settled by {@link #withCode} and {@link ServerScripts}.
 */
public final class SubmitLine {
    private static final int MAX_WORKERS = 1024;
    private static final int MAX_SLOTS_PER_WORKER = 64;
    private static final int DEFAULT_PRIORITY = 5000;
    private static final int MAX_LENGTH = 1_000_000;
    private static final Pattern VARIABLE = Pattern.compile("[A-Za-z_][A-Za-z0-9_]{0,254}");
    private static final String SUMS = "CONCERTINA_SUMS";
    private static final List<String> OF_TRAINING = List.of(
            SUMS,
            "CONCERTINA_BUCKET_BYTES",
            "CONCERTINA_CHECKPOINT_SECONDS",
            "CONCERTINA_CHECKPOINTS_KEPT",
            "CONCERTINA_CHECKPOINT_HOURS",
            "CONCERTINA_HANG_SECONDS",
            "CONCERTINA_LONG_WORK_SECONDS");
    private static final Pattern SIZE =
            Pattern.compile("(\\d{1,15}(\\.\\d{1,6})?)([KMGTkmgt]([iI]?[bB])?|[KMGTkmgt][iI])?");
    private static final Pattern DECIMAL = Pattern.compile("\\d{1,9}(\\.\\d{1,9})?");
    private static final Pattern ENVIRONMENT_NAME = Pattern.compile("[A-Za-z0-9_][A-Za-z0-9._-]{0,127}");
    private static final JsonMapper JSON = JsonMapper.builder().build();
    private static final String STRUCK_OUT = "***";

    private final Map<Flag, Word> values = new EnumMap<>(Flag.class);
    private final Map<String, String> environment = new LinkedHashMap<>();
    private final List<String> scriptArguments = new ArrayList<>();
    private @Nullable List<String> afterDashes;
    private final StringBuilder shown = new StringBuilder();

    private SubmitLine() {}

    /**
     * Reads a submission.
     *
     * @param line the command line without the program's name, exactly as it came
     * @param data the {@code data} form field, or null; the line's own flags win over its {@code hardwareSpec}
     * @param gpuByDefault whether a job that names no device type gets GPUs
     */
    public static JobSpec parse(String line, @Nullable JsonNode data, boolean gpuByDefault) {
        if (line.length() > MAX_LENGTH) {
            throw new ConcertinaException(
                    ErrorCode.TOO_LARGE, "args has " + line.length() + " characters, accepted: at most " + MAX_LENGTH);
        }
        if (line.indexOf('\0') >= 0) {
            throw new ConcertinaException(
                    ErrorCode.INVALID_ARGUMENT, "args contains a zero character, accepted: printable text");
        }
        SubmitLine read = new SubmitLine();
        read.sort(line);
        return read.spec(data, gpuByDefault);
    }

    /** The line as it may be stored and shown. */
    public static String withoutSecrets(String line) {
        SubmitLine read = new SubmitLine();
        read.sort(line);
        return read.shown.toString();
    }

    /**
     * Settles where the script lies in the uploaded code. Only the code's real top folder counts, whatever
     * {@code --model-dir} says; an upload of a single file is the script when its name is that of {@code --model-main}.
     */
    public static JobSpec withCode(JobSpec spec, StoredCode code) {
        String top = code.topFolder();
        if (!spec.userCommand().isEmpty()) {
            return copy(spec, "", top);
        }
        String main = spec.modelMain();
        String inTop = top.isEmpty() ? "" : top + "/";
        String relative = main.startsWith("./") ? main.substring(2) : main;
        String base = main.substring(main.lastIndexOf('/') + 1);
        if (code.files().contains(inTop + relative)) {
            return copy(spec, relative, top);
        }
        if (!top.isEmpty() && relative.startsWith(inTop) && code.files().contains(relative)) {
            return copy(spec, relative.substring(inTop.length()), top);
        }
        if (code.files().size() == 1 && code.files().getFirst().equals(inTop + base)) {
            return copy(spec, base, top);
        }
        List<String> scripts = code.files().stream()
                .filter(file -> file.startsWith(inTop) && file.endsWith(".py"))
                .map(file -> file.substring(inTop.length()))
                .limit(10)
                .toList();
        throw ConcertinaException.invalid(
                Flag.MODEL_MAIN.label(),
                main,
                "a file of the upload"
                        + (scripts.isEmpty()
                                ? ", which holds no Python file"
                                : " such as " + String.join(", ", scripts)));
    }

    /** The spec of a job that uploads nothing: there is no folder that {@code --model-dir} could name. */
    public static JobSpec withoutCode(JobSpec spec) {
        return copy(spec, spec.modelMain(), "");
    }

    private static JobSpec copy(JobSpec spec, String modelMain, String modelDirectory) {
        return new JobSpec(
                spec.framework(),
                spec.applicationName(),
                spec.arguments(),
                modelMain,
                modelDirectory,
                spec.userCommand(),
                spec.scriptArguments(),
                spec.workers(),
                spec.slotsPerWorker(),
                spec.gpu(),
                spec.priority(),
                spec.environment(),
                spec.dataPath(),
                spec.condaEnvironment(),
                spec.consumer(),
                spec.pendingTimeoutSeconds());
    }

    /** Tells platform flags from the script's arguments and copies the line without secrets. */
    private void sort(String line) {
        List<Word> words = Words.split(line);
        int copied = 0;
        int index = 0;
        while (index < words.size()) {
            Word word = words.get(index);
            index++;
            if (word.text().equals("--")) {
                afterDashes = words.subList(index, words.size()).stream()
                        .map(Word::text)
                        .toList();
                break;
            }
            int equals = word.text().startsWith("--") ? word.text().indexOf('=') : -1;
            String name = equals < 0 ? word.text() : word.text().substring(0, equals);
            Optional<Flag> found = Flag.named(name);
            if (found.isEmpty() || !ours(found.get(), word, equals, index < words.size() ? words.get(index) : null)) {
                scriptArguments.add(word.text());
                continue;
            }
            Flag flag = found.get();
            Word value;
            if (equals >= 0) {
                String raw = word.raw().substring(word.raw().indexOf('=') + 1);
                value = new Word(word.text().substring(equals + 1), raw, word.end() - raw.length());
                if (flag.form() == Flag.Form.NONE) {
                    throw ConcertinaException.invalid(name, value.text(), "the flag without a value");
                }
            } else {
                Word next = index < words.size() ? words.get(index) : null;
                if (!takes(flag, next)) {
                    value = new Word("", "", word.end());
                } else if (next == null
                        || (flag.form() == Flag.Form.TEXT && next.text().startsWith("--"))) {
                    throw ConcertinaException.invalid(name, "", "a value after it" + forWhat(flag));
                } else {
                    value = next;
                    index++;
                }
            }
            if (flag.form() == Flag.Form.SECRET && !value.raw().isEmpty()) {
                shown.append(line, copied, value.start()).append(STRUCK_OUT);
                copied = value.end();
            }
            keep(flag, name, value);
        }
        shown.append(line, copied, line.length());
    }

    private static boolean ours(Flag flag, Word word, int equals, @Nullable Word next) {
        if (flag.form() != Flag.Form.OUTPUT_STYLE) {
            return true;
        }
        String style = equals >= 0 ? word.text().substring(equals + 1) : next == null ? "" : next.text();
        return style.equals("json") || style.startsWith("custom-columns=");
    }

    private static boolean takes(Flag flag, @Nullable Word next) {
        return switch (flag.form()) {
            case NONE -> false;
            case MAYBE ->
                next != null
                        && List.of("true", "false", "yes", "no", "y", "n")
                                .contains(next.text().toLowerCase(Locale.ROOT));
            case TEXT,
                    ANYTHING,
                    SECRET,
                    OUTPUT_STYLE,
                    COUNT,
                    POSITIVE,
                    NUMBER,
                    SIZE,
                    DEVICE_TYPE,
                    PULL_POLICY,
                    AFFINITY -> true;
        };
    }

    private static String forWhat(Flag flag) {
        return switch (flag) {
            case EXEC_START -> ", one of " + frameworks();
            case MODEL_MAIN -> ", the script to run";
            case NUM_WORKER -> ", a whole number from 1 to " + MAX_WORKERS;
            // Every other flag's value needs no explanation beyond its name.
            default -> "";
        };
    }

    private void keep(Flag flag, String name, Word value) {
        check(flag, name, value.text());
        if (flag == Flag.MSD_ENV) {
            int equals = value.text().indexOf('=');
            String variable = equals < 0 ? value.text() : value.text().substring(0, equals);
            if (equals < 0 || !VARIABLE.matcher(variable).matches()) {
                throw ConcertinaException.invalid(
                        name, variable, "NAME=value with a name of at most 255 letters, digits and underscores");
            }
            if (variable.startsWith("CONCERTINA_") && !OF_TRAINING.contains(variable)) {
                throw ConcertinaException.invalid(
                        name,
                        variable,
                        "any name that does not begin with CONCERTINA_, which the platform sets, and "
                                + String.join(", ", OF_TRAINING));
            }
            String content = value.text().substring(equals + 1);
            if (variable.equals(SUMS)) {
                oneOf(name + " " + SUMS, content, "exact", "float");
            } else if (OF_TRAINING.contains(variable)
                    && !DECIMAL.matcher(content).matches()) {
                throw ConcertinaException.invalid(
                        name + " " + variable, content, "a number from 0 with at most nine digits before the point");
            }
            environment.put(variable, content);
        }
        values.put(flag, value);
    }

    private static void check(Flag flag, String name, String value) {
        switch (flag.form()) {
            case NONE, TEXT, ANYTHING, SECRET, MAYBE, OUTPUT_STYLE -> {}
            case COUNT -> whole(name, value, 0, Integer.MAX_VALUE);
            case POSITIVE -> whole(name, value, 1, Integer.MAX_VALUE);
            case NUMBER -> {
                if (!DECIMAL.matcher(value).matches()) {
                    throw ConcertinaException.invalid(name, value, "a number from 0, such as 0.5 or 4");
                }
            }
            case SIZE -> size(name, value);
            case DEVICE_TYPE -> oneOf(name, value, "cpu", "gpu");
            case PULL_POLICY -> oneOf(name, value, "Always", "Never", "IfNotPresent");
            case AFFINITY -> oneOf(name, value, "preferred", "required");
        }
    }

    private JobSpec spec(@Nullable JsonNode data, boolean gpuByDefault) {
        JsonNode nodes = data == null ? null : object(data.path("hardwareSpec"), "hardwareSpec", "nodes");
        Framework framework = framework();
        boolean hasCommand = values.containsKey(Flag.USER_CMD);
        List<String> command = hasCommand ? command() : List.of();
        if (!hasCommand && afterDashes != null) {
            scriptArguments.addAll(afterDashes);
        }
        boolean gpu = text(Flag.WORKER_DEVICE_TYPE)
                .map(type -> type.equals("gpu"))
                .orElseGet(() -> specifiedGpu(nodes).orElse(gpuByDefault));
        if (nodes != null) {
            checkSizes(nodes);
        }
        return new JobSpec(
                framework,
                applicationName(framework),
                shown.toString(),
                hasCommand ? "" : main(),
                text(Flag.MODEL_DIR).map(SubmitLine::baseName).orElse(""),
                command,
                hasCommand ? List.of() : scriptArguments,
                workers(framework, nodes),
                slotsPerWorker(nodes),
                gpu,
                text(Flag.MSD_PRIORITY).map(Integer::parseInt).orElse(DEFAULT_PRIORITY),
                environment,
                dataPath(data),
                condaEnvironment(),
                consumer(),
                text(Flag.MSD_PENDING_TIMEOUT).map(Integer::parseInt).orElse(0));
    }

    private Framework framework() {
        String name = text(Flag.EXEC_START)
                .orElseThrow(() -> ConcertinaException.invalid(Flag.EXEC_START.label(), "", "one of " + frameworks()));
        return Framework.labelled(name)
                .orElseThrow(
                        () -> ConcertinaException.invalid(Flag.EXEC_START.label(), name, "one of " + frameworks()));
    }

    private static String frameworks() {
        return Arrays.stream(Framework.values()).map(Framework::label).collect(Collectors.joining(", "));
    }

    private List<String> command() {
        List<String> command = afterDashes;
        if (command == null || command.isEmpty()) {
            throw ConcertinaException.invalid(
                    Flag.USER_CMD.label(), "", "a command after a lone --, as in: --user-cmd -- bash run.sh");
        }
        if (!scriptArguments.isEmpty()) {
            throw ConcertinaException.invalid(
                    "args", scriptArguments.getFirst(), "with --user-cmd only platform flags before the lone --");
        }
        if (values.containsKey(Flag.MODEL_MAIN)) {
            throw ConcertinaException.invalid(
                    Flag.MODEL_MAIN.label(), text(Flag.MODEL_MAIN).orElse(""), "either it or --user-cmd, not both");
        }
        return command;
    }

    private String main() {
        if (values.containsKey(Flag.PBMODEL_NAME) || values.containsKey(Flag.PBMODEL_CMD)) {
            throw ConcertinaException.invalid(
                    Flag.PBMODEL_NAME.label(),
                    text(Flag.PBMODEL_NAME).orElse(""),
                    "--model-main or --user-cmd; prebuilt models are not available");
        }
        String main = text(Flag.MODEL_MAIN).orElse("");
        String accepted = "the script to run, relative to the uploaded folder, or --user-cmd -- command";
        if (main.isBlank() || main.endsWith("/")) {
            throw ConcertinaException.invalid(Flag.MODEL_MAIN.label(), main, accepted);
        }
        for (String part : main.split("/", -1)) {
            if (part.equals("..")) {
                throw ConcertinaException.invalid(Flag.MODEL_MAIN.label(), main, "a path without ..");
            }
        }
        return main;
    }

    private int workers(Framework framework, @Nullable JsonNode nodes) {
        OptionalInt asked = OptionalInt.empty();
        String field = Flag.NUM_WORKER.label();
        if (values.containsKey(Flag.NUM_WORKER)) {
            asked = OptionalInt.of(whole(field, text(Flag.NUM_WORKER).orElse(""), 1, MAX_WORKERS));
        } else if (values.containsKey(Flag.EDT_OPTIONS)) {
            field = "--edt-options maxWorkers";
            asked = maxWorkers(field);
        }
        if (asked.isEmpty() && nodes != null && present(nodes.path("num_nodes"))) {
            field = "hardwareSpec.nodes.num_nodes";
            asked = OptionalInt.of(whole(field, nodes.path("num_nodes").asString(""), 1, MAX_WORKERS));
        }
        int workers = asked.orElse(1);
        if (framework.mode() == Framework.Mode.SINGLE && workers != 1) {
            throw ConcertinaException.invalid(
                    field,
                    Integer.toString(workers),
                    "1 for framework " + framework.label() + ", which runs one process");
        }
        return workers;
    }

    private OptionalInt maxWorkers(String field) {
        OptionalInt workers = OptionalInt.empty();
        for (String option : text(Flag.EDT_OPTIONS).orElse("").split(",", -1)) {
            int equals = option.indexOf('=');
            if (equals < 0) {
                throw ConcertinaException.invalid(Flag.EDT_OPTIONS.label(), option, "name=value, such as maxWorkers=4");
            }
            if (option.substring(0, equals).strip().equals("maxWorkers")) {
                workers =
                        OptionalInt.of(whole(field, option.substring(equals + 1).strip(), 1, MAX_WORKERS));
            }
        }
        return workers;
    }

    private int slotsPerWorker(@Nullable JsonNode nodes) {
        String field = Flag.WORKER_DEVICE_NUM.label();
        String value = "1";
        if (values.containsKey(Flag.WORKER_DEVICE_NUM)) {
            value = text(Flag.WORKER_DEVICE_NUM).orElse("");
        } else if (values.containsKey(Flag.GPU_PER_WORKER)) {
            field = Flag.GPU_PER_WORKER.label();
            value = text(Flag.GPU_PER_WORKER).orElse("");
        } else if (nodes != null && present(nodes.path("gpu").path("num_gpu"))) {
            field = "hardwareSpec.nodes.gpu.num_gpu";
            value = nodes.path("gpu").path("num_gpu").asString("");
        }
        // A worker without any device still occupies one slot: its share of the CPUs.
        return Math.max(1, whole(field, value, 0, MAX_SLOTS_PER_WORKER));
    }

    private static Optional<Boolean> specifiedGpu(@Nullable JsonNode nodes) {
        if (nodes == null || !present(nodes.path("gpu").path("num_gpu"))) {
            return Optional.empty();
        }
        return nodes.path("gpu").path("num_gpu").asString("").equals("0") ? Optional.of(false) : Optional.empty();
    }

    private static void checkSizes(JsonNode nodes) {
        if (present(nodes.path("mem").path("size"))) {
            size("hardwareSpec.nodes.mem.size", nodes.path("mem").path("size").asString(""));
        }
        JsonNode units = nodes.path("cpu").path("units");
        if (present(units) && !DECIMAL.matcher(units.asString("")).matches()) {
            throw ConcertinaException.invalid(
                    "hardwareSpec.nodes.cpu.units", units.asString(""), "a number from 0, such as 0.25");
        }
    }

    private String dataPath(@Nullable JsonNode data) {
        if (data != null && present(data.path("dataSource"))) {
            return sourcePath("dataSource", data.path("dataSource"));
        }
        Word source = values.get(Flag.DATA_SOURCE);
        if (source != null) {
            return sourcePath(Flag.DATA_SOURCE.label(), json(source));
        }
        String path = "";
        for (String pair : text(Flag.CS_DATASTORE_META).orElse("type=fs").split(",", -1)) {
            int equals = pair.indexOf('=');
            String key = equals < 0 ? pair : pair.substring(0, equals);
            String value = equals < 0 ? "" : pair.substring(equals + 1);
            if (key.equals("data_path")) {
                path = below(Flag.CS_DATASTORE_META.label() + " data_path", value);
            } else if (!key.equals("type") || !value.equals("fs")) {
                throw ConcertinaException.invalid(
                        Flag.CS_DATASTORE_META.label(), pair, "type=fs, optionally with data_path=folder");
            }
        }
        return path;
    }

    /** A list of JSON survives both with the quotes a shell would have taken away and without them. */
    private static JsonNode json(Word word) {
        for (String candidate : List.of(word.text(), word.raw())) {
            try {
                return JSON.readTree(candidate);
            } catch (JacksonException notThisForm) {
                continue;
            }
        }
        throw ConcertinaException.invalid(
                Flag.DATA_SOURCE.label(), word.text(), "[{\"type\":\"fs\",\"location\":{\"paths\":\"folder\"}}]");
    }

    private static String sourcePath(String field, JsonNode sources) {
        String accepted = "[{\"type\":\"fs\",\"location\":{\"paths\":\"folder\"}}]";
        if (!sources.isArray() || sources.size() > 1) {
            throw ConcertinaException.invalid(field, sources.toString(), "a list of one source: " + accepted);
        }
        if (sources.isEmpty()) {
            return "";
        }
        JsonNode source = sources.get(0);
        if (!source.path("type").asString("").equals("fs")) {
            throw ConcertinaException.invalid(field, sources.toString(), accepted);
        }
        JsonNode paths = source.path("location").path("paths");
        if (paths.isArray() && paths.size() == 1) {
            paths = paths.get(0);
        }
        if (!present(paths)) {
            return "";
        }
        if (!paths.isString()) {
            throw ConcertinaException.invalid(field, sources.toString(), accepted);
        }
        return below(field + " paths", paths.asString());
    }

    /** A path that stays below the data folder, without empty or dot parts. */
    private static String below(String field, String path) {
        String accepted = "a path below the data folder: relative, without .. and backslashes";
        if (path.startsWith("/") || path.indexOf('\\') >= 0 || path.chars().anyMatch(Character::isISOControl)) {
            throw ConcertinaException.invalid(field, path, accepted);
        }
        List<String> parts = new ArrayList<>();
        for (String part : path.split("/", -1)) {
            if (part.equals("..")) {
                throw ConcertinaException.invalid(field, path, accepted);
            }
            if (!part.isEmpty() && !part.equals(".")) {
                parts.add(part);
            }
        }
        return String.join("/", parts);
    }

    private String applicationName(Framework framework) {
        String name = text(Flag.APP_NAME).orElse(framework.applicationName());
        if (name.isBlank() || name.length() > 256 || name.chars().anyMatch(Character::isISOControl)) {
            throw ConcertinaException.invalid(Flag.APP_NAME.label(), name, "1 to 256 printable characters");
        }
        return name;
    }

    private String condaEnvironment() {
        String name = text(Flag.CONDA_ENV_NAME).orElse("");
        if (values.containsKey(Flag.CONDA_ENV_NAME)
                && !ENVIRONMENT_NAME.matcher(name).matches()) {
            throw ConcertinaException.invalid(
                    Flag.CONDA_ENV_NAME.label(), name, "letters, digits, dots, hyphens and underscores");
        }
        return name;
    }

    private String consumer() {
        String consumer = text(Flag.CONSUMER).orElse("");
        if (consumer.length() > 256 || consumer.chars().anyMatch(Character::isISOControl)) {
            throw ConcertinaException.invalid(Flag.CONSUMER.label(), consumer, "a path of at most 256 characters");
        }
        return consumer;
    }

    private Optional<String> text(Flag flag) {
        return Optional.ofNullable(values.get(flag)).map(Word::text);
    }

    private static String baseName(String path) {
        String trimmed = path.replaceAll("/+$", "");
        String name = trimmed.substring(trimmed.lastIndexOf('/') + 1);
        return name.equals(".") || name.equals("..") ? "" : name;
    }

    private static @Nullable JsonNode object(JsonNode parent, String parentName, String name) {
        if (!present(parent)) {
            return null;
        }
        JsonNode node = parent.path(name);
        if (!parent.isObject() || (present(node) && !node.isObject())) {
            throw ConcertinaException.invalid(
                    parentName, parent.toString(), "{\"nodes\":{\"num_nodes\":2,\"gpu\":{\"num_gpu\":1}}}");
        }
        return present(node) ? node : null;
    }

    private static boolean present(JsonNode node) {
        return !node.isMissingNode() && !node.isNull();
    }

    private static int whole(String field, String value, int least, int most) {
        String accepted = most == Integer.MAX_VALUE
                ? "a whole number from " + least
                : "a whole number from " + least + " to " + most;
        try {
            int number = Integer.parseInt(value.strip());
            if (number >= least && number <= most && !value.strip().startsWith("+")) {
                return number;
            }
        } catch (NumberFormatException notANumber) {
            throw ConcertinaException.invalid(field, value, accepted);
        }
        throw ConcertinaException.invalid(field, value, accepted);
    }

    private static void size(String field, String value) {
        if (!SIZE.matcher(value).matches() || value.matches("[0.]+\\D*")) {
            throw ConcertinaException.invalid(field, value, "an amount of memory such as 32G or 512M");
        }
    }

    private static void oneOf(String field, String value, String... accepted) {
        if (!List.of(accepted).contains(value)) {
            throw ConcertinaException.invalid(field, value, "one of " + String.join(", ", accepted));
        }
    }
}
