package concertina.trials;

import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import concertina.search.Parameter;
import concertina.search.Point;
import concertina.search.Space;
import concertina.search.Suggestion;
import concertina.search.Trial;
import concertina.search.Value;
import java.io.IOException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * A plug-in as a sampler. Its process starts with the first question; when it dies or does not answer, another one goes on from the
 * state saved last, a few times in a row, and then the search fails with what the plug-in said. A plug-in gets each result once, with
 * the question after the trial's end.
 */
final class PluginSampler implements SavingSampler {
    /** What a failed trial's metric reads like to plug-ins. */
    static final double FAILED_METRIC = 9999.99;

    private static final Logger LOG = LoggerFactory.getLogger(PluginSampler.class);
    private static final JsonMapper JSON = JsonMapper.builder().build();
    private static final int ATTEMPTS = 3;
    private static final int LOG_CHARACTERS = 2000;

    /**
     * What the plug-in is to search.
     *
     * @param settings its own parameters, as they were posted
     * @param hyperParameters the posted list as JSON
     */
    record Task(
            Space space,
            Map<String, String> settings,
            String hyperParameters,
            List<Objective> objectives,
            List<Constraint> constraints) {
        static Task of(SearchSpec spec) {
            return new Task(
                    spec.space(),
                    spec.settings(),
                    JSON.readTree(spec.request()).path("hyperParams").toString(),
                    spec.objectives(),
                    spec.constraints());
        }
    }

    private final PluginHost.Starter starter;
    private final Plugin plugin;
    private final Task task;
    private final Space space;

    /** Ended trials in the order of their ends; the first {@link #delivered} of them are known to the plug-in. */
    private final Deque<Trial> ended = new ArrayDeque<>();

    private volatile @Nullable PluginHost host;

    /** Whether nobody wants an answer any more. */
    private volatile boolean cancelled;

    private long told;
    private long delivered;
    private boolean asked;
    private boolean exhausted;
    private @Nullable String state;

    /**
     * @param saved what {@link #saved} returned last for the same search; null for a new one
     */
    PluginSampler(PluginHost.Starter starter, Plugin plugin, Task task, @Nullable String saved) {
        this.starter = starter;
        this.plugin = plugin;
        this.task = task;
        this.space = task.space();
        if (saved != null) {
            JsonNode node = JSON.readTree(saved);
            delivered = node.path("delivered").asLong();
            asked = true;
            state = node.path("state").isNull() ? null : node.path("state").asString();
        }
    }

    @Override
    public Optional<Suggestion> ask(long number) {
        if (exhausted) {
            return Optional.empty();
        }
        JsonNode answer = answered();
        JsonNode points = answer.path("points");
        state = answer.path("state").asString();
        delivered = told;
        ended.clear();
        asked = true;
        if (points.isEmpty()) {
            exhausted = true;
            return Optional.empty();
        }
        return Optional.of(new Suggestion(point(points.get(0)), "proposed by plug-in " + plugin.name()));
    }

    @Override
    public void tell(Trial trial) {
        if (!(trial.state() instanceof Trial.State.Running)) {
            told++;
            if (told > delivered) {
                ended.add(trial);
            }
        }
    }

    @Override
    public boolean exhausted() {
        return exhausted;
    }

    @Override
    public String saved() {
        ObjectNode node = JSON.createObjectNode();
        node.put("delivered", delivered);
        node.put("state", state);
        return node.toString();
    }

    @Override
    public void cancel() {
        cancelled = true;
        PluginHost asked = host;
        if (asked != null) {
            asked.close();
        }
    }

    @Override
    public void close() {
        PluginHost asked = host;
        if (asked != null) {
            asked.close();
            host = null;
        }
    }

