package concertina.search;

import concertina.model.ConcertinaException;
import java.math.BigDecimal;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * The parameters of a search and their encoding in the unit cube, one coordinate per parameter. Immutable.
 *
 * <p>Coordinates: a range maps to [0, 1] by its scale; value k of K values maps to the middle of the k-th of K equal cells; a whole
 * number and a stepped real likewise. Decoding takes any coordinate in [0, 1] to the nearest value, so it is total; it inverts
 * encoding exactly where there are cells, up to 2^50 of them (on a logarithmic scale whole numbers up to 2^40), and elsewhere but for rounding.
 */
public final class Space {
    private final List<Parameter> parameters;
    private final Map<String, Integer> positions = new HashMap<>();

    /** Checks that names differ and conditions name an earlier parameter that can take the values. */
    public Space(List<Parameter> parameters) {
        this.parameters = List.copyOf(parameters);
        if (parameters.isEmpty()) {
            throw ConcertinaException.invalid("hyperparameters", "[]", "at least one");
        }
        for (Parameter parameter : this.parameters) {
            check(parameter);
            if (positions.put(parameter.name(), positions.size()) != null) {
                throw ConcertinaException.invalid("name of a hyperparameter", parameter.name(), "names that differ");
            }
        }
    }

    private void check(Parameter parameter) {
        Parameter.Condition when = parameter.when();
        if (when == null) {
            return;
        }
        Integer position = positions.get(when.parent());
        if (position == null) {
            throw ConcertinaException.invalid(
                    "condition of " + parameter.name(), when.parent(), "the name of a hyperparameter listed before");
        }
        Parameter parent = parameters.get(position);
        // A list is looked through once, not once for each value.
        Set<Value> listed = parent instanceof Parameter.Choice choice ? new HashSet<>(choice.values()) : Set.of();
        for (Value value : when.values()) {
            if (parent instanceof Parameter.Choice ? !listed.contains(value) : !accepts(parent, value)) {
                throw ConcertinaException.invalid(
                        "condition of " + parameter.name(), value.text(), "values that " + when.parent() + " can take");
            }
        }
    }

    public List<Parameter> parameters() {
        return parameters;
    }

    /** Number of parameters, which is the dimension of the cube. */
    public int size() {
        return parameters.size();
    }

    /** Number of distinct points, empty for a continuum or beyond 2^62. Conditions are not multiplied out. */
    public OptionalLong cardinality() {
        long product = 1;
        for (Parameter parameter : parameters) {
            long cells = cells(parameter);
            if (cells == 0 || product > (1L << 62) / cells) {
                return OptionalLong.empty();
            }
            product *= cells;
        }
        return OptionalLong.of(product);
    }

    /** Number of values of a parameter; 0 for a continuum. */
    public static long cells(Parameter parameter) {
        return switch (parameter) {
            case Parameter.Choice choice -> choice.values().size();
            case Parameter.Whole whole -> (whole.high() - whole.low()) / whole.step() + 1;
            case Parameter.Real real ->
                real.low() == real.high()
                        ? 1
                        : real.step() == 0
                                ? 0
                                : (long) Math.floor((real.high() - real.low()) / real.step() * (1 + 1e-12)) + 1;
        };
    }

    /** Whether a parameter exists given the values of those before it. */
    public static boolean exists(Parameter parameter, Map<String, Value> before) {
        Parameter.Condition when = parameter.when();
        Value value = when == null ? null : before.get(when.parent());
        return when == null || value != null && when.values().contains(value);
    }

    /**
     * The point at a place of the cube.
     *
     * @param coordinates one per parameter; what lies outside [0, 1] is moved to the border
     */
    public Point decode(double[] coordinates) {
        Map<String, Value> values = new LinkedHashMap<>();
        for (int i = 0; i < parameters.size(); i++) {
            Parameter parameter = parameters.get(i);
            if (exists(parameter, values)) {
                values.put(parameter.name(), decode(parameter, coordinates[i]));
            }
        }
        return new Point(values);
    }

    /** The place of a point in the cube; NaN where a parameter does not exist in it. */
    public double[] encode(Point point) {
        double[] coordinates = new double[parameters.size()];
        for (int i = 0; i < coordinates.length; i++) {
            Value value = point.get(parameters.get(i).name());
            coordinates[i] = value == null ? Double.NaN : encode(parameters.get(i), value);
        }
        return coordinates;
    }

    /** The value of one parameter at a coordinate. */
    public static Value decode(Parameter parameter, double coordinate) {
        double u = Math.clamp(coordinate, 0, 1);
        return switch (parameter) {
            case Parameter.Choice choice ->
                choice.values().get((int) cell(u, choice.values().size()));
            case Parameter.Whole whole -> new Value.Whole(whole(whole, u));
            case Parameter.Real real -> new Value.Real(real(real, u));
        };
    }

    private static long cell(double u, long cells) {
        return Math.min((long) (u * cells), cells - 1);
    }

