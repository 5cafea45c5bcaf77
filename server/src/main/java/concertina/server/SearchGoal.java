package concertina.server;

import concertina.model.ConcertinaException;
import java.math.BigDecimal;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;

/** Reads an objective, {@code speed:maximize}, a constraint, {@code memory<=16}, or a rule of early stopping, {@code asha:81}, into what the search API takes. Pure. */
final class SearchGoal {
    private static final Pattern BOUND =
            Pattern.compile("(.+?)\\s*(<=|>=)\\s*([+-]?(?:\\d{1,30}\\.?\\d{0,30}|\\.\\d{1,30})(?:[eE][+-]?\\d{1,3})?)");

    private static final Pattern STEPS = Pattern.compile("asha:([1-9]\\d{0,8})");

    private SearchGoal() {}

    static ObjectNode objective(String text) {
        int colon = text.lastIndexOf(':');
        String direction = colon < 0 ? "minimize" : text.substring(colon + 1).strip();
        String metric = (colon < 0 ? text : text.substring(0, colon)).strip();
        if (metric.isEmpty() || !direction.equals("minimize") && !direction.equals("maximize")) {
            throw ConcertinaException.invalid("--objective", text, "METRIC, METRIC:minimize or METRIC:maximize");
        }
        return JsonNodeFactory.instance.objectNode().put("metric", metric).put("objective", direction);
    }

    static ObjectNode stopping(String text) {
        String rule = text.strip();
        if (rule.equals("median")) {
            return JsonNodeFactory.instance.objectNode().put("rule", rule);
        }
        Matcher asha = STEPS.matcher(rule);
        if (!asha.matches()) {
            throw ConcertinaException.invalid("--stop-early", text, "median, or asha:STEPS");
        }
        return JsonNodeFactory.instance
                .objectNode()
                .put("rule", "asha")
                .put("maxSteps", Integer.parseInt(asha.group(1)));
    }

    static ObjectNode constraint(String text) {
        Matcher bound = BOUND.matcher(text.strip());
        if (!bound.matches()) {
            throw ConcertinaException.invalid("--constraint", text, "METRIC<=NUMBER or METRIC>=NUMBER");
        }
        return JsonNodeFactory.instance
                .objectNode()
                .put("metric", bound.group(1))
                .put(bound.group(2).equals("<=") ? "atMost" : "atLeast", new BigDecimal(bound.group(3)));
    }
}
