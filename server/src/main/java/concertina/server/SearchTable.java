package concertina.server;

import java.math.BigDecimal;
import java.math.MathContext;
import java.math.RoundingMode;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;
import tools.jackson.databind.JsonNode;

/** How a search, as our own API tells it, looks in text. Pure. */
final class SearchTable {
    private static final int BAR = 40;

    private SearchTable() {}

    /** Searches, one a line. */
    static List<String> list(JsonNode searches) {
        List<List<String>> rows = new ArrayList<>();
        for (JsonNode search : searches) {
            rows.add(List.of(
                    text(search.path("name")),
                    text(search.path("creator")),
                    text(search.path("state")),
                    progress(search),
                    search.path("best").isObject()
                            ? metric(search) + " " + shown(search.path("best").path("value"))
                            : "",
                    text(search.path("algorithm")),
                    text(search.path("reason"))));
        }
        return rows.isEmpty()
                ? List.of("no searches")
                : TextTable.lines(List.of("SEARCH", "USER", "STATE", "TRIALS", "BEST", "ALGORITHM", "WHY"), rows);
    }

    /** Where the search stands, in two or three lines. */
    static List<String> head(JsonNode search) {
        List<String> lines = new ArrayList<>();
        int running = search.path("running").asInt(0);
        int failed = search.path("failed").asInt(0);
        lines.add(text(search.path("name")) + "  " + text(search.path("state")) + "  " + progress(search) + " trials"
                + (running > 0 ? ", " + running + " under way" : "")
                + (failed > 0 ? ", " + failed + " failed" : "")
                + String.format(Locale.ROOT, ", %.0f s", search.path("seconds").asDouble(0))
                + "  " + text(search.path("algorithm"))
                + aims(search));
        lines.add(text(search.path("reason")));
        JsonNode best = search.path("best");
        if (best.isObject()) {
            lines.add("best is trial " + best.path("trial").asLong() + " with " + reached(search, best) + ": "
                    + parameters(best));
        }
        return lines;
    }

    /** The trials, the best marked; none gives no line. */
    static List<String> trials(JsonNode search) {
        List<String> names = new ArrayList<>();
        search.path("parameters")
                .forEach(parameter -> names.add(parameter.path("name").asString("")));
        boolean resource = false;
        for (JsonNode trial : search.path("trials")) {
            resource = resource || trial.path("resource").isNumber();
        }
        List<String> heading = new ArrayList<>(List.of("", "TRIAL", "JOB", "STATE"));
        metrics(search).forEach(metric -> heading.add(plain(metric)));
        boolean bounded = !search.path("constraints").isEmpty();
        if (bounded) {
            heading.add("MISSES");
        }
        names.stream().map(SearchTable::plain).forEach(heading::add);
        if (resource) {
            heading.add("RESOURCE");
        }
        heading.add("WHY");
        List<List<String>> rows = new ArrayList<>();
        for (JsonNode trial : search.path("trials")) {
            List<String> row = new ArrayList<>(List.of(
                    best(search, trial) ? "*" : "",
                    trial.path("trial").asString(""),
                    text(trial.path("job")),
                    text(trial.path("state"))));
            metrics(search).forEach(metric -> row.add(shown(trial.path("values").path(metric))));
            if (bounded) {
                row.add(missed(trial));
            }
            names.forEach(name -> row.add(shown(trial.path("parameters").path(name))));
            if (resource) {
                row.add(shown(trial.path("resource")));
            }
            row.add(text(trial.path("reason")));
            rows.add(row);
        }
        return rows.isEmpty() ? List.of() : TextTable.lines(heading, rows);
    }

    /**
     * A line for each trial that has another state than before.
     *
     * @param known states by trial, brought up to date
     */
    static List<String> changes(JsonNode search, Map<Long, String> known) {
        List<String> lines = new ArrayList<>();
        for (JsonNode trial : search.path("trials")) {
            String state = text(trial.path("state"));
            if (!state.equals(known.put(trial.path("trial").asLong(), state))) {
                lines.add("trial " + trial.path("trial").asString("") + "  " + text(trial.path("job")) + "  " + state
                        + (trial.path("value").isNumber()
                                ? "  " + reached(search, trial) + (best(search, trial) ? " (best)" : "")
                                : "")
                        + "  " + parameters(trial) + "  " + text(trial.path("reason")));
            }
        }
        return lines;
    }