    private static long whole(Parameter.Whole whole, double u) {
        if (whole.scale() == Parameter.Scale.LOG) {
            double low = Math.log(whole.low() - 0.5);
            double high = Math.log(whole.high() + 0.5);
            return Math.clamp(Math.round(Math.exp(low + u * (high - low))), whole.low(), whole.high());
        }
        return whole.low() + cell(u, cells(whole)) * whole.step();
    }

    private static double real(Parameter.Real real, double u) {
        long cells = cells(real);
        if (cells > 0) {
            return cells == 1 ? real.low() : gridded(real, cell(u, cells));
        }
        double value = real.scale() == Parameter.Scale.LOG
                ? Math.exp(Math.log(real.low()) + u * (Math.log(real.high()) - Math.log(real.low())))
                : real.low() + u * (real.high() - real.low());
        return Math.clamp(value, real.low(), real.high());
    }

    /** In decimals, as the bounds were written: 0.001 + 15 · 0.002 is 0.031 and no neighbour of it. */
    static double gridded(Parameter.Real real, long cell) {
        double value = BigDecimal.valueOf(real.step())
                .multiply(BigDecimal.valueOf(cell))
                .add(BigDecimal.valueOf(real.low()))
                .doubleValue();
        return Math.min(value, real.high());
    }

    /** The coordinate of a value; of one outside the range, the border. */
    public static double encode(Parameter parameter, Value value) {
        return switch (parameter) {
            case Parameter.Choice choice ->
                (choice.values().indexOf(value) + 0.5) / choice.values().size();
            case Parameter.Whole whole -> encode(whole, number(value));
            case Parameter.Real real -> encode(real, number(value));
        };
    }

    private static double encode(Parameter.Whole whole, double value) {
        if (whole.scale() == Parameter.Scale.LOG) {
            double low = Math.log(whole.low() - 0.5);
            double high = Math.log(whole.high() + 0.5);
            return Math.clamp((Math.log(Math.max(value, whole.low())) - low) / (high - low), 0, 1);
        }
        return Math.clamp((Math.rint((value - whole.low()) / whole.step()) + 0.5) / cells(whole), 0, 1);
    }

    private static double encode(Parameter.Real real, double value) {
        long cells = cells(real);
        if (cells > 0) {
            return cells == 1 ? 0.5 : Math.clamp((Math.rint((value - real.low()) / real.step()) + 0.5) / cells, 0, 1);
        }
        double u = real.scale() == Parameter.Scale.LOG
                ? (Math.log(Math.max(value, real.low())) - Math.log(real.low()))
                        / (Math.log(real.high()) - Math.log(real.low()))
                : (value - real.low()) / (real.high() - real.low());
        return Math.clamp(u, 0, 1);
    }

    /** A value as a number; words have none. */
    static double number(Value value) {
        return switch (value) {
            case Value.Real real -> real.value();
            case Value.Whole whole -> whole.value();
            case Value.Word word -> throw new IllegalArgumentException("'" + word.value() + "' is not a number");
        };
    }

    private static boolean accepts(Parameter parameter, @Nullable Value value) {
        return switch (parameter) {
            case Parameter.Choice choice -> value != null && choice.values().contains(value);
            case Parameter.Whole whole ->
                value instanceof Value.Whole(long number)
                        && number >= whole.low()
                        && number <= whole.high()
                        && (number - whole.low()) % whole.step() == 0;
            case Parameter.Real real ->
                value instanceof Value.Real(double number) && number >= real.low() && number <= real.high();
        };
    }

    /**
     * Whether a point of somebody else's making lies in this space.
     *
     * @throws ConcertinaException naming the first parameter that is missing, too many or outside its range
     */
    public void check(Point point) {
        Map<String, Value> values = new LinkedHashMap<>();
        for (Parameter parameter : parameters) {
            Value value = point.get(parameter.name());
            boolean exists = exists(parameter, values);
            if (!exists && value != null) {
                throw ConcertinaException.invalid(
                        parameter.name(), value.text(), "no value where its condition is not met");
            }
            if (exists && !accepts(parameter, value)) {
                throw ConcertinaException.invalid(
                        parameter.name(), value == null ? "" : value.text(), describe(parameter));
            }
            if (value != null) {
                values.put(parameter.name(), value);
            }
        }
        for (String name : point.values().keySet()) {
            if (!positions.containsKey(name)) {
                throw ConcertinaException.invalid(
                        "name of a hyperparameter", name, String.join(", ", positions.keySet()));
            }
        }
    }

    private static String describe(Parameter parameter) {
        return switch (parameter) {
            case Parameter.Choice choice ->
                "one of "
                        + String.join(
                                ", ", choice.values().stream().map(Value::text).toList());
            case Parameter.Whole whole ->
                "a whole number from " + whole.low() + " to " + whole.high()
                        + (whole.step() > 1 ? " in steps of " + whole.step() : "");
            case Parameter.Real real -> "a number from " + real.low() + " to " + real.high();
        };
    }
}
