package concertina.search;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.random.RandomGenerator;
import org.jspecify.annotations.Nullable;

/**
 * Covariance matrix adaptation: points are drawn from a normal distribution that moves and stretches towards the better ones; strong
 * where many trials are affordable and parameters depend on each other.
 *
 * <p><b>Algorithm.</b> {@link Evolution} over all ranges and ordered choices; words come from {@link Tpe}. Asking never waits: points
 * are drawn from the present distribution, and whenever as many results are there as a generation has, the distribution learns. A
 * generation has at least as many points as there are trials running, so that no result is late by more than about one.
 * A result that comes late counts with the step from the mean it was drawn around: were it measured from the present mean, late
 * results would all point backwards and the steps would shrink. A search that converged starts again at a random point with twice the population (Auger and Hansen 2005, "A
 * restart CMA evolution strategy with increasing population size", IEEE CEC). {@link Margin} keeps whole numbers and steps alive.
 * Results of other searches or samplers that are told before the first own trial place the first mean.
 *
 * <p><b>Constraints.</b> Which step a running trial came from is not remembered from {@link #ask} but found again from its number, so
 * that an instance that was only told is in the same state.
 */
public final class CmaEs implements Sampler {
    private static final int ATTEMPTS = 16;
    private static final int STAGNATION = 10;
    private static final int FOREIGN_ROOM = 200;
    private static final int FOREIGN_BEST = 25;
    private static final double FOREIGN_SPREAD = 0.1;
    private static final double MOST_SPREAD = 0.3;

    /**
     * A trial under way.
     *
     * @param x its point before margins, one coordinate for each number
     * @param y the step from the mean of its generation; null for one that was not drawn here
     */
    private record Step(double[] x, double @Nullable [] y, long restart) {}

    private final Space space;
    private final long seed;
    private final double leastSpread;
    private final List<Parameter> numbers = new ArrayList<>();
    private final int[] positions;
    private final @Nullable Tpe words;
    private final Tried tried;
    private final Map<Long, Step> running = new HashMap<>();
    private final Observations foreign;
    private final Map<Long, Step> pending = new HashMap<>();
    private final double[] stretch;
    private Observations results;
    private @Nullable Evolution evolution;
    private boolean own;
    private long generation;
    private long restart;
    private int population;
    private double best = Double.POSITIVE_INFINITY;
    private long improved;

    public CmaEs(Space space, long seed) {
        this(space, seed, FOREIGN_SPREAD);
    }

    /**
     * @param leastSpread how wide it begins at least amid results that it did not ask for, in ranges: little where these come from the
     *     same search, which has narrowed down where the best lie
     */
    CmaEs(Space space, long seed, double leastSpread) {
        this.space = space;
        this.seed = seed;
        this.leastSpread = leastSpread;
        this.tried = new Tried(space);
        List<Integer> positions = new ArrayList<>();
        boolean anyWords = false;
        for (int i = 0; i < space.size(); i++) {
            Parameter parameter = space.parameters().get(i);
            if (parameter instanceof Parameter.Choice choice && !choice.ordered()) {
                anyWords |= choice.values().size() > 1;
            } else if (Space.cells(parameter) != 1) {
                positions.add(i);
                numbers.add(parameter);
            }
        }
        this.positions = positions.stream().mapToInt(i -> i).toArray();
        this.words = anyWords ? new Tpe(space, Tpe.Settings.BEST, seed) : null;
        this.stretch = new double[numbers.size()];
        this.foreign = new Observations(space, seed, FOREIGN_ROOM, FOREIGN_BEST);
        this.results = new Observations(space, seed, Integer.MAX_VALUE, 0);
        if (!numbers.isEmpty()) {
            double[] middle = new double[numbers.size()];
            Arrays.fill(middle, 0.5);
            begin(Evolution.around(middle, Evolution.population(numbers.size())));
        }
    }

    private void begin(Evolution evolution) {
        this.evolution = evolution;
        population = evolution.lambda();
        Arrays.fill(stretch, 1);
        pending.clear();
        results = new Observations(space, seed, Integer.MAX_VALUE, 0);
        improved = generation;
        best = Double.POSITIVE_INFINITY;
        correct(evolution);
    }

    @Override
    public Optional<Suggestion> ask(long number) {
        double[] template = words == null
                ? new double[space.size()]
                : space.encode(words.ask(number).orElseThrow().point());
        RandomGenerator random = Randomness.of(seed, number);
        Evolution present = evolution;
        Point point = present == null
                ? tried.fresh(attempt -> space.decode(attempt == 0 ? whole(template) : uniform(random)))
                : tried.fresh(attempt -> point(template, place(present, draw(present, random))));
        String reason = present == null
                ? "chosen by the Parzen estimator, since there are words only"
                : "drawn from generation " + (generation + 1) + " of the evolution strategy";
        return Optional.of(new Suggestion(point, reason));
    }

    private double[] uniform(RandomGenerator random) {
        return RandomSearch.uniform(space, random);
    }

    private static double[] whole(double[] coordinates) {
        double[] whole = coordinates.clone();
        for (int i = 0; i < whole.length; i++) {
            whole[i] = Double.isNaN(whole[i]) ? 0.5 : whole[i];
        }
        return whole;
    }

    private Point point(double[] template, double[] v) {
        double[] coordinates = whole(template);
        for (int j = 0; j < v.length; j++) {
            coordinates[positions[j]] = v[j];
        }
        return space.decode(coordinates);
    }