    private JsonNode answered() {
        ObjectNode question = JSON.createObjectNode();
        question.put("call", "search");
        question.put("count", 1);
        question.set("results", asked || !ended.isEmpty() ? results() : JSON.nullNode());
        String why = "";
        for (int attempt = 0; attempt < ATTEMPTS && !cancelled; attempt++) {
            try {
                return checked(started().call(question.toString()));
            } catch (IOException failure) {
                why = String.valueOf(failure.getMessage());
                PluginHost gone = host;
                close();
                String log = gone == null ? "" : gone.log();
                LOG.warn("plug-in {}: {}; it printed: {}", plugin.name(), why, tail(log));
            }
        }
        if (cancelled) {
            throw new IllegalStateException("plug-in " + plugin.name() + " is asked for no further point");
        }
        throw new ConcertinaException(
                ErrorCode.ENGINE_FAILED,
                "plug-in " + plugin.name() + " failed " + ATTEMPTS + " times in a row, last with: " + why);
    }

    private PluginHost started() throws IOException {
        PluginHost running = host;
        if (running == null) {
            running = starter.start(plugin);
            host = running;
            if (cancelled) {
                // Whoever said so may have seen no process.
                throw new IOException("it is asked for no further point");
            }
            ObjectNode start = JSON.createObjectNode();
            start.put("call", "start");
            start.put("name", plugin.name());
            start.put("folder", plugin.folder().toString());
            start.set("hyperParameters", JSON.readTree(task.hyperParameters()));
            ObjectNode arguments = start.putObject("arguments");
            task.settings().forEach(arguments::put);
            start.put("logLevel", plugin.logLevel());
            start.put("state", state);
            checked(running.call(start.toString()));
        }
        return running;
    }

    private JsonNode checked(String line) throws IOException {
        try {
            JsonNode answer = JSON.readTree(line);
            if (answer.has("error")) {
                throw new IOException(answer.path("error").asString() + "\n"
                        + tail(answer.path("traceback").asString()));
            }
            return answer;
        } catch (JacksonException malformed) {
            throw new IOException("its process answered with something that is not JSON", malformed);
        }
    }

    private static String tail(String text) {
        return text.length() <= LOG_CHARACTERS ? text : "…" + text.substring(text.length() - LOG_CHARACTERS);
    }

    private ArrayNode results() {
        ArrayNode results = JSON.createArrayNode();
        for (Trial trial : ended) {
            ObjectNode result = results.addObject();
            result.put("id", trial.number());
            switch (trial.state()) {
                case Trial.State.Complete complete -> {
                    result.put("state", "FINISHED");
                    metrics(result, complete);
                }
                case Trial.State.Stopped stopped -> {
                    result.put("state", "STOPPED");
                    result.put("metricVal", task.objectives().getFirst().metric(stopped.loss()));
                }
                case Trial.State.Failed ignored -> {
                    result.put("state", "FAILED");
                    result.put("metricVal", FAILED_METRIC);
                }
                case Trial.State.Running ignored -> throw new IllegalStateException("a running trial has not ended");
            }
            ArrayNode values = result.putArray("hyperParams");
            trial.point()
                    .values()
                    .forEach((name, value) -> values.addObject()
                            .put("name", name)
                            .put("dataType", kind(value))
                            .put("fixedVal", value.text()));
        }
        return results;
    }

    /** The first objective's value as ever; beside it all of them where there are several, and what constraints are missed. */
    private void metrics(ObjectNode result, Trial.State.Complete complete) {
        result.put("metricVal", task.objectives().getFirst().metric(complete.losses()[0]));
        if (task.objectives().size() > 1) {
            ObjectNode values = result.putObject("metricVals");
            for (int i = 0; i < complete.losses().length; i++) {
                Objective objective = task.objectives().get(i);
                values.put(objective.metric(), objective.metric(complete.losses()[i]));
            }
        }
        if (!task.constraints().isEmpty()) {
            ArrayNode violations = result.putArray("violations");
            for (double violation : complete.violations()) {
                violations.add(violation);
            }
        }
    }

    private static String kind(Value value) {
        return switch (value) {
            case Value.Real ignored -> "double";
            case Value.Whole ignored -> "int";
            case Value.Word ignored -> "str";
        };
    }

