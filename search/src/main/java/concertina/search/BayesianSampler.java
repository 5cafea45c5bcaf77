package concertina.search;

import concertina.model.ConcertinaException;
import concertina.search.AcquisitionSearch.Found;
import concertina.search.Results.Result;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.TreeMap;
import java.util.function.Predicate;
import java.util.random.RandomGenerator;
import org.jspecify.annotations.Nullable;

/**
 * Bayesian optimisation: a Gaussian process learns the losses, and the next point is where it expects to improve most on the best one.
 *
 * <p><b>Algorithm.</b> The middle of the space and points of a scrambled Sobol sequence come first. Then hyperparameters are fitted, see
 * {@link Surrogate}: after each trial, later after every twelfth part more of them, always from the trials alone, so that a sampler told
 * the same has the same; while trials are few, several are drawn that explain them about as well, and their expectations averaged. The point of greatest log expected improvement wins, see {@link AcquisitionSearch}. Once little is expected of
 * the neighbourhood of the best point, and while a part of the space is like no trial, every fourth suggestion, later three of four, belongs
 * to a search that begins anew outside of that neighbourhood. Running trials are taken for what is expected of them, failed ones for as bad as the worst.
 *
 * <p><b>Constraints.</b> Time and memory stop growing at a few hundred trials, see {@link Results}.
 */
public final class BayesianSampler implements Sampler {
    /**
     * What can be tuned.
     *
     * @param initialPoints points that cover the space, before the model chooses
     * @param cubeSize how many points that cover the space it compares at most for one suggestion
     * @param noiseless whether the same point always has the same loss
     */
    public record Settings(int initialPoints, long cubeSize, boolean noiseless) {
        /** What finds good points soonest on the standard functions. */
        public static final Settings BEST = new Settings(5, 10_000, true);

        public Settings {
            if (initialPoints < 1) {
                throw ConcertinaException.invalid("InitPoints", Integer.toString(initialPoints), "1 or more");
            }
            if (cubeSize < 1) {
                throw ConcertinaException.invalid("CubeSize", Long.toString(cubeSize), "1 or more");
            }
        }
    }

    static final int DRAWS = 4;
    private static final int FEWEST = 2;
    private static final int GOOD = 5;
    /** How many small moves are compared, and how often a slope is computed in one climb. */
    private static final int MOVES = 128;

    private static final int CLIMB = 40;
    /** Log of the expected improvement below which the best place is exhausted, in deviations of the losses as the model sees them. */
    private static final double LITTLE = Math.log(0.01);
    /** By how much that log may exceed the log of the noise's deviation where the model can hardly tell places apart any more. */
    private static final double INDISTINCT = Math.log(3);
    /** Places of a greater correlation, in the model, are of one neighbourhood. */
    private static final double ALIKE = 0.4;
    /** What share of the space must be in no trial's neighbourhood for another search there. */
    private static final double OPEN = 0.05;
    /** To so many trials there the model of them is fitted for each suggestion. */
    private static final int OFTEN = 60;

    private record Fitted(long count, long number, Surrogate surrogate) {}

    private final Space space;
    private final Settings settings;
    private final long seed;
    private final int draws;
    private final Features features;
    private final SobolSequence sequence;
    private final Tried tried;
    private final Results results;
    private final Map<Long, double[]> running = new TreeMap<>();
    private @Nullable Fitted fitted;
    private @Nullable Fitted anew;
    private OptionalDouble improvement = OptionalDouble.empty();

    public BayesianSampler(Space space, Settings settings, long seed) {
        this(space, settings, DRAWS, seed);
    }

    /** @param draws over how many hyperparameters expectations are averaged while trials are few; 0: the most probable ones alone */
    BayesianSampler(Space space, Settings settings, int draws, long seed) {
        this.draws = draws;
        this.space = space;
        this.settings = settings;
        this.seed = seed;
        features = new Features(space);
        sequence = Sobol.sequence(space, seed);
        tried = new Tried(space);
        results = new Results(features);
    }

