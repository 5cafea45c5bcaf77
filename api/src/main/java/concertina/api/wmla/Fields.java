package concertina.api.wmla;

import concertina.model.ConcertinaException;
import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import tools.jackson.databind.JsonNode;

/** Members of a posted object, checked. Numbers may come as texts, as clients of the original send them. Pure. */
final class Fields {
    static final int LONGEST_NAME = 1000;

    private Fields() {}

    static boolean given(JsonNode node) {
        return !node.isMissingNode()
                && !node.isNull()
                && !(node.isString() && node.asString().isBlank());
    }

    static JsonNode object(JsonNode parent, String path, String name) {
        JsonNode node = parent.path(name);
        if (!node.isObject()) {
            throw ConcertinaException.invalid(field(path, name), shown(node), "an object");
        }
        return node;
    }

    /** The items of a list; none when it is missing. */
    static List<JsonNode> list(JsonNode parent, String path, String name) {
        JsonNode node = parent.path(name);
        if (!given(node)) {
            return List.of();
        }
        if (!node.isArray()) {
            throw ConcertinaException.invalid(field(path, name), shown(node), "a list");
        }
        List<JsonNode> items = new ArrayList<>();
        node.forEach(items::add);
        return items;
    }

    static Optional<String> text(JsonNode parent, String path, String name) {
        JsonNode node = parent.path(name);
        if (!given(node)) {
            return Optional.empty();
        }
        if (!node.isString() && !node.isNumber()) {
            throw ConcertinaException.invalid(field(path, name), shown(node), "a text");
        }
        return Optional.of(node.isString() ? node.asString() : node.toString());
    }

    static String needed(JsonNode parent, String path, String name, String accepted) {
        return text(parent, path, name).orElseThrow(() -> ConcertinaException.invalid(field(path, name), "", accepted));
    }

    /** A name that others may have to read: as a column, in a message, as a key. */
    static String name(JsonNode parent, String path, String name, String accepted) {
        return name(field(path, name), needed(parent, path, name, accepted));
    }

    static String name(String field, String value) {
        if (value.length() > LONGEST_NAME) {
            throw ConcertinaException.invalid(field, value, "a name of at most " + LONGEST_NAME + " characters");
        }
        return value;
    }

    static Optional<BigDecimal> number(JsonNode parent, String path, String name) {
        JsonNode node = parent.path(name);
        return given(node) ? Optional.of(number(field(path, name), node)) : Optional.empty();
    }

    static BigDecimal number(String field, JsonNode node) {
        String text = node.isNumber() || node.isString() ? node.asString().strip() : "";
        try {
            if (text.length() <= 100 && text.matches("[+-]?[0-9.]+([eE][+-]?[0-9]{1,4})?")) {
                BigDecimal number = new BigDecimal(text);
                double rounded = number.doubleValue();
                if (Double.isFinite(rounded) && (rounded != 0 || number.signum() == 0)) {
                    // A zero needs none of the digits that its exponent would make.
                    return number.signum() == 0 ? BigDecimal.ZERO : number;
                }
            }
        } catch (NumberFormatException notANumber) {
            throw ConcertinaException.invalid(field, shown(node), "a number");
        }
        throw ConcertinaException.invalid(field, shown(node), "a number");
    }

    static long whole(String field, JsonNode node) {
        try {
            return number(field, node).longValueExact();
        } catch (ArithmeticException fraction) {
            throw ConcertinaException.invalid(field, shown(node), "a whole number");
        }
    }

    /** A count with -1 for no limit; -1 when it is missing. */
    static long limit(JsonNode parent, String path, String name) {
        JsonNode node = parent.path(name);
        if (!given(node)) {
            return -1;
        }
        String accepted = "a whole number from 1 to " + Integer.MAX_VALUE + ", or -1 for no limit";
        long value;
        try {
            value = whole(field(path, name), node);
        } catch (ConcertinaException notWhole) {
            throw ConcertinaException.invalid(field(path, name), shown(node), accepted);
        }
        if (value != -1 && (value < 1 || value > Integer.MAX_VALUE)) {
            throw ConcertinaException.invalid(field(path, name), shown(node), accepted);
        }
        return value;
    }

    static String field(String path, String name) {
        return path.isEmpty() ? name : path + "." + name;
    }

    static String shown(JsonNode node) {
        String text = node.isMissingNode() ? "" : node.isString() ? node.asString() : node.toString();
        return text.length() > 100 ? text.substring(0, 100) + "…" : text;
    }
}
