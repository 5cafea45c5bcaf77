package concertina.api.wmla;

import concertina.model.ConcertinaException;
import concertina.search.Parameter;
import concertina.search.Value;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import tools.jackson.databind.JsonNode;

/**
 * Reads {@code when} of a hyperparameter, our extension: {@code {"name": "optimizer", "values": ["sgd"]}}, the values of one listed
 * before for which it exists. Used for one request.
 */
final class Conditions {
    private static final String WHEN = "when";

    /** The listed values of parameters that conditions name, found by what is posted. */
    private final Map<String, Listed> listed = new HashMap<>();

    /** The values of one list by their texts, and numbers by what they are however they are written. */
    private record Listed(Map<String, Value> texts, Map<Double, Value> numbers) {
        static Listed of(Parameter.Choice choice) {
            Listed listed = new Listed(new HashMap<>(), new HashMap<>());
            for (Value value : choice.values()) {
                listed.texts.putIfAbsent(value.text(), value);
                switch (value) {
                    case Value.Real real -> listed.numbers.putIfAbsent(real.value() + 0.0, value);
                    case Value.Whole whole -> listed.numbers.putIfAbsent((double) whole.value(), value);
                    case Value.Word ignored -> {}
                }
            }
            return listed;
        }

        Optional<Value> find(String text) {
            Value value = texts.get(text);
            try {
                return Optional.ofNullable(
                        value == null && !numbers.isEmpty() ? numbers.get(Double.parseDouble(text) + 0.0) : value);
            } catch (NumberFormatException notANumber) {
                return Optional.empty();
            }
        }
    }

    /** The parameter with its condition, if it has one. */
    Parameter conditioned(Parameter parameter, JsonNode posted, String path, List<Parameter> before) {
        if (!Fields.given(posted.path(WHEN))) {
            return parameter;
        }
        JsonNode when = Fields.object(posted, path, WHEN);
        String here = Fields.field(path, WHEN);
        for (String member : when.propertyNames()) {
            if (!member.equals("name") && !member.equals("values")) {
                throw ConcertinaException.invalid(here, member, "name, values");
            }
        }
        String accepted = "a hyperparameter listed before, of values or whole numbers";
        String name = Fields.needed(when, here, "name", accepted);
        Parameter parent = before.stream()
                .filter(each -> each.name().equals(name) && !(each instanceof Parameter.Real))
                .findFirst()
                .orElseThrow(() -> ConcertinaException.invalid(Fields.field(here, "name"), name, accepted));
        List<JsonNode> values = Fields.list(when, here, "values");
        if (values.isEmpty()) {
            throw ConcertinaException.invalid(Fields.field(here, "values"), "[]", "at least one value of " + name);
        }
        Set<Value> wanted = new HashSet<>();
        for (JsonNode value : values) {
            wanted.add(value(parent, value)
                    .orElseThrow(() -> ConcertinaException.invalid(
                            Fields.field(here, "values"), Fields.shown(value), "values that " + name + " can take")));
        }
        Parameter.Condition condition = new Parameter.Condition(name, wanted);
        return switch (parameter) {
            case Parameter.Real real ->
                new Parameter.Real(real.name(), real.low(), real.high(), real.scale(), real.step(), condition);
            case Parameter.Whole whole ->
                new Parameter.Whole(whole.name(), whole.low(), whole.high(), whole.scale(), whole.step(), condition);
            case Parameter.Choice choice ->
                new Parameter.Choice(choice.name(), choice.values(), choice.ordered(), condition);
        };
    }

    private Optional<Value> value(Parameter parent, JsonNode posted) {
        if (!posted.isString() && !posted.isNumber()) {
            return Optional.empty();
        }
        String text = posted.asString();
        return switch (parent) {
            case Parameter.Choice choice ->
                listed.computeIfAbsent(choice.name(), name -> Listed.of(choice)).find(text);
            case Parameter.Whole whole ->
                whole(text)
                        .filter(number -> number >= whole.low()
                                && number <= whole.high()
                                && (number - whole.low()) % whole.step() == 0)
                        .map(Value.Whole::new);
            case Parameter.Real ignored -> Optional.empty();
        };
    }

    private static Optional<Long> whole(String text) {
        try {
            return Optional.of(Long.parseLong(text));
        } catch (NumberFormatException notWhole) {
            return Optional.empty();
        }
    }
}
