package concertina.api.platform;

import concertina.api.Answers;
import concertina.api.OwnedSearches;
import concertina.api.Parameters;
import concertina.api.Routes;
import concertina.identity.Caller;
import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import concertina.search.Analysis;
import concertina.search.Trial;
import concertina.trials.Objective;
import concertina.trials.SearchView;
import concertina.trials.TrialView;
import concertina.wire.Json;
import io.javalin.http.Context;
import java.io.BufferedWriter;
import java.io.IOException;
import java.io.OutputStreamWriter;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.locks.ReentrantLock;
import tools.jackson.databind.json.JsonMapper;

/** Searches in full, what their results say about the parameters, and all trials as a file. Reads alone. Thread-safe. */
final class SearchAnalysisRoutes {
    private static final String SEARCHES = PlatformApi.BASE + "/searches";
    private static final String SEARCH = SEARCHES + "/{name}";
    private static final int CONTOUR_VALUES = 25;
    private static final int MOST_CONTOUR_VALUES = 200;
    private static final JsonMapper JSON = Json.mapper();

    private final OwnedSearches searches;

    /** Held while something is computed. */
    private final ReentrantLock computing = new ReentrantLock(true);

    SearchAnalysisRoutes(OwnedSearches searches) {
        this.searches = searches;
    }

    void register(Routes routes) {
        routes.user(
                "GET",
                SEARCHES,
                (context, caller) -> Answers.json(
                        context,
                        Map.of(
                                "searches",
                                searches.visible(caller).stream()
                                        .map(SearchJson::summary)
                                        .toList())));
        routes.user("GET", SEARCH, this::show);
        routes.user("GET", SEARCH + "/trials", this::export);
        analysis(routes, "/importance", SearchAnalysisRoutes::importance);
        analysis(routes, "/slice", SearchAnalysisRoutes::slice);
        analysis(routes, "/contour", SearchAnalysisRoutes::contour);
        analysis(routes, "/parallel-coordinates", SearchAnalysisRoutes::parallelCoordinates);
        analysis(routes, "/improvements", SearchAnalysisRoutes::improvements);
        routes.user("GET", SEARCH + "/pareto-front", this::paretoFront);
    }

    private SearchView found(Context context, Caller caller) {
        return searches.find(caller, context.pathParam("name"));
    }

    private void show(Context context, Caller caller) throws IOException {
        SearchView search = found(context, caller);
        int latest = Parameters.whole(context, "latest", 0, Integer.MAX_VALUE).orElse(Integer.MAX_VALUE);
        Answers.stream(context, SearchJson.whole(search, latest));
    }

    /** Written piece by piece, because there may be many. */
    private void export(Context context, Caller caller) throws IOException {
        SearchView search = found(context, caller);
        boolean table = Parameters.oneOf(context, "format", "csv", "json")
                .filter("csv"::equals)
                .isPresent();
        context.contentType(table ? "text/csv; charset=utf-8; header=present" : "application/json");
        context.header(
                "Content-Disposition",
                "attachment;filename=" + Answers.headerName(search.name()) + (table ? ".csv" : ".json"));
        try (Writer out =
                new BufferedWriter(new OutputStreamWriter(context.outputStream(), StandardCharsets.UTF_8), 1 << 15)) {
            if (table) {
                TrialSheet.write(search, out);
                return;
            }
            String before = "[";
            for (TrialView trial : search.trials()) {
                out.write(before + JSON.writeValueAsString(SearchJson.trial(search.spec(), trial)));
                before = ",\n";
            }
            out.write(search.trials().isEmpty() ? "[]\n" : "]\n");
        }
    }

    // --- Analysis
    // -------------------------------------------------------------------------------------------------------

    /** What an analysis looks at: one objective of a search. */
    private record Looked(SearchView search, Objective objective, Analysis analysis) {
        /** Losses are minimised; users know the metric. */
        double value(double loss) {
            return objective.maximize() && loss != 0 ? -loss : loss;
        }

        Map<String, Object> answer() {
            Map<String, Object> answer = new LinkedHashMap<>();
            answer.put("name", search.name());
            answer.put("metric", objective.metric());
            answer.put("maximize", objective.maximize());
            return answer;
        }
    }

    @FunctionalInterface
    private interface Look {
        Map<String, Object> at(Looked looked, Context context);
    }

    private void analysis(Routes routes, String path, Look look) {
        routes.user("GET", SEARCH + path, (context, caller) -> {
            SearchView search = found(context, caller);
            List<Objective> objectives = search.spec().objectives();
            int position = objective(context, objectives);
            Analysis analysis = new Analysis(search.spec().space(), trials(search), position);
            Looked looked = new Looked(search, objectives.get(position), analysis);
            Answers.stream(context, aside(() -> look.at(looked, context)));
        });
    }

