package concertina.api.wmla;

import concertina.model.ConcertinaException;
import concertina.search.Parameter;
import concertina.search.Value;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import tools.jackson.databind.JsonNode;

/**
 * Reads {@code when} of a hyperparameter, our extension: {@code {"name": "optimizer", "values": ["sgd"]}}, the values of one listed
 * before for which it exists. Pure.
 */
final class Conditions {
    private static final String WHEN = "when";

    private Conditions() {}

    /** The parameter with its condition, if it has one. */
    static Parameter conditioned(Parameter parameter, JsonNode posted, String path, List<Parameter> before) {
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

    private static Optional<Value> value(Parameter parent, JsonNode posted) {
        if (!posted.isString() && !posted.isNumber()) {
            return Optional.empty();
        }
        String text = posted.asString();
        return switch (parent) {
            case Parameter.Choice choice ->
                choice.values().stream()
                        .filter(value -> value.text().equals(text) || same(value, text))
                        .findFirst();
            case Parameter.Whole whole ->
                whole(text)
                        .filter(number -> number >= whole.low()
                                && number <= whole.high()
                                && (number - whole.low()) % whole.step() == 0)
                        .map(Value.Whole::new);
            case Parameter.Real ignored -> Optional.empty();
        };
    }

    private static boolean same(Value value, String text) {
        try {
            return switch (value) {
                case Value.Real real -> real.value() == Double.parseDouble(text);
                case Value.Whole whole -> whole.value() == Double.parseDouble(text);
                case Value.Word ignored -> false;
            };
        } catch (NumberFormatException notANumber) {
            return false;
        }
    }

    private static Optional<Long> whole(String text) {
        try {
            return Optional.of(Long.parseLong(text));
        } catch (NumberFormatException notWhole) {
            return Optional.empty();
        }
    }
}