    /** What the plug-in proposed, moved to the grid of each parameter. */
    private Point point(JsonNode proposed) {
        Map<String, Value> values = new LinkedHashMap<>();
        List<String> missing = new ArrayList<>();
        for (Parameter parameter : space.parameters()) {
            JsonNode value = proposed.path(parameter.name());
            if (!Space.exists(parameter, values)) {
                continue;
            }
            if (value.isMissingNode() && Space.cells(parameter) == 1) {
                // There is nothing to choose.
                values.put(parameter.name(), Space.decode(parameter, 0));
            } else if (value.isMissingNode()) {
                missing.add(parameter.name());
            } else {
                values.put(parameter.name(), value(parameter, value));
            }
        }
        TreeSet<String> unknown = new TreeSet<>(proposed.propertyNames());
        unknown.removeAll(values.keySet());
        if (!missing.isEmpty() || !unknown.isEmpty()) {
            throw refused(
                    "names",
                    String.join(", ", proposed.propertyNames()),
                    String.join(
                            ", ",
                            space.parameters().stream().map(Parameter::name).toList()));
        }
        return new Point(values);
    }

    private Value value(Parameter parameter, JsonNode value) {
        return switch (parameter) {
            case Parameter.Choice choice ->
                choice.values().stream()
                        .filter(each -> same(each, value))
                        .findFirst()
                        .orElseThrow(() -> refused(
                                parameter.name(),
                                value.asString(),
                                "one of "
                                        + String.join(
                                                ", ",
                                                choice.values().stream()
                                                        .map(Value::text)
                                                        .toList())));
            case Parameter.Whole whole ->
                snapped(parameter, new Value.Whole(whole(parameter, value, whole.low(), whole.high())));
            case Parameter.Real real ->
                snapped(parameter, new Value.Real(real(parameter, value, real.low(), real.high())));
        };
    }

    private static Value snapped(Parameter parameter, Value number) {
        return Space.cells(parameter) == 0 ? number : Space.decode(parameter, Space.encode(parameter, number));
    }

    /** What rounds into the range is in it. */
    private long whole(Parameter parameter, JsonNode value, long low, long high) {
        boolean exact = value.isIntegralNumber() && value.canConvertToLong();
        double number = exact ? 0 : number(value);
        long rounded = exact ? value.asLong() : Math.round(number);
        if (Double.isNaN(number) || rounded < low || rounded > high) {
            throw refused(parameter.name(), value.asString(), "a whole number from " + low + " to " + high);
        }
        return rounded;
    }

    private double real(Parameter parameter, JsonNode value, double low, double high) {
        double number = number(value);
        // Arithmetic may have led a little out of the range.
        if (!(number >= low - 1e-9 * Math.abs(low)) || !(number <= high + 1e-9 * Math.abs(high))) {
            throw refused(parameter.name(), value.asString(), "a number from " + low + " to " + high);
        }
        return Math.clamp(number, low, high);
    }

    /** NaN for what is no number. */
    private double number(JsonNode value) {
        try {
            return value.isNumber() ? value.asDouble() : Double.parseDouble(value.asString());
        } catch (NumberFormatException notANumber) {
            LOG.debug("plug-in {} proposed '{}'", plugin.name(), value);
            return Double.NaN;
        }
    }

    private static boolean same(Value accepted, JsonNode value) {
        if (accepted instanceof Value.Word word) {
            return word.value().equals(value.asString());
        }
        try {
            return Double.parseDouble(accepted.text()) == Double.parseDouble(value.asString());
        } catch (NumberFormatException notANumber) {
            return false;
        }
    }

    private ConcertinaException refused(String field, String value, String accepted) {
        return new ConcertinaException(
                ErrorCode.ENGINE_FAILED,
                "plug-in " + plugin.name() + " proposed " + field + " '" + value + "', accepted: " + accepted);
    }
}