    /** Computes on a thread of its own, one at a time: on the threads that serve requests it would keep others from being served. */
    private <T> T aside(Callable<T> computation) {
        FutureTask<T> task = new FutureTask<>(computation);
        computing.lock();
        try {
            Thread.ofPlatform().name("analysis").daemon().start(task);
            return task.get();
        } catch (ExecutionException failure) {
            if (failure.getCause() instanceof ConcertinaException refused) {
                throw refused;
            }
            throw new ConcertinaException(ErrorCode.INTERNAL, "the analysis failed", failure);
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
            throw new ConcertinaException(ErrorCode.INTERNAL, "the analysis was interrupted", interrupted);
        } finally {
            computing.unlock();
        }
    }

    private static int objective(Context context, List<Objective> objectives) {
        String[] metrics = objectives.stream().map(Objective::metric).toArray(String[]::new);
        return Parameters.oneOf(context, "metric", metrics)
                .map(Arrays.asList(metrics)::indexOf)
                .orElse(0);
    }

    /** The trials as the analysis knows them; those without results are nothing to it. */
    private static List<Trial> trials(SearchView search) {
        List<Trial> trials = new ArrayList<>();
        for (TrialView trial : search.trials()) {
            if (trial.state() == TrialView.State.FINISHED) {
                trials.add(new Trial(
                        trial.number(),
                        trial.point(),
                        OptionalDouble.empty(),
                        OptionalLong.empty(),
                        new Trial.State.Complete(losses(search, trial), violations(trial))));
            }
        }
        return trials;
    }

    private static double[] losses(SearchView search, TrialView trial) {
        List<Objective> objectives = search.spec().objectives();
        double[] losses = new double[objectives.size()];
        Arrays.setAll(losses, i -> objectives.get(i).loss(trial.values().get(i)));
        return losses;
    }

    private static double[] violations(TrialView trial) {
        return trial.violations().stream().mapToDouble(violation -> violation).toArray();
    }

    private static Map<String, Object> importance(Looked looked, Context context) {
        Map<String, Object> answer = looked.answer();
        answer.put("trials", looked.analysis().outcomes().size());
        answer.put("importance", looked.analysis().importance());
        return answer;
    }

    private static String needed(Context context, String name) {
        return Parameters.text(context, name)
                .orElseThrow(() -> ConcertinaException.invalid(name, "", "the name of a hyperparameter"));
    }

    private static Map<String, Object> slice(Looked looked, Context context) {
        Analysis.Slice slice = looked.analysis().slice(needed(context, "parameter"));
        Map<String, Object> answer = looked.answer();
        answer.put("parameter", slice.parameter());
        answer.put("points", Answers.each(slice.dots(), dot -> {
            Map<String, Object> point = new LinkedHashMap<>();
            point.put("trial", dot.trial());
            point.put("x", SearchJson.plain(dot.value()));
            point.put("value", looked.value(dot.loss()));
            return point;
        }));
        return answer;
    }

    private static Map<String, Object> contour(Looked looked, Context context) {
        int grid = Parameters.whole(context, "grid", 2, MOST_CONTOUR_VALUES).orElse(CONTOUR_VALUES);
        Analysis.Contour contour = looked.analysis().contour(needed(context, "first"), needed(context, "second"), grid);
        Map<String, Object> answer = looked.answer();
        answer.put("first", contour.first());
        answer.put("second", contour.second());
        answer.put("x", contour.x().stream().map(SearchJson::plain).toList());
        answer.put("y", contour.y().stream().map(SearchJson::plain).toList());
        answer.put(
                "value",
                Arrays.stream(contour.loss())
                        .map(row -> Arrays.stream(row).map(looked::value).toArray())
                        .toArray());
        return answer;
    }

    private static Map<String, Object> parallelCoordinates(Looked looked, Context context) {
        Map<String, Object> answer = looked.answer();
        answer.put("parameters", SearchJson.parameters(looked.search().spec()));
        answer.put("lines", Answers.each(looked.analysis().outcomes(), outcome -> {
            Map<String, Object> line = new LinkedHashMap<>();
            line.put("trial", outcome.trial());
            line.put("parameters", SearchJson.values(outcome.point()));
            line.put("value", looked.value(outcome.loss()));
            return line;
        }));
        return answer;
    }

    private static Map<String, Object> improvements(Looked looked, Context context) {
        Map<String, Object> answer = looked.answer();
        answer.put(
                "improvements",
                looked.analysis().improvements().stream()
                        .map(improvement -> {
                            Map<String, Object> entry = new LinkedHashMap<>();
                            entry.put("trial", improvement.trial());
                            entry.put("value", looked.value(improvement.loss()));
                            return entry;
                        })
                        .toList());
        return answer;
    }

    private void paretoFront(Context context, Caller caller) throws IOException {
        SearchView search = found(context, caller);
        Map<String, Object> answer = new LinkedHashMap<>();
        answer.put("name", search.name());
        answer.put("objectives", search.spec().objectives());
        answer.put(
                "trials",
                Answers.each(
                        aside(() -> Analysis.paretoFront(trials(search))),
                        number ->
                                SearchJson.trial(search.spec(), search.trials().get(number.intValue()))));
        Answers.stream(context, answer);
    }
}