    /** Draws until all continua are inside; what still is not is mirrored at the border. */
    private double[] draw(Evolution evolution, RandomGenerator random) {
        double[] x = evolution.draw(random);
        for (int attempt = 1; attempt < ATTEMPTS && !inside(x); attempt++) {
            x = evolution.draw(random);
        }
        for (int j = 0; j < x.length; j++) {
            if (!Margin.applies(numbers.get(j))) {
                double folded = Math.abs(x[j]) % 2;
                x[j] = folded > 1 ? 2 - folded : folded;
            }
        }
        return x;
    }

    private boolean inside(double[] x) {
        for (int j = 0; j < x.length; j++) {
            if (!Margin.applies(numbers.get(j)) && (x[j] < 0 || x[j] > 1)) {
                return false;
            }
        }
        return true;
    }

    /** Where x is evaluated: stretched where a margin demands it. */
    private double[] place(Evolution evolution, double[] x) {
        double[] mean = evolution.mean();
        double[] v = new double[x.length];
        for (int j = 0; j < x.length; j++) {
            v[j] = stretch[j] == 1 ? x[j] : mean[j] + stretch[j] * (x[j] - mean[j]);
        }
        return v;
    }

    @Override
    public void tell(Trial trial) {
        tried.tell(trial);
        if (words != null) {
            words.tell(trial);
        }
        Evolution present = evolution;
        if (present == null) {
            return;
        }
        if (trial.state() instanceof Trial.State.Running) {
            Step step = step(present, trial);
            running.put(trial.number(), step);
            own |= step.y != null;
            return;
        }
        Step step = running.remove(trial.number());
        if (step == null) {
            step = new Step(encode(trial.point(), present.mean()), null, restart);
        }
        if (!own) {
            foreign.tell(trial);
            start();
        } else if (step.restart == restart && !pending.containsKey(trial.number())) {
            pending.put(trial.number(), step);
            results.tell(trial);
            if (pending.size() == present.lambda()) {
                learn(present);
            }
        }
    }

    /** Finds the draw that a running trial came from. */
    private Step step(Evolution evolution, Trial trial) {
        RandomGenerator random = Randomness.of(seed, trial.number());
        double[] template = whole(space.encode(trial.point()));
        for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
            double[] x = draw(evolution, random);
            if (point(template, place(evolution, x)).equals(trial.point())) {
                return new Step(x, evolution.step(x), restart);
            }
        }
        return new Step(encode(trial.point(), evolution.mean()), null, restart);
    }

    /** The place of a point made elsewhere; where a parameter does not exist, the mean. */
    private double[] encode(Point point, double[] mean) {
        double[] coordinates = space.encode(point);
        double[] x = new double[positions.length];
        for (int j = 0; j < x.length; j++) {
            double u = coordinates[positions[j]];
            x[j] = Double.isNaN(u) ? mean[j] : u;
        }
        return x;
    }

    /** Begins amid the best tenth of the trials of others, as wide as they are spread. */
    private void start() {
        List<double[]> points = new ArrayList<>();
        double[] mean = new double[positions.length];
        Arrays.fill(mean, 0.5);
        long most = Math.clamp((foreign.useful() + 9) / 10, 1, FOREIGN_BEST);
        for (Observations.Entry entry : foreign.entries()) {
            if (points.size() < most && !entry.failed()) {
                points.add(entry.coordinates());
            }
        }
        if (points.isEmpty()) {
            return;
        }
        double squares = 0;
        for (int j = 0; j < mean.length; j++) {
            int position = positions[j];
            double[] present = points.stream()
                    .mapToDouble(point -> point[position])
                    .filter(u -> !Double.isNaN(u))
                    .toArray();
            double average = Arrays.stream(present).average().orElse(0.5);
            mean[j] = average;
            squares += Arrays.stream(present)
                    .map(u -> (u - average) * (u - average))
                    .average()
                    .orElse(0.1);
        }
        double spread = Math.clamp(Math.sqrt(squares / mean.length), leastSpread, MOST_SPREAD);
        begin(new Evolution(mean, spread, Evolution.population(mean.length)));
    }

    private void learn(Evolution evolution) {
        List<double[]> steps = new ArrayList<>();
        double greatest = Double.NEGATIVE_INFINITY;
        double least = Double.POSITIVE_INFINITY;
        for (Observations.Entry entry : results.entries()) {
            Step step = pending.get(entry.number());
            if (step != null) {
                steps.add(step.y == null ? evolution.likely(evolution.step(step.x)) : step.y);
                if (entry.complete()) {
                    greatest = Math.max(greatest, entry.key());
                    least = Math.min(least, entry.key());
                }
            }
        }
        int useful = (int) results.useful();
        if (useful > 0 && steps.size() == evolution.lambda()) {
            evolution.learn(steps, useful);
            correct(evolution);
        }
        pending.clear();
        results = new Observations(space, seed, Integer.MAX_VALUE, 0);
        evolution.resize(Math.max(population, running.size()));
        generation++;
        if (least < best) {
            best = least;
            improved = generation;
        }
        int patience = STAGNATION + 30 * numbers.size() / population;
        boolean flat = generation - improved > patience && greatest - least <= 1e-12 * Math.abs(greatest);
        if (evolution.spent() || flat || generation - improved > 4L * patience) {
            restart++;
            RandomGenerator random = Randomness.of(~seed, restart);
            double[] mean = random.doubles(numbers.size()).toArray();
            begin(Evolution.around(mean, 2 * population));
        }
    }

    private void correct(Evolution evolution) {
        double alpha = 1.0 / (numbers.size() * evolution.lambda());
        for (int j = 0; j < stretch.length; j++) {
            if (Margin.applies(numbers.get(j))) {
                stretch[j] =
                        Margin.correct(numbers.get(j), evolution.mean(), j, evolution.deviation(j), stretch[j], alpha);
            }
        }
    }
}
