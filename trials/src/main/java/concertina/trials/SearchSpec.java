package concertina.trials;

import concertina.model.JobId;
import concertina.model.JobSpec;
import concertina.search.Parameter;
import concertina.search.Space;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * What a user wants searched, checked, never changed afterwards.
 *
 * @param algorithm name of a built-in algorithm as {@link Samplers} lists it, or of a plug-in
 * @param settings the algorithm's parameters as they were posted
 * @param parameters the space; for a list of given points every value that occurs in one
 * @param given the points to try, in this order; empty when the algorithm proposes them
 * @param resource name under which a trial finds how much of the resource it was given; empty when the algorithm has none
 * @param objectives at least one; the first decides which trial is best
 * @param constraints bounds that a trial should keep; one that does not is best only where none does
 * @param reported further metrics to keep, and which value of each stands for the trial
 * @param maxTrials so many trials at most; -1 for no limit
 * @param parallel so many trials at a time at most
 * @param maxMinutes the search ends after so many minutes; -1 for no limit
 * @param seed where the algorithm's random numbers begin
 * @param earlyStopping which trials are stopped on their way; null for none
 * @param convergence when the search ends before its limits; null for never
 * @param job what every trial runs
 * @param code id under which the uploaded code is kept; null when none was uploaded
 * @param request the posted request as JSON, without its command line
 */
public record SearchSpec(
        String algorithm,
        Map<String, String> settings,
        List<Parameter> parameters,
        List<GivenPoint> given,
        String resource,
        List<Objective> objectives,
        List<Constraint> constraints,
        Map<String, Aggregate> reported,
        long maxTrials,
        int parallel,
        long maxMinutes,
        long seed,
        @Nullable EarlyStopping earlyStopping,
        @Nullable StopWhenConverged convergence,
        JobSpec job,
        @Nullable JobId code,
        String request) {
    public SearchSpec {
        settings = Collections.unmodifiableMap(new LinkedHashMap<>(settings));
        parameters = List.copyOf(parameters);
        given = List.copyOf(given);
        objectives = List.copyOf(objectives);
        // Searches recorded before there were constraints have none.
        constraints = constraints == null ? List.of() : List.copyOf(constraints);
        reported = Collections.unmodifiableMap(new LinkedHashMap<>(reported));
    }

    /** Of a search that proposes points, values of all trials together: trials times hyperparameters. All of them are in memory. */
    private static final int MOST_VALUES = 500_000;

    /** How many trials a search of so many hyperparameters may have. */
    public static long mostTrials(int hyperParameters) {
        return MOST_VALUES / hyperParameters;
    }

    /** How many trials it has at most, by what was asked for or what is possible. */
    long limit() {
        long most = given.isEmpty() ? mostTrials(parameters.size()) : given.size();
        return maxTrials < 0 ? most : Math.min(maxTrials, most);
    }

    public Space space() {
        return new Space(parameters);
    }

    /** The objective that decides which trial is best. */
    public Objective objective() {
        return objectives.getFirst();
    }

    /**
     * Whether what counts of a trial is taken from one entry of its results, the last that has every objective and every constraint's
     * metric, rather than the best of all entries: values that belong together must come from one state of the model.
     */
    public boolean oneEntry() {
        return objectives.size() > 1 || !constraints.isEmpty();
    }

    /** What counts of one metric of a trial. */
    public double value(Objective objective, MetricSummary summary) {
        return oneEntry() ? summary.latest() : objective.value(summary);
    }

    /** One value for each objective whose metric is there, in their order. */
    public List<Double> values(List<MetricSummary> metrics) {
        return objectives.stream()
                .flatMap(objective ->
                        TrialLife.find(metrics, objective.metric()).map(summary -> value(objective, summary)).stream())
                .toList();
    }

    /** The same for samplers, which minimise. */
    double[] losses(List<MetricSummary> metrics) {
        return objectives.stream()
                .mapToDouble(objective -> loss(objective, TrialLife.of(metrics, objective.metric())))
                .toArray();
    }

    double loss(Objective objective, MetricSummary summary) {
        return objective.loss(value(objective, summary));
    }

    /** By how much each constraint is missed; 0 or less where it is kept. */
    double[] violations(List<MetricSummary> metrics) {
        return constraints.stream()
                .mapToDouble(constraint -> constraint.violation(
                        TrialLife.of(metrics, constraint.metric()).latest()))
                .toArray();
    }
}