    @Override
    public void tell(Trial trial) {
        tried.tell(trial);
        if (trial.state() instanceof Trial.State.Running) {
            running.put(trial.number(), features.of(trial.point()));
        } else {
            running.remove(trial.number());
            results.tell(trial);
        }
    }

    @Override
    public Optional<Suggestion> ask(long number) {
        RandomGenerator random = Randomness.of(seed, number);
        long known = results.useful() + running.size();
        if (known < settings.initialPoints || results.useful() < FEWEST) {
            Point point = tried.fresh(attempt -> space.decode(initial(number, known, attempt, random)));
            return Optional.of(new Suggestion(point, "covers the space before there is a model"));
        }
        List<Result> all = results.all();
        Surrogate surrogate = surrogate(number, random);
        Acquisition acquisition = surrogate.acquisition(all, running.values());
        List<double[]> good = good(all, random);
        double[][] everywhere = everywhere(all.size(), random);
        double[] weights = surrogate.losses().getFirst().weights();
        List<Found> near = new AcquisitionSearch(features, acquisition, weights, random)
                .search(everywhere, good, MOVES, CLIMB, place -> true);
        List<Found> found = acquisition.improves()
                        && elsewhereDue(number, near.getFirst().score(), surrogate)
                        && open(surrogate, everywhere)
                ? elsewhere(surrogate, everywhere, near, random)
                : near;
        improvement = acquisition.improves()
                ? OptionalDouble.of(
                        Math.exp(near.getFirst().score()) / Math.max(surrogate.range(all), Double.MIN_NORMAL))
                : OptionalDouble.empty();
        Point point = tried.fresh(attempt -> space.decode(
                attempt < found.size() ? found.get(attempt).place() : RandomSearch.uniform(space, random)));
        String reason = "most probable to meet the constraints, which no trial has met";
        if (acquisition.improves()) {
            reason = "greatest expected improvement of a Gaussian process after " + results.useful() + " trials"
                    + (found == near ? "" : ", away from the best of them, near which little is expected");
        }
        return Optional.of(new Suggestion(point, reason));
    }

    /** Whether it is this suggestion's turn to look elsewhere, when so little is expected near the best trial. */
    private static boolean elsewhereDue(long number, double score, Surrogate surrogate) {
        double noise = Math.log(surrogate.losses().getFirst().noise()) / 2;
        return score < LITTLE
                && (Math.floorMod(number, 4) == 0 || score < noise + INDISTINCT && Math.floorMod(number, 4) != 3);
    }

    /** Whether a good part of the space is like no trial. */
    private boolean open(Surrogate surrogate, double[][] everywhere) {
        long open = Arrays.stream(everywhere)
                .map(features::of)
                .filter(seen ->
                        results.all().stream().noneMatch(each -> surrogate.correlation(each.seen(), seen) > ALIKE))
                .count();
        return open > OPEN * everywhere.length;
    }

    /**
     * Searches anew outside the neighbourhood of the best trial, with a model of the trials there and for an improvement on the best of
     * them: what was learnt in the neighbourhood makes a model too sure that there is nothing elsewhere.
     */
    private List<Found> elsewhere(
            Surrogate surrogate, double[][] everywhere, List<Found> near, RandomGenerator random) {
        Predicate<double[]> outside = outside(surrogate, results.all());
        List<Result> rest =
                results.all().stream().filter(each -> outside.test(each.seen())).toList();
        double[][] places = Arrays.stream(everywhere)
                .filter(place -> outside.test(features.of(place)))
                .toArray(double[][]::new);
        if (rest.stream().filter(Result::feasible).count() < FEWEST) {
            return near;
        }
        Surrogate anew = anew(surrogate, rest, random);
        Acquisition acquisition =
                anew.acquisition(rest, running.values().stream().filter(outside).toList());
        List<Found> found = new AcquisitionSearch(
                        features, acquisition, anew.losses().getFirst().weights(), random)
                .search(places, good(rest, random), MOVES, CLIMB, place -> outside.test(features.of(place)));
        return found.getFirst().score() < LITTLE ? near : found;
    }