    /** Bars of the shares, the largest first, and what is left to interactions. */
    static List<String> importance(JsonNode answer) {
        List<List<String>> rows = new ArrayList<>();
        double left = 1;
        for (JsonNode each : answer.path("importance")) {
            double share = each.path("share").asDouble(0);
            left -= share;
            rows.add(row(text(each.path("parameter")), share));
        }
        if (left < 1) {
            rows.add(row("(interactions)", Math.max(0, left)));
        }
        List<String> lines =
                TextTable.lines(List.of("PARAMETER", "SHARE", "OF THE VARIANCE OF " + metricOf(answer)), rows);
        lines.add("from " + answer.path("trials").asInt() + " trials"
                + (left < 1 ? "" : "; " + metricOf(answer) + " was the same in all of them"));
        return lines;
    }

    private static List<String> row(String name, double share) {
        int full = (int) Math.round(share * BAR);
        return List.of(
                name,
                String.format(Locale.ROOT, "%5.1f %%", share * 100),
                "█".repeat(full) + "░".repeat(Math.max(0, BAR - full)));
    }

    private static boolean best(JsonNode search, JsonNode trial) {
        return search.path("best").isObject()
                && search.path("best").path("trial").asLong()
                        == trial.path("trial").asLong();
    }

    private static String progress(JsonNode search) {
        long most = search.path("maxTrials").asLong(-1);
        return search.path("complete").asLong() + (most < 0 ? "" : "/" + most);
    }

    private static String metric(JsonNode search) {
        return text(search.path("objectives").path(0).path("metric"));
    }

    private static List<String> metrics(JsonNode search) {
        List<String> names = new ArrayList<>();
        search.path("objectives")
                .forEach(objective -> names.add(objective.path("metric").asString("")));
        return names;
    }

    /** What it is after: " minimizes loss, maximizes speed with memory at most 16". */
    private static String aims(JsonNode search) {
        List<String> aims = new ArrayList<>();
        search.path("objectives")
                .forEach(objective ->
                        aims.add((objective.path("maximize").asBoolean(false) ? "maximizes " : "minimizes ")
                                + text(objective.path("metric"))));
        List<String> bounds = new ArrayList<>();
        search.path("constraints")
                .forEach(constraint -> bounds.add(text(constraint.path("metric"))
                        + (constraint.has("atMost")
                                ? " at most " + shown(constraint.path("atMost"))
                                : " at least " + shown(constraint.path("atLeast")))));
        return " " + String.join(", ", aims) + (bounds.isEmpty() ? "" : " with " + String.join(", ", bounds));
    }

    private static String reached(JsonNode search, JsonNode trial) {
        String missed = missed(trial);
        return metrics(search).stream()
                        .map(metric ->
                                plain(metric) + " " + shown(trial.path("values").path(metric)))
                        .collect(Collectors.joining(", "))
                + (missed.isEmpty() ? "" : ", which misses " + missed);
    }

    private static String missed(JsonNode trial) {
        List<String> missed = new ArrayList<>();
        trial.path("violations")
                .properties()
                .forEach(entry -> missed.add(plain(entry.getKey()) + " by " + shown(entry.getValue())));
        return String.join(", ", missed);
    }

    private static String metricOf(JsonNode answer) {
        return text(answer.path("metric"));
    }

    private static String parameters(JsonNode trial) {
        Map<String, String> values = new LinkedHashMap<>();
        trial.path("parameters")
                .properties()
                .forEach(entry -> values.put(plain(entry.getKey()), shown(entry.getValue())));
        return values.entrySet().stream()
                .map(entry -> entry.getKey() + " " + entry.getValue())
                .collect(Collectors.joining(", "));
    }

    /** A number with five digits, anything else as it is. */
    static String shown(JsonNode value) {
        if (!value.isNumber()) {
            return text(value);
        }
        if (value.isIntegralNumber()) {
            return value.asString();
        }
        BigDecimal rounded = new BigDecimal(value.asString())
                .round(new MathContext(5, RoundingMode.HALF_EVEN))
                .stripTrailingZeros();
        int exponent = rounded.precision() - rounded.scale() - 1;
        return rounded.signum() == 0 || exponent >= -5 && exponent < 12 ? rounded.toPlainString() : rounded.toString();
    }

    private static String text(JsonNode value) {
        return value.isNull() || value.isMissingNode() ? "" : plain(value.asString(""));
    }

    /** Somebody's words must not steer the terminal. */
    private static String plain(String text) {
        return text.replaceAll("\\p{Cntrl}+", " ");
    }
}
