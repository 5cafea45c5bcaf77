package concertina.trials;

import concertina.model.ConcertinaException;
import concertina.search.Point;
import concertina.search.Space;
import concertina.search.Trial;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * What a search's algorithm is told of earlier searches before its own trials. A copy made when the search began, so that nothing that
 * becomes of them changes it. Immutable.
 *
 * @param searches their names
 * @param trials those of their trials that tell something about the new space
 * @param leftOut how many trials with values do not: their points lie outside, or they had less of a resource than others, or lack a metric
 */
public record WarmStart(List<String> searches, List<Earlier> trials, int leftOut) {
    private static final int MOST = 5000;
    private static final int MOST_VALUES = 250_000;
    private static final String FIELD = "algoDef.warmStart";

    /** A trial that ended with values. */
    public record Earlier(String search, long number, Point point, List<MetricSummary> metrics) {
        public Earlier {
            metrics = List.copyOf(metrics);
        }
    }

    public WarmStart {
        searches = List.copyOf(searches);
        trials = List.copyOf(trials);
    }

    /**
     * Of more trials than some thousand the latest count.
     *
     * @throws ConcertinaException INVALID_ARGUMENT when a search was after something else, or the algorithm cannot learn from others
     */
    static WarmStart of(SearchSpec spec, List<SearchView> searches) {
        if (!BuiltInSamplers.learnsFromOthers(spec.algorithm())) {
            throw ConcertinaException.invalid(
                    FIELD,
                    names(searches).toString(),
                    "nothing for algorithm " + spec.algorithm()
                            + ", which gives trials a resource or tries a list of points");
        }
        List<Earlier> fitting = new ArrayList<>();
        Set<String> needed = Stream.concat(
                        spec.objectives().stream().map(Objective::metric),
                        spec.constraints().stream().map(Constraint::metric))
                .collect(Collectors.toSet());
        int valued = 0;
        for (SearchView search : searches) {
            check(spec, search);
            double most = search.trials().stream()
                    .map(TrialView::resource)
                    .mapToDouble(resource -> resource == null ? 0 : resource)
                    .max()
                    .orElse(0);
            for (TrialView trial : search.trials()) {
                if (trial.state() != TrialView.State.FINISHED) {
                    continue;
                }
                valued++;
                Double resource = trial.resource();
                if ((resource == null || resource == most) && fits(spec, trial)) {
                    List<MetricSummary> metrics = trial.metrics().stream()
                            .filter(metric -> needed.contains(metric.name()))
                            .toList();
                    fitting.add(new Earlier(search.name(), trial.number(), trial.point(), metrics));
                }
            }
        }
        List<Earlier> kept = fitting.subList(Math.max(0, fitting.size() - most(spec)), fitting.size());
        return new WarmStart(names(searches), kept, valued - kept.size());
    }

    /** Fewer of very many hyperparameters, since all are in memory. */
    private static int most(SearchSpec spec) {
        return Math.min(MOST, MOST_VALUES / spec.parameters().size());
    }

    private static List<String> names(List<SearchView> searches) {
        return searches.stream().map(SearchView::name).toList();
    }

    private static void check(SearchSpec spec, SearchView search) {
        SearchSpec earlier = search.spec();
        if (!earlier.objectives().containsAll(spec.objectives())) {
            throw ConcertinaException.invalid(
                    FIELD,
                    search.name() + ", which is to " + objectives(earlier),
                    "a search that is to " + objectives(spec));
        }
        Set<String> known = Stream.of(
                        earlier.objectives().stream().map(Objective::metric),
                        earlier.constraints().stream().map(Constraint::metric),
                        earlier.reported().keySet().stream())
                .flatMap(names -> names)
                .collect(Collectors.toCollection(HashSet::new));
        for (Constraint constraint : spec.constraints()) {
            if (!known.contains(constraint.metric())) {
                throw ConcertinaException.invalid(
                        FIELD,
                        search.name() + ", which does not know " + constraint.metric(),
                        "a search with the metrics of all constraints");
            }
        }
    }

    private static String objectives(SearchSpec spec) {
        return spec.objectives().stream()
                .map(objective -> (objective.maximize() ? "maximize " : "minimize ") + objective.metric())
                .collect(Collectors.joining(", "));
    }

    private static boolean fits(SearchSpec spec, TrialView trial) {
        Set<String> known = trial.metrics().stream().map(MetricSummary::name).collect(Collectors.toSet());
        if (spec.constraints().stream().anyMatch(constraint -> !known.contains(constraint.metric()))) {
            return false;
        }
        Space space = spec.space();
        try {
            space.check(trial.point());
            return true;
        } catch (ConcertinaException outside) {
            return false;
        }
    }

    /** The trials as the algorithm is told of them, each as running and then with its end, under numbers that no own trial has. */
    List<Trial> told(SearchSpec spec) {
        List<Trial> told = new ArrayList<>();
        for (int i = 0; i < trials.size(); i++) {
            Earlier trial = trials.get(i);
            told.add(trial(-1L - i, trial.point, new Trial.State.Running()));
            told.add(trial(
                    -1L - i,
                    trial.point,
                    new Trial.State.Complete(spec.losses(trial.metrics), spec.violations(trial.metrics))));
        }
        return told;
    }

    private static Trial trial(long number, Point point, Trial.State state) {
        return new Trial(number, point, OptionalDouble.empty(), OptionalLong.empty(), state);
    }
}
