package concertina.search;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;

/**
 * Orders results from best to worst: those that meet all constraints before those that do not, these by how far they miss them; then by
 * loss. With several objectives fronts of trials that nothing dominates are peeled off one after another, and within a front the less
 * crowded goes first (non-dominated sorting and crowding distance, Deb et al., NSGA-II, 2002). Ties keep the order of the numbers.
 */
final class Ranking {
    /** A result with the number of its trial. */
    record Result(long number, double[] losses, double violation) {
        Result(Trial trial, Trial.State.Complete outcome) {
            this(trial.number(), outcome.losses(), Ranking.violation(outcome.violations()));
        }
    }

    /** Where there is one objective. */
    static final Comparator<Result> SINGLE = Comparator.comparingDouble(Result::violation)
            .thenComparingDouble(result -> result.losses()[0])
            .thenComparingLong(Result::number);

    private Ranking() {}

    /** By how much constraints are missed in all; 0 where all are met, infinite where one is not known. */
    static double violation(double[] violations) {
        return Arrays.stream(violations)
                .map(value -> Double.isNaN(value) ? Double.POSITIVE_INFINITY : Math.max(value, 0))
                .sum();
    }

    /** The same results, the best first. */
    static List<Result> order(List<Result> results) {
        if (results.isEmpty() || results.getFirst().losses().length == 1) {
            return results.stream().sorted(SINGLE).toList();
        }
        List<Result> ordered = new ArrayList<>();
        fronts(results.stream().filter(result -> result.violation() == 0).toList())
                .forEach(front -> ordered.addAll(byCrowding(front)));
        results.stream().filter(result -> result.violation() > 0).sorted(SINGLE).forEach(ordered::add);
        return ordered;
    }

    /** Those that no other dominates; of equal ones all. Constraints are not looked at. */
    static List<Result> front(List<Result> results) {
        List<Integer> front = new ArrayList<>();
        for (int next : inOrderOfLosses(results)) {
            if (!dominated(results, front, results.get(next))) {
                front.add(next);
            }
        }
        return front.stream().sorted().map(results::get).toList();
    }

    /**
     * The fronts that remain when those before are taken away, each in the order of the results. Whoever dominates a result comes before
     * it in the order of losses, and is itself in a front before; so each is put into the first front that does not dominate it (Zhang
     * et al., An Efficient Approach to Nondominated Sorting, 2015).
     */
    static List<List<Result>> fronts(List<Result> results) {
        List<List<Integer>> fronts = new ArrayList<>();
        for (int next : inOrderOfLosses(results)) {
            int low = 0;
            int high = fronts.size();
            while (low < high) {
                int middle = (low + high) / 2;
                if (dominated(results, fronts.get(middle), results.get(next))) {
                    low = middle + 1;
                } else {
                    high = middle;
                }
            }
            if (low == fronts.size()) {
                fronts.add(new ArrayList<>());
            }
            fronts.get(low).add(next);
        }
        return fronts.stream()
                .map(front -> front.stream().sorted().map(results::get).toList())
                .toList();
    }

    private static int[] inOrderOfLosses(List<Result> results) {
        return IntStream.range(0, results.size())
                .boxed()
                .sorted((one, other) ->
                        compare(results.get(one).losses(), results.get(other).losses()))
                .mapToInt(position -> position)
                .toArray();
    }

    /** By the first loss, where that is equal by the second, and so on; 0 and -0 are equal, as they are to {@link #dominates}. */
    private static int compare(double[] one, double[] other) {
        for (int i = 0; i < one.length; i++) {
            int order = Double.compare(one[i] + 0.0, other[i] + 0.0);
            if (order != 0) {
                return order;
            }
        }
        return 0;
    }

    /**
     * The latest of a front are the nearest, and most likely to dominate. With two objectives the very latest has the least second loss: if
     * it does not dominate, none does.
     */
    private static boolean dominated(List<Result> results, List<Integer> front, Result result) {
        int until = result.losses().length == 2 ? Math.max(front.size() - 1, 0) : 0;
        for (int i = front.size() - 1; i >= until; i--) {
            if (dominates(results.get(front.get(i)).losses(), result.losses())) {
                return true;
            }
        }
        return false;
    }

    /** Whether one is nowhere worse than another and somewhere better. */
    static boolean dominates(double[] one, double[] other) {
        boolean better = false;
        for (int i = 0; i < one.length; i++) {
            if (one[i] > other[i]) {
                return false;
            }
            better |= one[i] < other[i];
        }
        return better;
    }

    private static List<Result> byCrowding(List<Result> front) {
        int size = front.size();
        double[] distance = new double[size];
        for (int objective = 0; objective < front.getFirst().losses().length; objective++) {
            int index = objective;
            Integer[] order = new Integer[size];
            Arrays.setAll(order, i -> i);
            // Equal losses by their numbers too, lest it matter in which order results come.
            Arrays.sort(
                    order,
                    Comparator.<Integer>comparingDouble(i -> front.get(i).losses()[index])
                            .thenComparingLong(i -> front.get(i).number()));
            double range = front.get(order[size - 1]).losses()[index]
                    - front.get(order[0]).losses()[index];
            distance[order[0]] = Double.POSITIVE_INFINITY;
            distance[order[size - 1]] = Double.POSITIVE_INFINITY;
            for (int i = 1; i < size - 1 && range > 0; i++) {
                distance[order[i]] += (front.get(order[i + 1]).losses()[index]
                                - front.get(order[i - 1]).losses()[index])
                        / range;
            }
        }
        Integer[] order = new Integer[size];
        Arrays.setAll(order, i -> i);
        Arrays.sort(
                order,
                Comparator.<Integer>comparingDouble(i -> -distance[i])
                        .thenComparingLong(i -> front.get(i).number()));
        return Arrays.stream(order).map(front::get).toList();
    }
}
