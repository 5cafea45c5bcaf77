package concertina.api.wmla;

import concertina.api.Answers;
import concertina.search.Value;
import concertina.trials.GivenPoint;
import concertina.trials.SearchSpec;
import concertina.trials.SearchView;
import concertina.trials.TrialView;
import java.time.Instant;
import java.time.ZoneId;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** A search as clients of the contract know it: task and experiment objects. Pure but for the server's time zone. */
final class SearchTask {
    /** The value of an experiment that gave none; never best. */
    private static final double NO_VALUE = 9999.99;

    private static final DateTimeFormatter LOCAL = DateTimeFormatter.ofPattern("yyyy-MM-dd HH:mm:ss", Locale.ROOT);
    private static final List<String> ECHOED =
            List.of("algorithm", "maxJobNum", "maxParalleJobNum", "maxRunTime", "objective", "objectiveMetric");
    private static final List<String> OWN =
            List.of("objectives", "constraints", "warmStart", "earlyStopping", "stopWhenConverged");
    private static final JsonMapper JSON = JsonMapper.builder().build();

    private SearchTask() {}

    /** {@code reason} is our own addition at the end. */
    static Map<String, Object> of(SearchView search) {
        JsonNode request = JSON.readTree(search.spec().request());
        boolean firstGeneration = request.path("modelSpec").has("sigName");
        Map<String, Object> task = new LinkedHashMap<>();
        task.put("hpoName", search.name());
        task.put("state", search.state().name());
        task.put("progress", progress(search));
        task.put("running", search.running());
        task.put("complete", search.complete());
        task.put("failed", search.failed());
        long seconds = search.duration().toSeconds();
        task.put(
                "duration",
                String.format(Locale.ROOT, "%02d:%02d:%02d", seconds / 3600, seconds / 60 % 60, seconds % 60));
        task.put("createtime", local(search.createdAt()));
        task.put("creator", search.creator().value());
        TrialView best = search.best();
        if (best != null) {
            task.put("best", experiment(search.spec(), best, firstGeneration));
        }
        task.put(
                "experiments",
                Answers.each(search.trials(), trial -> experiment(search.spec(), trial, firstGeneration)));
        task.put("algoDef", algorithm(search.spec(), request.path("algoDef")));
        if (request.has("hyperParams")) {
            task.put("hyperParams", hyperParameters(request.path("hyperParams")));
        }
        task.put("reason", search.reason());
        return task;
    }

    private static String progress(SearchView search) {
        long most = search.spec().maxTrials();
        return search.complete() + "/" + (most < 0 ? "-" : Long.toString(most));
    }

    private static Map<String, Object> algorithm(SearchSpec spec, JsonNode posted) {
        Map<String, Object> algorithm = new LinkedHashMap<>();
        for (String name : ECHOED) {
            switch (name) {
                case "algorithm" -> algorithm.put(name, spec.algorithm());
                case "maxJobNum" -> algorithm.put(name, Fields.limit(posted, "", name));
                case "maxParalleJobNum" -> algorithm.put(name, spec.parallel());
                case "maxRunTime" -> algorithm.put(name, spec.maxMinutes());
                case "objective" ->
                    algorithm.put(
                            name, posted.path(name).asString(spec.objective().maximize() ? "maximize" : "minimize"));
                default -> algorithm.put(name, spec.objective().metric());
            }
        }
        for (String name : OWN) {
            if (posted.has(name)) {
                algorithm.put(name, posted.path(name));
            }
        }
        return algorithm;
    }

    private static List<Map<String, Object>> hyperParameters(JsonNode posted) {
        List<Map<String, Object>> list = new ArrayList<>();
        for (JsonNode each : posted) {
            Map<String, Object> parameter = new LinkedHashMap<>();
            each.properties().forEach(entry -> {
                String name = entry.getKey();
                boolean lower = name.equals("type") || name.equals("dataType");
                parameter.put(
                        name,
                        lower ? entry.getValue().asString("").toLowerCase(Locale.ROOT) : (Object) entry.getValue());
            });
            parameter.putIfAbsent("userDefined", false);
            list.add(parameter);
        }
        return list;
    }

    private static Map<String, Object> experiment(SearchSpec spec, TrialView trial, boolean firstGeneration) {
        Map<String, Object> experiment = new LinkedHashMap<>();
        experiment.put("id", id(spec, trial));
        experiment.put("state", trial.state().name());
        experiment.put("metricVal", value(trial));
        experiment.put("hyperParams", values(spec, trial));
        experiment.put("appId", trial.job().value());
        if (firstGeneration) {
            experiment.put("driverId", trial.job().value());
            experiment.put("maxiteration", 0);
        }
        experiment.put("startTime", local(trial.startedAt()));
        experiment.put("endTime", local(trial.endedAt()));
        experiment.put("metrics", trial.metrics());
        experiment.put("reason", trial.reason());
        return experiment;
    }

    private static long id(SearchSpec spec, TrialView trial) {
        List<GivenPoint> given = spec.given();
        return given.isEmpty()
                ? trial.number()
                : given.get((int) trial.number()).id();
    }

    private static double value(TrialView trial) {
        Double value = trial.value();
        return switch (trial.state()) {
            case SUBMITTED, RUNNING -> 0;
            case FINISHED, FAILED, STOPPED, KILLED -> value == null ? NO_VALUE : value;
        };
    }

    private static List<Map<String, Object>> values(SearchSpec spec, TrialView trial) {
        List<Map<String, Object>> values = new ArrayList<>();
        trial.point().values().forEach((name, value) -> {
            Map<String, Object> one = value(name, dataType(value), value.text());
            if (!spec.given().isEmpty()) {
                one.put("type", "fix");
            }
            values.add(one);
        });
        Double resource = trial.resource();
        if (resource != null && !spec.resource().isEmpty()) {
            boolean whole = resource == Math.rint(resource) && Math.abs(resource) < 1e15;
            values.add(value(
                    spec.resource(), "str", whole ? Long.toString(resource.longValue()) : Double.toString(resource)));
        }
        return values;
    }

    private static Map<String, Object> value(String name, String dataType, String text) {
        Map<String, Object> value = new LinkedHashMap<>();
        value.put("name", name);
        value.put("dataType", dataType);
        value.put("userDefined", false);
        value.put("fixedVal", text);
        return value;
    }

    private static String dataType(Value value) {
        return switch (value) {
            case Value.Real ignored -> "double";
            case Value.Whole ignored -> "int";
            case Value.Word ignored -> "str";
        };
    }

    private static String local(@Nullable Instant instant) {
        return instant == null ? "" : LOCAL.format(instant.atZone(ZoneId.systemDefault()));
    }
}
