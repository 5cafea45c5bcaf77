package concertina.search;

import concertina.model.ConcertinaException;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** One dimension of a space. Each kind checks itself and says what it accepts. */
public sealed interface Parameter {
    String name();

    /** When the parameter exists at all; null for always. */
    @Nullable
    Condition when();

    /** How a range is measured: equal differences, or equal ratios. */
    enum Scale {
        LINEAR,
        LOG
    }

    /**
     * The parameter exists in points where another one, listed before it in the space, has one of these values.
     *
     * @param parent name of a {@link Choice} or {@link Whole}
     */
    record Condition(String parent, Set<Value> values) {
        public Condition {
            values = Set.copyOf(values);
            if (values.isEmpty()) {
                throw ConcertinaException.invalid("condition on " + parent, "[]", "at least one value");
            }
        }
    }

    /**
     * Real numbers from {@code low} to {@code high}, both included.
     *
     * @param step points lie at {@code low + k·step}; 0 for a continuum. Only with a linear scale
     */
    record Real(
            String name,
            double low,
            double high,
            Scale scale,
            double step,
            @Nullable Condition when) implements Parameter {
        public Real {
            Checks.range(name, low, high, scale, step);
        }

        public Real(String name, double low, double high) {
            this(name, low, high, Scale.LINEAR, 0, null);
        }

        public Real(String name, double low, double high, Scale scale) {
            this(name, low, high, scale, 0, null);
        }
    }

    /**
     * Whole numbers from {@code low} to {@code high}, both included.
     *
     * @param step points lie at {@code low + k·step}, at least 1; more than 1 only with a linear scale
     */
    record Whole(
            String name,
            long low,
            long high,
            Scale scale,
            long step,
            @Nullable Condition when) implements Parameter {
        private static final long MOST_WHOLE = 1L << 62;

        public Whole {
            Checks.range(name, low, high, scale, step > 1 ? step : 0);
            if (step < 1) {
                throw ConcertinaException.invalid("step of " + name, Long.toString(step), "1 or more");
            }
            // Negative where the difference itself is too large.
            if (high - low < 0 || high - low >= MOST_WHOLE) {
                throw ConcertinaException.invalid(
                        "range of " + name, low + ".." + high, "at most " + MOST_WHOLE + " whole numbers");
            }
        }

        public Whole(String name, long low, long high) {
            this(name, low, high, Scale.LINEAR, 1, null);
        }
    }

    /**
     * One of a list of values without repetition.
     *
     * @param ordered whether neighbours in the list are alike, as in 16, 32, 64
     */
    record Choice(
            String name,
            List<Value> values,
            boolean ordered,
            @Nullable Condition when) implements Parameter {
        public Choice {
            values = List.copyOf(values);
            Checks.name(name);
            if (values.isEmpty()) {
                throw ConcertinaException.invalid("values of " + name, "[]", "at least one value");
            }
            Set<Value> seen = new HashSet<>();
            for (Value value : values) {
                if (!seen.add(value)) {
                    throw ConcertinaException.invalid("values of " + name, value.text(), "values that differ");
                }
            }
        }

        public Choice(String name, List<Value> values) {
            this(name, values, false, null);
        }
    }

    /** What the kinds check alike. */
    final class Checks {
        /** So many values can still be told from each other by their places in the unit interval. */
        private static final double MOST_STEPS = 1L << 53;

        private Checks() {}

        private static void name(String name) {
            if (name.isBlank()) {
                throw ConcertinaException.invalid("name of a hyperparameter", name, "a text that is not blank");
            }
        }

        private static void range(String name, double low, double high, Scale scale, double step) {
            name(name);
            if (!Double.isFinite(low) || !Double.isFinite(high)) {
                throw ConcertinaException.invalid("range of " + name, low + ".." + high, "finite numbers");
            }
            if (low > high) {
                throw ConcertinaException.invalid(
                        "range of " + name, low + ".." + high, "a minimum that is not above the maximum");
            }
            if (!Double.isFinite(high - low)) {
                throw ConcertinaException.invalid(
                        "range of " + name, low + ".." + high, "bounds whose difference a number can hold");
            }
            if (scale == Scale.LOG && low <= 0) {
                throw ConcertinaException.invalid(
                        "minimum of " + name, Double.toString(low), "more than 0 on a logarithmic scale");
            }
            if (!Double.isFinite(step) || step < 0) {
                throw ConcertinaException.invalid("step of " + name, Double.toString(step), "more than 0");
            }
            if (step > 0 && (high - low) / step >= MOST_STEPS) {
                throw ConcertinaException.invalid(
                        "step of " + name, Double.toString(step), "one that makes at most 2^53 values");
            }
            if (scale == Scale.LOG && step > 0) {
                throw ConcertinaException.invalid(
                        "step of " + name, Double.toString(step), "no step on a logarithmic scale");
            }
        }
    }
}
