package concertina.server;

import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import java.io.IOException;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.RecordComponent;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.dataformat.yaml.YAMLMapper;

/**
 * Makes a {@link Configuration} out of one YAML file and the environment; the environment wins. Every fault is one line
 * that names the key, the value and what is accepted. Reads only what it is handed.
 */
public final class ConfigurationReader {
    private static final String PREFIX = "CONCERTINA_";

    private ConfigurationReader() {}

    /** The configuration of a file, if there is one, overridden by the environment's {@code CONCERTINA_…} variables. */
    public static Configuration read(@Nullable Path file, Map<String, String> environment) {
        String yaml = "";
        if (file != null) {
            try {
                yaml = Files.readString(file);
            } catch (IOException missing) {
                throw new ConcertinaException(
                        ErrorCode.INVALID_ARGUMENT, "configuration file " + file + " cannot be read", missing);
            }
        }
        return parse(yaml, file == null ? "configuration" : file.toString(), environment);
    }

    /** As {@link #read}, of text. */
    static Configuration parse(String yaml, String source, Map<String, String> environment) {
        Map<String, JsonNode> written = new LinkedHashMap<>();
        JsonNode root = tree(yaml, source);
        if (root.isObject()) {
            root.properties().forEach(entry -> written.put(entry.getKey(), entry.getValue()));
        } else if (!root.isMissingNode() && !root.isNull()) {
            throw new ConcertinaException(
                    ErrorCode.INVALID_ARGUMENT, source + " holds no keys, accepted: lines of the form 'key: value'");
        }
        List<String> keys = keys();
        for (String key : written.keySet()) {
            if (!keys.contains(key)) {
                throw ConcertinaException.invalid("key in " + source, key, String.join(", ", keys));
            }
        }
        RecordComponent[] components = Configuration.class.getRecordComponents();
        @Nullable Object[] values = new Object[components.length];
        for (int i = 0; i < components.length; i++) {
            String key = key(components[i]);
            String variable = environment.get(environmentVariable(key));
            JsonNode node = written.get(key);
            if (variable != null) {
                values[i] = fromText(environmentVariable(key), variable, components[i].getType());
            } else if (node != null && !node.isNull()) {
                values[i] = fromNode(key, node, components[i].getType());
            } else {
                values[i] = valueOf(components[i], Configuration.DEFAULT);
            }
        }
        return build(components, values);
    }

    /** All keys in kebab-case, in the order in which the record names them. */
    static List<String> keys() {
        return Arrays.stream(Configuration.class.getRecordComponents())
                .map(ConfigurationReader::key)
                .toList();
    }

    /** The environment variable of a key. */
    static String environmentVariable(String key) {
        return PREFIX + key.toUpperCase(Locale.ROOT).replace('-', '_');
    }

    /** The value of a key as a person would write it, empty when it has none. */
    static String written(String key, Configuration configuration) {
        for (RecordComponent component : Configuration.class.getRecordComponents()) {
            if (key(component).equals(key)) {
                Object value = valueOf(component, configuration);
                return switch (value) {
                    case null -> "";
                    case List<?> list ->
                        String.join(", ", list.stream().map(Object::toString).toList());
                    default -> value.toString();
                };
            }
        }
        throw ConcertinaException.invalid("key", key, String.join(", ", keys()));
    }

    private static String key(RecordComponent component) {
        return component.getName().replaceAll("([A-Z])", "-$1").toLowerCase(Locale.ROOT);
    }

    private static JsonNode tree(String yaml, String source) {
        try {
            return YAMLMapper.shared().readTree(yaml);
        } catch (JacksonException malformed) {
            String problem = malformed.getOriginalMessage();
            String line = problem == null
                    ? ""
                    : problem.lines().findFirst().orElse("").strip();
            int at = malformed.getLocation() == null
                    ? -1
                    : malformed.getLocation().getLineNr();
            throw new ConcertinaException(
                    ErrorCode.INVALID_ARGUMENT,
                    source + (at < 1 ? "" : " line " + at) + " is not YAML: " + line,
                    malformed);
        }
    }

    private static Object fromNode(String key, JsonNode node, Class<?> type) {
        if (type == int.class || type == Integer.class) {
            if (node.isIntegralNumber() && node.canConvertToInt()) {
                return node.intValue();
            }
            throw ConcertinaException.invalid(key, shown(node), "a whole number");
        }
        if (type == List.class) {
            List<String> members = new ArrayList<>();
            for (JsonNode member : node.isArray() ? node : List.of(node)) {
                if (!member.isValueNode()) {
                    throw ConcertinaException.invalid(key, shown(node), "a list of words");
                }
                members.add(member.asString());
            }
            return members;
        }
        if (!node.isValueNode()) {
            throw ConcertinaException.invalid(key, shown(node), type == Path.class ? "a path" : "text");
        }
        return fromText(key, node.asString(), type);
    }

    private static Object fromText(String key, String text, Class<?> type) {
        if (type == int.class || type == Integer.class) {
            try {
                return Integer.valueOf(text.strip());
            } catch (NumberFormatException notNumber) {
                throw ConcertinaException.invalid(key, text, "a whole number");
            }
        }
        if (type == List.class) {
            return Arrays.stream(text.split(","))
                    .map(String::strip)
                    .filter(member -> !member.isEmpty())
                    .toList();
        }
        if (type == Path.class) {
            try {
                return Path.of(text).toAbsolutePath().normalize();
            } catch (InvalidPathException notPath) {
                throw ConcertinaException.invalid(key, text, "a path");
            }
        }
        return text;
    }

    private static String shown(JsonNode node) {
        return node.isValueNode() ? node.asString() : node.toString();
    }

    private static @Nullable Object valueOf(RecordComponent component, Configuration configuration) {
        try {
            return component.getAccessor().invoke(configuration);
        } catch (ReflectiveOperationException impossible) {
            throw new IllegalStateException(impossible);
        }
    }

    private static Configuration build(RecordComponent[] components, @Nullable Object[] values) {
        Class<?>[] types =
                Arrays.stream(components).map(RecordComponent::getType).toArray(Class<?>[]::new);
        try {
            return Configuration.class.getDeclaredConstructor(types).newInstance(values);
        } catch (InvocationTargetException refused) {
            if (refused.getCause() instanceof ConcertinaException fault) {
                throw fault;
            }
            throw new IllegalStateException(refused);
        } catch (ReflectiveOperationException impossible) {
            throw new IllegalStateException(impossible);
        }
    }
}
