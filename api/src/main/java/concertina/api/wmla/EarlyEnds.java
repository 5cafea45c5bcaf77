package concertina.api.wmla;

import concertina.model.ConcertinaException;
import concertina.trials.EarlyStopping;
import concertina.trials.StopWhenConverged;
import java.math.BigDecimal;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/** The members {@code earlyStopping} and {@code stopWhenConverged} of {@code algoDef}, our extensions, read and checked. Pure. */
final class EarlyEnds {
    private static final String STOPPING = "earlyStopping";
    private static final String CONVERGED = "stopWhenConverged";
    private static final List<String> ASHA = List.of("rule", "minSteps", "maxSteps", "eta");
    private static final List<String> MEDIAN = List.of("rule", "minSteps", "trials");
    private static final List<String> PATIENCE = List.of("patience", "tolerance");
    private static final int MOST_TRIALS = 1000;

    private EarlyEnds() {}

    /** Null when it is not there. */
    static @Nullable EarlyStopping stopping(JsonNode algorithm) {
        if (!Fields.given(algorithm.path(STOPPING))) {
            return null;
        }
        JsonNode posted = Fields.object(algorithm, "algoDef", STOPPING);
        String path = "algoDef." + STOPPING;
        String rule = Fields.needed(posted, path, "rule", "asha or median");
        double minSteps = above(posted, path, "minSteps", 0, Optional.of(1.0));
        return switch (rule.toLowerCase(Locale.ROOT)) {
            case "asha" -> {
                refuseOthers(posted, path, ASHA);
                double maxSteps = above(posted, path, "maxSteps", 0, Optional.empty());
                if (maxSteps < minSteps) {
                    throw ConcertinaException.invalid(
                            path + ".maxSteps", Fields.shown(posted.path("maxSteps")), "no less than minSteps");
                }
                double eta = above(posted, path, "eta", 1, Optional.of(3.0));
                yield checked(new EarlyStopping(EarlyStopping.Rule.ASHA, minSteps, maxSteps, eta, 1), path);
            }
            case "median" -> {
                refuseOthers(posted, path, MEDIAN);
                int trials = count(posted, path, "trials", 5);
                yield new EarlyStopping(EarlyStopping.Rule.MEDIAN, minSteps, minSteps, 2, trials);
            }
            default -> throw ConcertinaException.invalid(path + ".rule", rule, "asha or median");
        };
    }

    private static EarlyStopping checked(EarlyStopping stopping, String path) {
        try {
            var unused = stopping.stopper();
            return stopping;
        } catch (ConcertinaException refused) {
            throw new ConcertinaException(refused.code(), path + "." + refused.getMessage(), refused);
        }
    }

    /** Null when it is not there. */
    static @Nullable StopWhenConverged converged(JsonNode algorithm) {
        if (!Fields.given(algorithm.path(CONVERGED))) {
            return null;
        }
        JsonNode posted = Fields.object(algorithm, "algoDef", CONVERGED);
        String path = "algoDef." + CONVERGED;
        refuseOthers(posted, path, PATIENCE);
        if (!Fields.given(posted.path("patience"))) {
            throw ConcertinaException.invalid(path + ".patience", "", "a whole number from 1 to " + MOST_TRIALS);
        }
        double tolerance = Fields.number(posted, path, "tolerance")
                .map(BigDecimal::doubleValue)
                .orElse(0.0);
        if (tolerance < 0) {
            throw ConcertinaException.invalid(
                    path + ".tolerance",
                    Fields.shown(posted.path("tolerance")),
                    "a number from 0, as a share of the best value");
        }
        return new StopWhenConverged(count(posted, path, "patience", 1), tolerance);
    }

    private static void refuseOthers(JsonNode posted, String path, List<String> known) {
        for (String name : posted.propertyNames()) {
            if (!known.contains(name)) {
                throw ConcertinaException.invalid(path, name, String.join(", ", known));
            }
        }
    }

    private static double above(JsonNode posted, String path, String name, double bound, Optional<Double> standard) {
        String accepted = "a number above " + (long) bound;
        Optional<Double> value =
                Fields.number(posted, path, name).map(BigDecimal::doubleValue).or(() -> standard);
        double number = value.orElseThrow(() -> ConcertinaException.invalid(path + "." + name, "", accepted));
        if (!(number > bound)) {
            throw ConcertinaException.invalid(path + "." + name, Fields.shown(posted.path(name)), accepted);
        }
        return number;
    }

    private static int count(JsonNode posted, String path, String name, int standard) {
        JsonNode node = posted.path(name);
        if (!Fields.given(node)) {
            return standard;
        }
        long count = Fields.whole(path + "." + name, node);
        if (count < 1 || count > MOST_TRIALS) {
            throw ConcertinaException.invalid(
                    path + "." + name, Fields.shown(node), "a whole number from 1 to " + MOST_TRIALS);
        }
        return (int) count;
    }
}
