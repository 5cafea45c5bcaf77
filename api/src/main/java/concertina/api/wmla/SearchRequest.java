package concertina.api.wmla;

import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import concertina.model.JobId;
import concertina.model.JobSpec;
import concertina.search.Parameter;
import concertina.search.Space;
import concertina.trials.Aggregate;
import concertina.trials.BuiltInSamplers;
import concertina.trials.EarlyStopping;
import concertina.trials.GivenPoint;
import concertina.trials.SearchSpec;
import concertina.trials.StopWhenConverged;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;

/**
 * The {@code data} object of a search, read and checked. Pure; messages name the field as it was posted.
 *
 * @param name the wanted name; null when the platform is to choose one
 * @param firstGeneration whether it has the form of the first generation, which names an instance group
 * @param args the command line of every trial
 * @param warmStart names of searches whose trials the algorithm is told first
 */
record SearchRequest(
        @Nullable String name,
        boolean firstGeneration,
        String args,
        String algorithm,
        Map<String, String> settings,
        List<Parameter> parameters,
        List<GivenPoint> given,
        Goals goals,
        List<String> warmStart,
        Map<String, Aggregate> reported,
        long maxTrials,
        int parallel,
        long maxMinutes,
        @Nullable EarlyStopping earlyStopping,
        @Nullable StopWhenConverged convergence,
        String echo) {
    private static final int MOST_PARALLEL = 100_000;
    private static final int MOST_EARLIER = 100;
    private static final int MOST_METRICS = 100;
    private static final int LONGEST_NAME = 200;

    static SearchRequest read(String text) {
        JsonNode data = PythonLiteral.read(text);
        if (!data.isObject()) {
            throw ConcertinaException.invalid(
                    "data", Fields.shown(data), "a JSON object or a Python dict with modelSpec and algoDef");
        }
        JsonNode model = Fields.object(data, "", "modelSpec");
        JsonNode algorithm = Fields.object(data, "", "algoDef");
        List<JsonNode> hyperParameters = Fields.list(data, "", "hyperParams");
        List<JsonNode> experiments = Fields.list(data, "", "experiments");
        String name = Fields.text(algorithm, "algoDef", "algorithm").orElse(BuiltInSamplers.STANDARD);
        boolean list = BuiltInSamplers.takesList(name);
        checkBlocks(list, name, hyperParameters, experiments);
        List<GivenPoint> given = list ? HyperParameters.experiments(experiments) : List.of();
        List<Parameter> parameters = list ? HyperParameters.union(given) : HyperParameters.space(hyperParameters);
        var unused = new Space(parameters);
        long maxTrials = Fields.limit(algorithm, "algoDef", "maxJobNum");
        if (!list && maxTrials > SearchSpec.mostTrials(parameters.size())) {
            throw ConcertinaException.invalid(
                    "algoDef.maxJobNum",
                    Long.toString(maxTrials),
                    "at most " + SearchSpec.mostTrials(parameters.size()) + " with " + parameters.size()
                            + " hyperparameters");
        }
        return new SearchRequest(
                name(data),
                Fields.text(model, "modelSpec", "sigName").isPresent(),
                Fields.needed(
                        model, "modelSpec", "args", "a command line such as --exec-start PyTorch --model-main a.py"),
                name,
                settings(name, algorithm),
                parameters,
                given,
                Goals.read(algorithm),
                warmStart(algorithm),
                reported(algorithm),
                !list ? maxTrials : maxTrials < 0 ? given.size() : Math.min(maxTrials, given.size()),
                parallel(algorithm),
                Fields.limit(algorithm, "algoDef", "maxRunTime"),
                EarlyEnds.stopping(algorithm),
                EarlyEnds.converged(algorithm),
                echo(data, model));
    }

    /** The whole search, once it is known what its trials run and where their code lies. */
    SearchSpec spec(JobSpec job, @Nullable JobId code, long seed) {
        return new SearchSpec(
                algorithm,
                settings,
                parameters,
                given,
                BuiltInSamplers.resource(algorithm, settings),
                goals.objectives(),
                goals.constraints(),
                reported,
                maxTrials,
                parallel,
                maxMinutes,
                seed,
                earlyStopping,
                convergence,
                job,
                code,
                echo);
    }

    private static void checkBlocks(
            boolean list, String algorithm, List<JsonNode> hyperParameters, List<JsonNode> experiments) {
        String both = hyperParameters.size() + " hyperParams and " + experiments.size() + " experiments";
        if (hyperParameters.isEmpty() == experiments.isEmpty()) {
            throw ConcertinaException.invalid("data", both, "exactly one of the blocks hyperParams and experiments");
        }
        if (list == experiments.isEmpty()) {
            throw ConcertinaException.invalid(
                    "data",
                    both,
                    list
                            ? "the block experiments for algorithm " + algorithm
                            : "the block hyperParams for algorithm " + algorithm
                                    + "; experiments belong to ExperimentGridSearch");
        }
    }

    private static @Nullable String name(JsonNode data) {
        Optional<String> name = Fields.text(data, "", "hpoName");
        if (name.isEmpty()) {
            return null;
        }
        String text = name.get();
        if (text.length() > LONGEST_NAME
                || text.equals("algorithm")
                || text.equals(".")
                || text.equals("..")
                || text.chars().anyMatch(c -> Character.isISOControl(c) || "/\\?#%;".indexOf(c) >= 0)) {
            throw ConcertinaException.invalid(
                    "hpoName",
                    text.length() > LONGEST_NAME ? text.substring(0, LONGEST_NAME) + "…" : text,
                    "1 to " + LONGEST_NAME + " printable characters other than / \\ ? # % ;, and not 'algorithm'");
        }
        return text;
    }

    private static Map<String, String> settings(String algorithmName, JsonNode algorithm) {
        Map<String, String> settings = settings(algorithm, "algoDef");
        // Clients of the original send it whatever the algorithm.
        if (BuiltInSamplers.takesEta(algorithmName)
                && settings.keySet().stream().noneMatch("eta"::equalsIgnoreCase)) {
            Fields.text(algorithm, "algoDef", "hyperbandEta").ifPresent(eta -> settings.put("eta", eta));
        }
        return settings;
    }

    /**
     * The member {@code algoParams}: a list of objects with name and value, or one object.
     *
     * @param path where the parent lies; empty for the whole request
     */
    static Map<String, String> settings(JsonNode parent, String path) {
        String member = "algoParams";
        Map<String, String> settings = new LinkedHashMap<>();
        JsonNode posted = parent.path(member);
        if (posted.isObject()) {
            String here = Fields.field(path, member);
            posted.propertyNames().forEach(name -> settings.put(Fields.name(here, name), setting(posted, here, name)));
            return settings;
        }
        List<JsonNode> list = Fields.list(parent, path, member);
        for (int i = 0; i < list.size(); i++) {
            String here = Fields.field(path, member + "[" + i + "]");
            if (!list.get(i).isObject()) {
                throw ConcertinaException.invalid(here, Fields.shown(list.get(i)), "an object with name and value");
            }
            String name = Fields.name(list.get(i), here, "name", "a name");
            if (settings.put(name, setting(list.get(i), here, "value")) != null) {
                throw ConcertinaException.invalid(here + ".name", name, "names that differ");
            }
        }
        return settings;
    }

    private static String setting(JsonNode parent, String path, String name) {
        JsonNode value = parent.path(name);
        return value.isBoolean()
                ? value.asString()
                : Fields.text(parent, path, name).orElse("");
    }

    private static List<String> warmStart(JsonNode algorithm) {
        String path = "algoDef.warmStart";
        if (!Fields.given(algorithm.path("warmStart"))) {
            return List.of();
        }
        JsonNode posted = Fields.object(algorithm, "algoDef", "warmStart");
        for (String member : posted.propertyNames()) {
            if (!member.equals("searches")) {
                throw ConcertinaException.invalid(path, member, "searches");
            }
        }
        List<JsonNode> searches = Fields.list(posted, path, "searches");
        if (searches.isEmpty() || searches.size() > MOST_EARLIER) {
            throw ConcertinaException.invalid(
                    path + ".searches",
                    Fields.shown(posted.path("searches")),
                    "the names of 1 to " + MOST_EARLIER + " searches");
        }
        List<String> names = new ArrayList<>();
        for (JsonNode search : searches) {
            if (!search.isString() || search.asString().isBlank() || names.contains(search.asString())) {
                throw ConcertinaException.invalid(path + ".searches", Fields.shown(search), "names that differ");
            }
            names.add(search.asString());
        }
        return names;
    }

    private static Map<String, Aggregate> reported(JsonNode algorithm) {
        JsonNode posted = algorithm.path("additionalMetrics");
        if (!Fields.given(posted)) {
            return Map.of();
        }
        if (!posted.isObject()) {
            throw ConcertinaException.invalid(
                    "algoDef.additionalMetrics",
                    Fields.shown(posted),
                    "an object of metric to minimize, maximize or latest");
        }
        if (posted.size() > MOST_METRICS) {
            throw ConcertinaException.invalid(
                    "algoDef.additionalMetrics", posted.size() + " metrics", "at most " + MOST_METRICS);
        }
        Map<String, Aggregate> reported = new LinkedHashMap<>();
        posted.properties()
                .forEach(entry -> reported.put(
                        Fields.name("algoDef.additionalMetrics", entry.getKey()),
                        switch (entry.getValue().asString("").toLowerCase(Locale.ROOT)) {
                            case "minimize" -> Aggregate.MINIMIZE;
                            case "maximize" -> Aggregate.MAXIMIZE;
                            default -> Aggregate.LATEST;
                        }));
        return reported;
    }

    /** The first name's spelling is the contract's, which once also has the second. */
    private static int parallel(JsonNode algorithm) {
        String name = Fields.given(algorithm.path("maxParalleJobNum")) ? "maxParalleJobNum" : "maxParalleJob";
        JsonNode posted = algorithm.path(name);
        if (!Fields.given(posted)) {
            return 1;
        }
        String accepted = "a whole number from 1 to " + MOST_PARALLEL;
        long parallel;
        try {
            parallel = Fields.whole("algoDef." + name, posted);
        } catch (ConcertinaException notWhole) {
            throw ConcertinaException.invalid("algoDef." + name, Fields.shown(posted), accepted);
        }
        if (parallel < 1 || parallel > MOST_PARALLEL) {
            throw ConcertinaException.invalid("algoDef." + name, Fields.shown(posted), accepted);
        }
        return (int) parallel;
    }

    /** The request without its command line, which may hold secrets. */
    private static String echo(JsonNode data, JsonNode model) {
        ObjectNode echo = JsonNodeFactory.instance.objectNode();
        data.properties().forEach(entry -> {
            if (!entry.getKey().equals("modelSpec")) {
                echo.set(entry.getKey(), entry.getValue());
            }
        });
        ObjectNode kept = echo.putObject("modelSpec");
        Fields.text(model, "modelSpec", "sigName").ifPresent(group -> kept.put("sigName", group));
        return echo.toString();
    }

    /** As for an exec: a mistake in the command line is told as one of {@code modelSpec.args}. */
    static ConcertinaException inArguments(ConcertinaException refused) {
        return refused.code() == ErrorCode.INVALID_ARGUMENT
                ? new ConcertinaException(refused.code(), "modelSpec.args: " + refused.getMessage(), refused)
                : refused;
    }
}
