package concertina.search;

import concertina.model.ConcertinaException;
import concertina.search.AcquisitionSearch.Found;
import concertina.search.Results.Result;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.TreeMap;
import java.util.random.RandomGenerator;
import org.jspecify.annotations.Nullable;

/**
 * Bayesian optimisation: a Gaussian process learns the losses, and the next point is where it expects to improve most on the best one.
 *
 * <p><b>Algorithm.</b> The middle of the space and points of a scrambled Sobol sequence come first. Then hyperparameters are fitted, see
 * {@link Surrogate}: after each trial, later after every twelfth part more of them, always from the trials alone, so that a sampler told
 * the same has the same; while trials are few, several are drawn that explain them about as well, and their expectations averaged. The point of greatest log expected improvement wins, see {@link AcquisitionSearch}. Once little is expected of
 * the neighbourhood of the best point, every fourth suggestion goes where an improvement by a good deal is likeliest if the model knew less. Running trials are taken for what is expected of them, failed ones for as bad as the worst.
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
    /** One suggestion of so many looks elsewhere then: more often, the neighbourhood of the minimum takes twice as long. */
    private static final int FAR = 4;

    /** What is looked for elsewhere, in the same unit. */
    private static final double MUCH = 0.3;
    /** How much shorter the model's lengthscales are then, squared, since it is too sure of regions that it has hardly seen. */
    private static final double DOUBT = 4;

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
        List<double[]> good = good(random);
        double[][] everywhere = everywhere(all.size(), random);
        double[] weights = surrogate.losses().getFirst().weights();
        List<Found> near = new AcquisitionSearch(features, acquisition, weights, random)
                .search(everywhere, good, MOVES, CLIMB, place -> true);
        boolean far = acquisition.improves() && near.getFirst().score() < LITTLE && Math.floorMod(number, FAR) == 0;
        List<Found> found = !far
                ? near
                : new AcquisitionSearch(
                                features,
                                surrogate
                                        .doubting(DOUBT)
                                        .acquisition(all, running.values())
                                        .beyond(MUCH),
                                weights,
                                random)
                        .search(everywhere, good, MOVES, CLIMB, place -> true);
        improvement = acquisition.improves()
                ? OptionalDouble.of(
                        Math.exp(near.getFirst().score()) / Math.max(surrogate.range(all), Double.MIN_NORMAL))
                : OptionalDouble.empty();
        Point point = tried.fresh(attempt -> space.decode(
                attempt < found.size() ? found.get(attempt).place() : RandomSearch.uniform(space, random)));
        return Optional.of(new Suggestion(
                point,
                acquisition.improves()
                        ? "greatest expected improvement of a Gaussian process after " + results.useful() + " trials"
                        : "most probable to meet the constraints, which no trial has met"));
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

    private List<double[]> good(RandomGenerator random) {
        List<Result> best = results.all().stream()
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
