package concertina.server;

import concertina.model.ConcertinaException;
import java.math.BigDecimal;
import java.util.Arrays;
import java.util.List;
import java.util.function.Predicate;
import java.util.regex.Pattern;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;

/** Reads a hyperparameter as the command line writes it, {@code rate=0.001..0.1:log}, into what the search API takes. Pure. */
final class SearchParameter {
    private static final String FLAG = "--param";
    private static final String ACCEPTED =
            "NAME=LOW..HIGH, with :int, :log or :step=S behind it, or values as in NAME=sgd,adam";
    private static final Pattern WHOLE = Pattern.compile("[+-]?\\d{1,18}");
    private static final Pattern NUMBER =
            Pattern.compile("[+-]?(\\d{1,30}\\.?\\d{0,30}|\\.\\d{1,30})([eE][+-]?\\d{1,3})?");

    private SearchParameter() {}

    static ObjectNode read(String text) {
        int equals = text.indexOf('=');
        String name = equals < 0 ? "" : text.substring(0, equals).strip();
        String rest = text.substring(equals + 1).strip();
        if (name.isEmpty() || rest.isEmpty()) {
            throw ConcertinaException.invalid(FLAG, text, ACCEPTED);
        }
        ObjectNode parameter = JsonNodeFactory.instance.objectNode();
        parameter.put("name", name);
        int dots = rest.indexOf("..");
        String low = dots < 0 ? "" : rest.substring(0, dots).strip();
        if (NUMBER.matcher(low).matches()) {
            range(parameter, text, low, rest.substring(dots + 2).split(":", -1));
        } else {
            values(
                    parameter,
                    text,
                    Arrays.stream(rest.split(",", -1)).map(String::strip).toList());
        }
        return parameter;
    }

    /** Reads a condition, {@code momentum:optimizer=sgd,nag}, into the hyperparameter that has it. */
    static void condition(String text, ArrayNode space) {
        int equals = text.indexOf('=');
        int colon = equals < 0 ? -1 : text.lastIndexOf(':', equals);
        String name = colon < 0 ? "" : text.substring(0, colon).strip();
        String parent = colon < 0 ? "" : text.substring(colon + 1, equals).strip();
        List<String> values = Arrays.stream(text.substring(equals + 1).split(",", -1))
                .map(String::strip)
                .toList();
        ObjectNode found = null;
        for (JsonNode parameter : space) {
            if (parameter.path("name").asString("").equals(name)) {
                found = (ObjectNode) parameter;
            }
        }
        if (found == null || parent.isEmpty() || values.stream().anyMatch(String::isEmpty)) {
            throw ConcertinaException.invalid("--when", text, "NAME:OTHER=VALUE,… with the NAME of a --param");
        }
        ArrayNode list = found.putObject("when").put("name", parent).putArray("values");
        values.forEach(list::add);
    }

    private static void range(ObjectNode parameter, String text, String low, String[] parts) {
        String high = parts[0].strip();
        boolean whole = false;
        parameter.put("type", "Range");
        for (String word : Arrays.asList(parts).subList(1, parts.length)) {
            String modifier = word.strip();
            if (modifier.equals("int")) {
                whole = true;
            } else if (modifier.equals("log")) {
                parameter.put("scale", "log");
            } else if (modifier.startsWith("step=")
                    && NUMBER.matcher(modifier.substring(5)).matches()) {
                parameter.put("step", new BigDecimal(modifier.substring(5)));
            } else if (!modifier.equals("real")) {
                throw ConcertinaException.invalid(FLAG, text, ACCEPTED);
            }
        }
        Pattern kind = whole ? WHOLE : NUMBER;
        if (!kind.matcher(low).matches() || !kind.matcher(high).matches()) {
            throw ConcertinaException.invalid(FLAG, text, whole ? "whole numbers for :int" : ACCEPTED);
        }
        if (new BigDecimal(low).compareTo(new BigDecimal(high)) > 0) {
            throw ConcertinaException.invalid(FLAG, text, "a first bound that is not above the second");
        }
        parameter.put("dataType", whole ? "INT" : "DOUBLE");
        parameter.put(whole ? "minIntVal" : "minDbVal", new BigDecimal(low));
        parameter.put(whole ? "maxIntVal" : "maxDbVal", new BigDecimal(high));
    }

    private static void values(ObjectNode parameter, String text, List<String> words) {
        if (words.stream().anyMatch(String::isEmpty)) {
            throw ConcertinaException.invalid(FLAG, text, ACCEPTED);
        }
        Predicate<Pattern> all =
                pattern -> words.stream().allMatch(word -> pattern.matcher(word).matches());
        parameter.put("type", "Discrete");
        boolean whole = all.test(WHOLE);
        boolean number = whole || all.test(NUMBER);
        parameter.put("dataType", whole ? "INT" : number ? "DOUBLE" : "STR");
        // The last name's spelling is the contract's.
        ArrayNode list = parameter.putArray(whole ? "discreteIntVal" : number ? "discreteDbVal" : "discreateStrVal");
        for (String word : words) {
            if (number) {
                list.add(new BigDecimal(word));
            } else {
                list.add(word);
            }
        }
    }
}
