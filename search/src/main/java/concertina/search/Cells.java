package concertina.search;

import concertina.model.ConcertinaException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * The points of a finite space, each as one digit per parameter; the digit of a parameter that does not exist is 0. Immutable.
 *
 * <p>A range can be thinned to a number of values, which makes a continuum finite as well.
 */
final class Cells {
    /** What a number may be off its step, in steps: numbers have been computed. */
    private static final double ROUNDING = 1e-6;

    private final Space space;
    private final List<@Nullable List<Value>> thinned = new ArrayList<>();
    private final long[] sizes;

    /**
     * @param resolution names of ranges with the number of values, borders included, that stand for each; others keep their own values
     * @throws ConcertinaException for a continuum that has no resolution
     */
    Cells(Space space, Map<String, Integer> resolution) {
        this.space = space;
        this.sizes = new long[space.size()];
        for (int i = 0; i < sizes.length; i++) {
            Parameter parameter = space.parameters().get(i);
            Integer values = resolution.get(parameter.name());
            List<Value> thin = values == null ? null : thin(parameter, values);
            thinned.add(thin);
            sizes[i] = thin == null ? Space.cells(parameter) : thin.size();
            if (sizes[i] == 0) {
                throw ConcertinaException.invalid(
                        "step of " + parameter.name(), "", "more than 0, so that the values can be counted");
            }
        }
    }

    Cells(Space space) {
        this(space, Map.of());
    }

    private static @Nullable List<Value> thin(Parameter parameter, int values) {
        if (values < 1) {
            throw ConcertinaException.invalid(
                    "resolution of " + parameter.name(), Integer.toString(values), "1 or more");
        }
        long own = Space.cells(parameter);
        if (parameter instanceof Parameter.Choice || own > 0 && own <= values) {
            return null;
        }
        Set<Value> distinct = new LinkedHashSet<>();
        for (int k = 0; k < values; k++) {
            distinct.add(Space.decode(parameter, values == 1 ? 0.5 : (double) k / (values - 1)));
        }
        return List.copyOf(distinct);
    }

    private Value value(int position, long digit) {
        List<Value> values = thinned.get(position);
        if (values != null) {
            return values.get((int) digit);
        }
        return switch (space.parameters().get(position)) {
            case Parameter.Choice choice -> choice.values().get((int) digit);
            case Parameter.Whole whole -> new Value.Whole(whole.low() + digit * whole.step());
            case Parameter.Real real -> new Value.Real(Space.gridded(real, digit));
        };
    }

    private long digit(int position, Value value) {
        List<Value> values = thinned.get(position);
        if (values != null) {
            return values.indexOf(value);
        }
        Parameter parameter = space.parameters().get(position);
        return switch (parameter) {
            case Parameter.Choice choice -> choice.values().indexOf(value);
            case Parameter.Whole whole ->
                value instanceof Value.Whole(long number) && (number - whole.low()) % whole.step() == 0
                        ? (number - whole.low()) / whole.step()
                        : -1;
            case Parameter.Real real -> value instanceof Value.Real(double number) ? digit(real, number) : -1;
        };
    }

    /** Of a number beside the steps, such as a user's own, -1. */
    private static long digit(Parameter.Real real, double number) {
        if (real.step() == 0) {
            return 0;
        }
        long digit = Math.round((number - real.low()) / real.step());
        return Math.abs(number - Space.gridded(real, digit)) <= ROUNDING * real.step() ? digit : -1;
    }

    /** Null for a point that is none of these. */
    long @Nullable [] digits(Point point) {
        long[] digits = new long[sizes.length];
        for (int i = 0; i < digits.length; i++) {
            Value value = point.get(space.parameters().get(i).name());
            if (value != null) {
                digits[i] = digit(i, value);
                if (digits[i] < 0 || digits[i] >= sizes[i]) {
                    return null;
                }
            }
        }
        return digits;
    }

    Point point(long[] digits) {
        Map<String, Value> values = new LinkedHashMap<>();
        for (int i = 0; i < digits.length; i++) {
            Parameter parameter = space.parameters().get(i);
            if (Space.exists(parameter, values)) {
                values.put(parameter.name(), value(i, digits[i]));
            }
        }
        return new Point(values);
    }

    /** The first point: every digit 0. */
    long[] first() {
        return new long[sizes.length];
    }

    /** The point after this one, the last parameter changing fastest; null after the last. */
    long @Nullable [] next(long[] digits) {
        Point point = point(digits);
        for (int i = digits.length - 1; i >= 0; i--) {
            boolean exists = point.get(space.parameters().get(i).name()) != null;
            if (exists && digits[i] + 1 < sizes[i]) {
                long[] next = digits.clone();
                next[i]++;
                Arrays.fill(next, i + 1, next.length, 0);
                return next;
            }
        }
        return null;
    }

    /** One number for the digits; only where {@link Space#cardinality} is known. */
    long index(long[] digits) {
        long index = 0;
        for (int i = 0; i < digits.length; i++) {
            index = index * sizes[i] + digits[i];
        }
        return index;
    }

    /** The digits of a number, which need not be those of a point: see {@link #canonical}. */
    long[] digits(long index) {
        long[] digits = new long[sizes.length];
        for (int i = digits.length - 1; i >= 0; i--) {
            digits[i] = index % sizes[i];
            index /= sizes[i];
        }
        return digits;
    }

    /** Whether parameters that do not exist have the digit 0. */
    boolean canonical(long[] digits) {
        Point point = point(digits);
        for (int i = 0; i < digits.length; i++) {
            if (digits[i] != 0 && point.get(space.parameters().get(i).name()) == null) {
                return false;
            }
        }
        return true;
    }
}