    private static Predicate<double[]> outside(Surrogate surrogate, List<Result> trials) {
        double[] centre = surrogate.best(trials).seen();
        return seen -> surrogate.correlation(centre, seen) <= ALIKE;
    }

    /** Of many trials it is fitted as seldom as the model of all, from those that had ended then: a fit takes many suggestions' time. */
    private Surrogate anew(Surrogate surrogate, List<Result> rest, RandomGenerator random) {
        Fitted whole = Objects.requireNonNull(fitted);
        List<Result> then = results.first(whole.count);
        if (rest.size() <= OFTEN || then.stream().noneMatch(Result::feasible)) {
            return Surrogate.fit(features.words(), settings.noiseless, rest, surrogate.share(), draws, random);
        }
        Fitted last = anew;
        if (last == null || last.count != whole.count || last.number != whole.number) {
            Predicate<double[]> outside = outside(surrogate, then);
            List<Result> before =
                    then.stream().filter(each -> outside.test(each.seen())).toList();
            RandomGenerator own = Randomness.of(~seed, whole.count);
            last = new Fitted(
                    whole.count,
                    whole.number,
                    Surrogate.fit(features.words(), settings.noiseless, before, surrogate.share(), draws, own));
            anew = last;
        }
        return last.surrogate;
    }

    private double[] initial(long number, long known, int attempt, RandomGenerator random) {
        if (attempt > 0) {
            return RandomSearch.uniform(space, random);
        }
        if (known == 0 && results.ended() == 0) {
            double[] middle = new double[space.size()];
            Arrays.fill(middle, 0.5);
            return middle;
        }
        return Sobol.coordinates(space, sequence, number, random);
    }

    private Surrogate surrogate(long number, RandomGenerator random) {
        int objectives = results.all().stream()
                .filter(each -> !each.failed() && !each.early())
                .mapToInt(each -> each.losses().length)
                .findFirst()
                .orElse(1);
        double[] share = Surrogate.share(objectives, random);
        long count = results.fitted();
        long drawn = objectives == 1 ? 0 : number;
        Fitted last = fitted;
        if (last == null || last.count != count || last.number != drawn) {
            last = new Fitted(
                    count,
                    drawn,
                    Surrogate.fit(
                            features.words(),
                            settings.noiseless,
                            results.first(count),
                            share,
                            draws,
                            Randomness.of(~seed, count)));
            fitted = last;
        }
        return last.surrogate;
    }

    /** Fewer the more trials there are, so that a suggestion takes about the same time. */
    private double[][] everywhere(int trials, RandomGenerator random) {
        int count = (int) Math.min(settings.cubeSize, Math.clamp(5_000_000L / ((long) trials * trials), 128, 1024));
        SobolSequence fresh = new SobolSequence(Math.min(space.size(), SobolSequence.DIMENSIONS), random);
        double[][] places = new double[count][];
        for (int i = 0; i < count; i++) {
            places[i] = Sobol.coordinates(space, fresh, i, random);
        }
        return places;
    }

    private List<double[]> good(List<Result> all, RandomGenerator random) {
        List<Result> best = all.stream()
                .filter(each -> !each.failed())
                .sorted(Comparator.comparing((Result each) -> !each.feasible())
                        .thenComparingDouble(each -> each.losses()[0]))
                .limit(GOOD)
                .toList();
        List<double[]> places = new ArrayList<>();
        for (Result each : best) {
            places.add(features.place(each.point(), random));
        }
        return places;
    }

    /**
     * How much the best place is expected to improve on the best trial, as a share of the distance between the best and the worst
     * one as the model sees them; empty before there is a model. A search that no longer expects anything has converged.
     */
    public OptionalDouble expectedImprovement() {
        return improvement;
    }
}
