package concertina.api.wmla;

import concertina.model.ConcertinaException;
import concertina.trials.Constraint;
import concertina.trials.Objective;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import tools.jackson.databind.JsonNode;

/**
 * What a search is after, from {@code algoDef}: the contract's one {@code objectiveMetric}, or our extension {@code objectives}; and
 * {@code constraints}, an extension too. Pure.
 */
record Goals(List<Objective> objectives, List<Constraint> constraints) {
    private static final String PATH = "algoDef";
    private static final String SINGLE = "objectiveMetric";
    private static final String SEVERAL = "objectives";
    private static final String CONSTRAINTS = "constraints";
    private static final String METRIC = "a key of val_dict_list.json";
    private static final int MOST = 10;

    static Goals read(JsonNode algorithm) {
        List<Objective> objectives = objectives(algorithm);
        if (objectives.size() > 1) {
            for (String member : List.of("earlyStopping", "stopWhenConverged")) {
                if (Fields.given(algorithm.path(member))) {
                    throw ConcertinaException.invalid(
                            Fields.field(PATH, member),
                            Fields.shown(algorithm.path(member)),
                            "nothing where a search has several objectives");
                }
            }
        }
        return new Goals(objectives, constraints(algorithm));
    }

    private static List<Objective> objectives(JsonNode algorithm) {
        List<JsonNode> several = Fields.list(algorithm, PATH, SEVERAL);
        if (several.isEmpty()) {
            String metric = Fields.name(algorithm, PATH, SINGLE, METRIC);
            return List.of(new Objective(metric, maximize(algorithm, PATH)));
        }
        for (String member : List.of(SINGLE, "objective")) {
            if (Fields.given(algorithm.path(member))) {
                throw ConcertinaException.invalid(
                        Fields.field(PATH, member),
                        Fields.shown(algorithm.path(member)),
                        "nothing beside " + SEVERAL + ", or this without " + SEVERAL);
            }
        }
        checkCount(SEVERAL, several);
        List<Objective> objectives = new ArrayList<>();
        Set<String> metrics = new HashSet<>();
        for (int i = 0; i < several.size(); i++) {
            String path = Fields.field(PATH, SEVERAL + "[" + i + "]");
            JsonNode posted = object(several.get(i), path, List.of("metric", "objective"));
            String metric = Fields.name(posted, path, "metric", METRIC);
            if (!metrics.add(metric)) {
                throw ConcertinaException.invalid(path + ".metric", metric, "metrics that differ");
            }
            objectives.add(new Objective(metric, maximize(posted, path)));
        }
        return objectives;
    }

    private static boolean maximize(JsonNode parent, String path) {
        String objective = Fields.text(parent, path, "objective").orElse("minimize");
        return switch (objective.toLowerCase(Locale.ROOT)) {
            case "minimize" -> false;
            case "maximize" -> true;
            default -> throw ConcertinaException.invalid(path + ".objective", objective, "minimize or maximize");
        };
    }

    private static List<Constraint> constraints(JsonNode algorithm) {
        List<JsonNode> list = Fields.list(algorithm, PATH, CONSTRAINTS);
        checkCount(CONSTRAINTS, list);
        List<Constraint> constraints = new ArrayList<>();
        for (int i = 0; i < list.size(); i++) {
            String path = Fields.field(PATH, CONSTRAINTS + "[" + i + "]");
            JsonNode posted = object(list.get(i), path, List.of("metric", "atMost", "atLeast"));
            String metric = Fields.name(posted, path, "metric", METRIC);
            boolean least = Fields.given(posted.path("atLeast"));
            if (least == Fields.given(posted.path("atMost"))) {
                throw ConcertinaException.invalid(path, Fields.shown(posted), "exactly one of atMost and atLeast");
            }
            double bound = Fields.number(posted, path, least ? "atLeast" : "atMost")
                    .orElseThrow()
                    .doubleValue();
            constraints.add(new Constraint(metric, bound, least));
        }
        return constraints;
    }

    private static void checkCount(String name, List<JsonNode> list) {
        if (list.size() > MOST) {
            throw ConcertinaException.invalid(
                    Fields.field(PATH, name), list.size() + " items", "a list of at most " + MOST);
        }
    }

    private static JsonNode object(JsonNode posted, String path, List<String> known) {
        if (!posted.isObject()) {
            throw ConcertinaException.invalid(path, Fields.shown(posted), "an object with " + String.join(", ", known));
        }
        for (String name : posted.propertyNames()) {
            if (!known.contains(name)) {
                throw ConcertinaException.invalid(path, name, String.join(", ", known));
            }
        }
        return posted;
    }
}
