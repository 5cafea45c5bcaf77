package concertina.search;

import concertina.model.ConcertinaException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;

/**
 * What the results of a search say about its parameters. Built from the trials once, then read; immutable. Looks at one objective, and
 * at trials that completed; a parameter that a trial lacks counts as in the middle of its range there. Importance and contour grow a
 * forest at every call; the rest is cheap.
 */
public final class Analysis {
    private static final int TREES = 64;
    private static final long SEED = 20141121;

    /** Trials a forest is grown on; of more, an even selection. */
    private static final int MOST_SAMPLES = 2000;

    /** Coordinates of all of them together, since the time grows with that number. */
    private static final int MOST_COORDINATES = 120_000;

    /**
     * A completed trial.
     *
     * @param feasible whether it meets all constraints
     */
    public record Outcome(long trial, Point point, double loss, boolean feasible) {}

    /** How the loss went with one parameter. */
    public record Slice(String parameter, List<Dot> dots) {
        /** One trial that had the parameter. */
        public record Dot(long trial, Value value, double loss) {}
    }

    /**
     * What the loss is expected to be over two parameters, all others averaged.
     *
     * @param x values of the first parameter, ascending in the space's scale
     * @param y values of the second
     * @param loss by x, then by y
     */
    public record Contour(String first, String second, List<Value> x, List<Value> y, double[][] loss) {}

    /** The best loss after each trial that improved on it; one that misses a constraint is no improvement. */
    public record Improvement(long trial, double loss) {}

    private final Space space;
    private final List<Outcome> outcomes;

    /**
     * @param objective position of the objective to look at
     */
    public Analysis(Space space, List<Trial> trials, int objective) {
        this.space = space;
        outcomes = trials.stream()
                .sorted(Comparator.comparingLong(Trial::number))
                .flatMap(trial -> outcome(trial, objective).stream())
                .toList();
    }

    private static Optional<Outcome> outcome(Trial trial, int objective) {
        return trial.state() instanceof Trial.State.Complete(double[] losses, double[] violations)
                ? Optional.of(new Outcome(
                        trial.number(), trial.point(), losses[objective], Ranking.violation(violations) == 0))
                : Optional.empty();
    }

    /** Throws INVALID_ARGUMENT if fewer than two trials completed. */
    private Forest forest() {
        if (outcomes.size() < 2) {
            throw ConcertinaException.invalid(
                    "completed trials", Integer.toString(outcomes.size()), "2 or more for an analysis");
        }
        int samples = Math.min(outcomes.size(), Math.min(MOST_SAMPLES, Math.max(2, MOST_COORDINATES / space.size())));
        double[][] x = new double[samples][];
        double[] y = new double[samples];
        for (int i = 0; i < samples; i++) {
            Outcome outcome = outcomes.get((int) ((long) i * outcomes.size() / samples));
            x[i] = Arrays.stream(space.encode(outcome.point()))
                    .map(coordinate -> Double.isNaN(coordinate) ? 0.5 : coordinate)
                    .toArray();
            y[i] = outcome.loss();
        }
        return new Forest(x, y, TREES, SEED);
    }

    /** Completed trials in the order of their numbers: the lines of a drawing with parallel coordinates. */
    public List<Outcome> outcomes() {
        return outcomes;
    }

    /** The most important parameter first. */
    public List<Importance> importance() {
        double[] shares = Importance.shares(forest(), space.size());
        List<Importance> list = new ArrayList<>();
        for (int i = 0; i < shares.length; i++) {
            list.add(new Importance(space.parameters().get(i).name(), shares[i]));
        }
        list.sort(Comparator.comparingDouble((Importance importance) -> -importance.share()));
        return List.copyOf(list);
    }

    public Slice slice(String parameter) {
        position("parameter", parameter);
        List<Slice.Dot> dots = new ArrayList<>();
        for (Outcome outcome : outcomes) {
            Value value = outcome.point().get(parameter);
            if (value != null) {
                dots.add(new Slice.Dot(outcome.trial(), value, outcome.loss()));
            }
        }
        return new Slice(parameter, List.copyOf(dots));
    }

    /**
     * @param grid number of values per parameter; a parameter with fewer has as many columns as values
     */
    public Contour contour(String first, String second, int grid) {
        int one = position("first", first);
        int other = position("second", second);
        if (one == other) {
            throw ConcertinaException.invalid("second", second, "another parameter than the first");
        }
        if (grid < 2 || grid > 200) {
            throw ConcertinaException.invalid("grid", Integer.toString(grid), "2 to 200");
        }
        List<Value> x = values(one, grid);
        List<Value> y = values(other, grid);
        double[][] fine = forest().marginal(one, other, grid);
        double[][] loss = new double[x.size()][y.size()];
        for (int i = 0; i < x.size(); i++) {
            for (int j = 0; j < y.size(); j++) {
                loss[i][j] = fine[column(i, x.size(), grid)][column(j, y.size(), grid)];
            }
        }
        return new Contour(first, second, x, y, loss);
    }

    private static int column(int index, int count, int grid) {
        return Math.min((int) ((index + 0.5) / count * grid), grid - 1);
    }

    private List<Value> values(int position, int grid) {
        Parameter parameter = space.parameters().get(position);
        long cells = Space.cells(parameter);
        int count = cells > 0 && cells < grid ? (int) cells : grid;
        List<Value> values = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            values.add(Space.decode(parameter, (i + 0.5) / count));
        }
        return List.copyOf(values);
    }

    private int position(String field, String parameter) {
        for (int i = 0; i < space.size(); i++) {
            if (space.parameters().get(i).name().equals(parameter)) {
                return i;
            }
        }
        throw ConcertinaException.invalid(
                field,
                parameter,
                "one of "
                        + String.join(
                                ", ",
                                space.parameters().stream().map(Parameter::name).toList()));
    }

    public List<Improvement> improvements() {
        List<Improvement> list = new ArrayList<>();
        double best = Double.POSITIVE_INFINITY;
        for (Outcome outcome : outcomes) {
            if (outcome.feasible() && outcome.loss() < best) {
                best = outcome.loss();
                list.add(new Improvement(outcome.trial(), best));
            }
        }
        return List.copyOf(list);
    }

    /** Completed trials that no other dominates over all objectives, constraints met, by their numbers. */
    public static List<Long> paretoFront(List<Trial> trials) {
        List<Ranking.Result> results = new ArrayList<>();
        for (Trial trial : trials) {
            if (trial.state() instanceof Trial.State.Complete complete) {
                Ranking.Result result = new Ranking.Result(trial, complete);
                if (result.violation() == 0) {
                    results.add(result);
                }
            }
        }
        return Ranking.front(results).stream()
                .map(Ranking.Result::number)
                .sorted()
                .toList();
    }
}
