package concertina.api.wmla;

import concertina.model.ConcertinaException;
import concertina.search.Parameter;
import concertina.search.Point;
import concertina.search.Value;
import concertina.trials.GivenPoint;
import java.math.BigDecimal;
import java.math.MathContext;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Function;
import tools.jackson.databind.JsonNode;

/** Reads the blocks {@code hyperParams} and {@code experiments} of a search. Pure; messages name the field as it was posted. */
final class HyperParameters {
    private static final int MOST_PARAMETERS = 1000;

    /** Values that are listed: of one hyperparameter, and of all together. */
    private static final int MOST_VALUES = 10_000;

    private static final int MOST_VALUES_IN_ALL = 100_000;
    private static final int MOST_EXPERIMENTS = 10_000;
    private static final String TYPES = "Range, Discrete or Fix";
    private static final String DATA_TYPES = "INT, DOUBLE or STR";

    private HyperParameters() {}

    private enum DataType {
        INT,
        DOUBLE,
        STR
    }

    /** The space that a block {@code hyperParams} spans. */
    static List<Parameter> space(List<JsonNode> posted) {
        limit("hyperParams", posted.size(), MOST_PARAMETERS, "hyperparameters");
        Conditions conditions = new Conditions();
        List<Parameter> parameters = new ArrayList<>();
        int values = 0;
        for (int i = 0; i < posted.size(); i++) {
            String path = "hyperParams[" + i + "]";
            Parameter parameter =
                    conditions.conditioned(parameter(posted.get(i), path), posted.get(i), path, parameters);
            parameters.add(parameter);
            values += parameter instanceof Parameter.Choice choice
                    ? choice.values().size()
                    : 0;
        }
        limit("hyperParams", values, MOST_VALUES_IN_ALL, "values in all");
        return parameters;
    }

    private static void limit(String field, int count, int most, String things) {
        if (count > most) {
            throw ConcertinaException.invalid(field, count + " " + things, "at most " + most);
        }
    }

    private static Parameter parameter(JsonNode posted, String path) {
        if (!posted.isObject()) {
            throw ConcertinaException.invalid(path, Fields.shown(posted), "an object with name, type and dataType");
        }
        String name = Fields.name(posted, path, "name", "a name");
        String type = Fields.needed(posted, path, "type", TYPES);
        DataType dataType = dataType(posted, path);
        return switch (type.toLowerCase(Locale.ROOT)) {
            case "range" -> range(name, dataType, posted, path);
            case "discrete" -> discrete(name, dataType, posted, path);
            case "fix", "fixed" ->
                new Parameter.Choice(name, List.of(value(dataType, path + ".fixedVal", posted.path("fixedVal"))));
            default -> throw ConcertinaException.invalid(path + ".type", type, TYPES);
        };
    }

    private static DataType dataType(JsonNode posted, String path) {
        String word = Fields.needed(posted, path, "dataType", DATA_TYPES);
        return switch (word.toUpperCase(Locale.ROOT)) {
            case "INT", "INTEGER" -> DataType.INT;
            case "DOUBLE", "FLOAT" -> DataType.DOUBLE;
            case "STR", "STRING" -> DataType.STR;
            default -> throw ConcertinaException.invalid(path + ".dataType", word, DATA_TYPES);
        };
    }

    private static Parameter range(String name, DataType dataType, JsonNode posted, String path) {
        if (dataType == DataType.STR) {
            throw ConcertinaException.invalid(path + ".dataType", "STR", "INT or DOUBLE for a Range");
        }
        String kind = dataType == DataType.INT ? "Int" : "Db";
        BigDecimal low = bound(posted, path, "min" + kind + "Val");
        BigDecimal high = bound(posted, path, "max" + kind + "Val");
        if (low.compareTo(high) > 0) {
            throw ConcertinaException.invalid(
                    path + ".min" + kind + "Val", low.toPlainString(), "at most max" + kind + "Val, which is " + high);
        }
        Optional<BigDecimal> step = Fields.number(posted, path, "step");
        if (step.isPresent() && step.get().signum() <= 0) {
            throw ConcertinaException.invalid(path + ".step", step.get().toPlainString(), "a number above 0");
        }
        Optional<BigDecimal> power = Fields.number(posted, path, "power");
        if (power.isPresent()) {
            return powers(name, dataType, low, high, step, power.get(), path);
        }
        Parameter.Scale scale = scale(posted, path);
        if (dataType == DataType.DOUBLE) {
            return new Parameter.Real(
                    name,
                    low.doubleValue(),
                    high.doubleValue(),
                    scale,
                    step.map(BigDecimal::doubleValue).orElse(0.0),
                    null);
        }
        return new Parameter.Whole(
                name,
                whole(path + ".minIntVal", low),
                whole(path + ".maxIntVal", high),
                scale,
                step.map(each -> whole(path + ".step", each)).orElse(1L),
                null);
    }

