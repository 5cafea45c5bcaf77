package concertina.api.platform;

import concertina.api.Answers;
import concertina.search.Parameter;
import concertina.search.Point;
import concertina.search.Value;
import concertina.trials.Constraint;
import concertina.trials.SearchSpec;
import concertina.trials.SearchView;
import concertina.trials.TrialView;
import concertina.trials.WarmStart;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Searches and trials as our own API shows them: numbers as numbers, what does not exist as null or left out. Pure. */
final class SearchJson {
    private static final Comparator<Object> BY_TEXT = Comparator.comparing(Object::toString);

    private SearchJson() {}

    /** A search without its trials. */
    static Map<String, Object> summary(SearchView search) {
        SearchSpec spec = search.spec();
        Map<String, Object> json = new LinkedHashMap<>();
        json.put("name", search.name());
        json.put("creator", search.creator().value());
        json.put("state", search.state());
        json.put("reason", search.reason());
        json.put("createdAt", search.createdAt());
        json.put("seconds", search.duration().toMillis() / 1000.0);
        json.put("algorithm", spec.algorithm());
        json.put("objectives", spec.objectives());
        json.put(
                "constraints",
                spec.constraints().stream().map(SearchJson::constraint).toList());
        json.put("warmStart", warmStart(search.warmStart()));
        json.put("maxTrials", spec.maxTrials());
        json.put("parallel", spec.parallel());
        json.put("trialCount", search.trials().size());
        json.put("running", search.running());
        json.put("complete", search.complete());
        json.put("failed", search.failed());
        TrialView best = search.best();
        json.put("best", best == null ? null : trial(spec, best));
        return json;
    }

    /**
     * A search with its space and the latest of its trials.
     *
     * @param latest so many trials at most
     */
    static Map<String, Object> whole(SearchView search, int latest) {
        Map<String, Object> json = summary(search);
        json.put("parameters", parameters(search.spec()));
        List<TrialView> trials = search.trials();
        json.put(
                "trials",
                Answers.each(
                        trials.subList(Math.max(0, trials.size() - latest), trials.size()),
                        trial -> trial(search.spec(), trial)));
        return json;
    }

    static List<Map<String, Object>> parameters(SearchSpec spec) {
        return spec.parameters().stream().map(SearchJson::parameter).toList();
    }

    private static Map<String, Object> parameter(Parameter parameter) {
        Map<String, Object> json = new LinkedHashMap<>();
        json.put("name", parameter.name());
        switch (parameter) {
            case Parameter.Real real -> {
                json.put("kind", "real");
                json.put("low", real.low());
                json.put("high", real.high());
                json.put("scale", real.scale().name().toLowerCase(Locale.ROOT));
                if (real.step() > 0) {
                    json.put("step", real.step());
                }
            }
            case Parameter.Whole whole -> {
                json.put("kind", "whole");
                json.put("low", whole.low());
                json.put("high", whole.high());
                json.put("scale", whole.scale().name().toLowerCase(Locale.ROOT));
                json.put("step", whole.step());
            }
            case Parameter.Choice choice -> {
                json.put("kind", "choice");
                json.put(
                        "values",
                        choice.values().stream().map(SearchJson::plain).toList());
                json.put("ordered", choice.ordered());
            }
        }
        Parameter.Condition when = parameter.when();
        if (when != null) {
            Map<String, Object> condition = new LinkedHashMap<>();
            condition.put("name", when.parent());
            condition.put(
                    "values",
                    when.values().stream()
                            .map(SearchJson::plain)
                            .sorted(BY_TEXT)
                            .toList());
            json.put("when", condition);
        }
        return json;
    }

    private static @Nullable Map<String, Object> warmStart(@Nullable WarmStart warmStart) {
        if (warmStart == null) {
            return null;
        }
        Map<String, Object> json = new LinkedHashMap<>();
        json.put("searches", warmStart.searches());
        json.put("trials", warmStart.trials().size());
        json.put("leftOut", warmStart.leftOut());
        return json;
    }

    private static Map<String, Object> constraint(Constraint constraint) {
        Map<String, Object> json = new LinkedHashMap<>();
        json.put("metric", constraint.metric());
        json.put(constraint.least() ? "atLeast" : "atMost", constraint.bound());
        return json;
    }

    static Map<String, Object> trial(SearchSpec spec, TrialView trial) {
        Map<String, Object> json = new LinkedHashMap<>();
        json.put("trial", trial.number());
        json.put("job", trial.job().value());
        json.put("state", trial.state());
        json.put("value", trial.value());
        json.put("values", byObjective(spec, trial));
        json.put("violations", missed(spec, trial));
        json.put("parameters", values(trial.point()));
        json.put("resource", trial.resource());
        json.put("parent", trial.parent());
        json.put("metrics", trial.metrics());
        json.put("startedAt", trial.startedAt());
        json.put("endedAt", trial.endedAt());
        json.put("reason", trial.reason());
        return json;
    }

    private static Map<String, Double> byObjective(SearchSpec spec, TrialView trial) {
        Map<String, Double> values = new LinkedHashMap<>();
        for (int i = 0; i < trial.values().size(); i++) {
            values.put(spec.objectives().get(i).metric(), trial.values().get(i));
        }
        return values;
    }

    /** By how much each constraint is missed that is missed. */
    private static Map<String, Double> missed(SearchSpec spec, TrialView trial) {
        Map<String, Double> missed = new LinkedHashMap<>();
        for (int i = 0; i < trial.violations().size(); i++) {
            double violation = trial.violations().get(i);
            if (violation > 0) {
                missed.put(spec.constraints().get(i).metric(), violation);
            }
        }
        return missed;
    }

    static Map<String, Object> values(Point point) {
        Map<String, Object> values = new LinkedHashMap<>();
        point.values().forEach((name, value) -> values.put(name, plain(value)));
        return values;
    }

    static Object plain(Value value) {
        return switch (value) {
            case Value.Real real -> real.value();
            case Value.Whole whole -> whole.value();
            case Value.Word word -> word.value();
        };
    }
}
