package concertina.api.platform;

import concertina.search.Parameter;
import concertina.search.Value;
import concertina.trials.MetricSummary;
import concertina.trials.SearchSpec;
import concertina.trials.SearchView;
import concertina.trials.TrialView;
import java.io.IOException;
import java.io.Writer;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Writes the trials of a search as comma-separated values (RFC 4180): a heading, then a line for each trial. Numbers stand plain, texts
 * in quotation marks. A text that a spreadsheet would take for a formula gets an apostrophe in front, because users' scripts and words
 * end up here.
 */
final class TrialSheet {
    private static final String LINE_END = "\r\n";

    private TrialSheet() {}

    static void write(SearchView search, Writer out) throws IOException {
        List<String> parameters =
                search.spec().parameters().stream().map(Parameter::name).toList();
        Set<String> metrics = new LinkedHashSet<>();
        for (TrialView trial : search.trials()) {
            trial.metrics().forEach(metric -> metrics.add(metric.name()));
        }
        out.write(String.join(",", heading(search.spec(), parameters, metrics)) + LINE_END);
        for (TrialView trial : search.trials()) {
            out.write(String.join(",", line(search.spec(), trial, parameters, metrics)) + LINE_END);
        }
    }

    private static List<String> heading(SearchSpec spec, List<String> parameters, Set<String> metrics) {
        List<String> cells = new ArrayList<>();
        List.of("trial", "job", "state", "value").forEach(name -> cells.add(text(name)));
        parameters.forEach(name -> cells.add(text("parameter " + name)));
        for (String name : metrics) {
            for (String which : List.of("least", "greatest", "latest")) {
                cells.add(text(which + " " + name));
            }
        }
        spec.constraints().forEach(constraint -> cells.add(text("missed by " + constraint.metric())));
        List.of("resource", "parent", "started at", "ended at", "reason").forEach(name -> cells.add(text(name)));
        return cells;
    }

    private static List<String> line(SearchSpec spec, TrialView trial, List<String> parameters, Set<String> metrics) {
        List<String> cells = new ArrayList<>();
        cells.add(Long.toString(trial.number()));
        cells.add(text(trial.job().value()));
        cells.add(text(trial.state().name()));
        cells.add(plain(trial.value()));
        parameters.forEach(name -> cells.add(cell(trial.point().get(name))));
        Map<String, MetricSummary> reported = new LinkedHashMap<>();
        trial.metrics().forEach(metric -> reported.put(metric.name(), metric));
        for (String name : metrics) {
            MetricSummary metric = reported.get(name);
            cells.add(metric == null ? "" : plain(metric.min()));
            cells.add(metric == null ? "" : plain(metric.max()));
            cells.add(metric == null ? "" : plain(metric.latest()));
        }
        for (int i = 0; i < spec.constraints().size(); i++) {
            cells.add(
                    trial.violations().isEmpty()
                            ? ""
                            : plain(Math.max(0, trial.violations().get(i))));
        }
        cells.add(plain(trial.resource()));
        cells.add(plain(trial.parent()));
        cells.add(plain(trial.startedAt()));
        cells.add(plain(trial.endedAt()));
        cells.add(text(trial.reason()));
        return cells;
    }

    private static String cell(@Nullable Value value) {
        return switch (value) {
            case Value.Real real -> plain(real.value());
            case Value.Whole whole -> plain(whole.value());
            case Value.Word word -> text(word.value());
            case null -> "";
        };
    }

    private static String plain(@Nullable Object value) {
        return value == null ? "" : value.toString();
    }

    private static String text(String value) {
        boolean formula = !value.isEmpty() && "=+-@\t\r\n".indexOf(value.charAt(0)) >= 0;
        return '"' + (formula ? "'" : "") + value.replace("\"", "\"\"") + '"';
    }
}