    /** Our own addition: a logarithmic scale between the very bounds, which a power of ten only comes near. */
    private static Parameter.Scale scale(JsonNode posted, String path) {
        String scale = Fields.text(posted, path, "scale").orElse("linear");
        return switch (scale.toLowerCase(Locale.ROOT)) {
            case "linear" -> Parameter.Scale.LINEAR;
            case "log" -> Parameter.Scale.LOG;
            default -> throw ConcertinaException.invalid(path + ".scale", scale, "linear or log, and no power");
        };
    }

    private static BigDecimal bound(JsonNode posted, String path, String name) {
        return Fields.number(posted, path, name)
                .orElseThrow(() -> ConcertinaException.invalid(path + "." + name, "", "a number"));
    }

    private static long whole(String field, BigDecimal number) {
        try {
            return number.longValueExact();
        } catch (ArithmeticException fraction) {
            throw ConcertinaException.invalid(field, number.toPlainString(), "a whole number");
        }
    }

    /** The bounds are exponents: values lie evenly in the exponent, on its grid if there is a step. */
    private static Parameter powers(
            String name,
            DataType dataType,
            BigDecimal low,
            BigDecimal high,
            Optional<BigDecimal> step,
            BigDecimal power,
            String path) {
        double base = power.doubleValue();
        if (base <= 0 || base == 1) {
            throw ConcertinaException.invalid(
                    path + ".power",
                    power.toPlainString(),
                    "a base above 0 other than 1, such as 10 for a logarithmic scale");
        }
        double first = Math.pow(base, low.doubleValue());
        double last = Math.pow(base, high.doubleValue());
        double least = Math.min(first, last);
        double most = Math.max(first, last);
        if (least == 0 || !Double.isFinite(most) || (dataType == DataType.INT && most > 1L << 52)) {
            throw ConcertinaException.invalid(
                    path + ".power",
                    power.toPlainString(),
                    "a base whose powers from " + low + " to " + high
                            + " are numbers that can be told from 0 and held");
        }
        if (dataType == DataType.INT && least < 1 - 1e-9) {
            throw ConcertinaException.invalid(
                    path + ".power",
                    power.toPlainString(),
                    "for INT a base whose powers from " + low + " to " + high + " are all at least 1");
        }
        if (step.isPresent()) {
            return grid(name, dataType, low, high, step.get(), base, path);
        }
        if (dataType == DataType.DOUBLE) {
            return new Parameter.Real(name, least, most, Parameter.Scale.LOG);
        }
        long lowest = Math.max(1, (long) Math.ceil(least - 1e-9));
        return new Parameter.Whole(
                name, lowest, Math.max(lowest, (long) Math.floor(most + 1e-9)), Parameter.Scale.LOG, 1, null);
    }

    private static Parameter grid(
            String name,
            DataType dataType,
            BigDecimal low,
            BigDecimal high,
            BigDecimal step,
            double base,
            String path) {
        if (high.subtract(low).divide(step, MathContext.DECIMAL64).doubleValue() >= MOST_VALUES) {
            throw ConcertinaException.invalid(
                    path + ".step", step.toPlainString(), "a step that makes at most " + MOST_VALUES + " values");
        }
        Set<Value> values = new LinkedHashSet<>();
        for (BigDecimal exponent = low; exponent.compareTo(high) <= 0; exponent = exponent.add(step)) {
            double value = Math.pow(base, exponent.doubleValue());
            values.add(dataType == DataType.DOUBLE ? new Value.Real(value) : new Value.Whole(Math.round(value)));
        }
        return new Parameter.Choice(name, List.copyOf(values), true, null);
    }

    private static Parameter discrete(String name, DataType dataType, JsonNode posted, String path) {
        // The third name's spelling is the contract's.
        String field = switch (dataType) {
            case INT -> "discreteIntVal";
            case DOUBLE -> "discreteDbVal";
            case STR -> "discreateStrVal";
        };
        List<JsonNode> items = Fields.list(posted, path, field);
        if (items.isEmpty() && dataType == DataType.STR) {
            items = Fields.list(posted, path, "discreteStrVal");
        }
        if (items.isEmpty()) {
            throw ConcertinaException.invalid(path + "." + field, "[]", "a list of at least one value");
        }
        limit(path + "." + field, items.size(), MOST_VALUES, "values");
        List<Value> values = new ArrayList<>();
        for (int i = 0; i < items.size(); i++) {
            values.add(value(dataType, path + "." + field + "[" + i + "]", items.get(i)));
        }
        return new Parameter.Choice(name, values, ascending(values), null);
    }

    private static boolean ascending(List<Value> values) {
        for (int i = 0; i < values.size(); i++) {
            if (values.get(i) instanceof Value.Word || i > 0 && number(values.get(i - 1)) >= number(values.get(i))) {
                return false;
            }
        }
        return true;
    }

    private static double number(Value value) {
        return switch (value) {
            case Value.Real real -> real.value();
            case Value.Whole whole -> whole.value();
            case Value.Word ignored -> Double.NaN;
        };
    }

    private static Value value(DataType dataType, String field, JsonNode node) {
        if (node.isMissingNode() || node.isNull() || node.isObject() || node.isArray()) {
            throw ConcertinaException.invalid(field, Fields.shown(node), "a value of type " + dataType);
        }
        return switch (dataType) {
            case INT -> new Value.Whole(Fields.whole(field, node));
            case DOUBLE -> new Value.Real(Fields.number(field, node).doubleValue());
            case STR -> new Value.Word(node.asString());
        };
    }

    /** The points of a block {@code experiments}, in the order in which they were posted. */
    static List<GivenPoint> experiments(List<JsonNode> posted) {
        limit("experiments", posted.size(), MOST_EXPERIMENTS, "experiments");
        List<GivenPoint> points = new ArrayList<>();
        Set<Integer> ids = new HashSet<>();
        for (int i = 0; i < posted.size(); i++) {
            String path = "experiments[" + i + "]";
            JsonNode experiment = posted.get(i);
            if (!experiment.isObject()) {
                throw ConcertinaException.invalid(path, Fields.shown(experiment), "an object with id and hyperParams");
            }
            long id = Fields.given(experiment.path("id")) ? Fields.whole(path + ".id", experiment.path("id")) : i;
            if (id < 0 || id > Integer.MAX_VALUE || !ids.add((int) id)) {
                throw ConcertinaException.invalid(
                        path + ".id", Long.toString(id), "a whole number from 0 that no other experiment has");
            }
            points.add(new GivenPoint((int) id, point(experiment, path)));
        }
        return points;
    }

    private static Point point(JsonNode experiment, String path) {
        Map<String, Value> values = new LinkedHashMap<>();
        List<JsonNode> posted = Fields.list(experiment, path, "hyperParams");
        if (posted.isEmpty()) {
            throw ConcertinaException.invalid(path + ".hyperParams", "[]", "at least one hyperparameter");
        }
        for (int i = 0; i < posted.size(); i++) {
            String here = path + ".hyperParams[" + i + "]";
            JsonNode each = posted.get(i);
            if (!each.isObject()) {
                throw ConcertinaException.invalid(
                        here, Fields.shown(each), "an object with name, dataType and fixedVal");
            }
            String name = Fields.name(each, here, "name", "a name");
            Value value = value(dataType(each, here), here + ".fixedVal", each.path("fixedVal"));
            if (values.put(name, value) != null) {
                throw ConcertinaException.invalid(here + ".name", name, "names that differ");
            }
        }
        return new Point(values);
    }

    /** Every value that occurs in one of the points. */
    static List<Parameter> union(List<GivenPoint> points) {
        Map<String, Set<Value>> values = new LinkedHashMap<>();
        for (GivenPoint given : points) {
            limit("experiments", values.size(), MOST_PARAMETERS, "names of hyperparameters");
            given.point()
                    .values()
                    .forEach((name, value) -> values.computeIfAbsent(name, first -> new LinkedHashSet<>())
                            .add(value));
        }
        limit("experiments", values.size(), MOST_PARAMETERS, "names of hyperparameters");
        Function<Map.Entry<String, Set<Value>>, Parameter> choice =
                entry -> new Parameter.Choice(entry.getKey(), List.copyOf(entry.getValue()));
        return values.entrySet().stream().map(choice).toList();
    }
}
