package concertina.search;

import concertina.model.ConcertinaException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.ToDoubleFunction;
import java.util.random.RandomGenerator;
import java.util.stream.IntStream;

/**
 * Tree-structured Parzen estimator over all parameters jointly (Bergstra et al. 2011, "Algorithms for hyper-parameter optimization",
 * NeurIPS; multivariate kernels as in Falkner et al. 2018, "BOHB", ICML).
 *
 * <pre>
 * Notation
 * N        trials that ended with some result
 * G        the good ones: the best min(⌈ratio·N⌉, most) of {@link Observations}
 * B        all others, failed trials and running trials
 * l, g     densities of G and B, see {@link Parzen}
 * V, I     trials with a feasible result; those that failed or are infeasible
 * v, i     their densities
 * p        chance of a feasible result, |V|·v / (|V|·v + |I|·i)
 * </pre>
 *
 * <p><b>Algorithm.</b> The first points come from a scrambled Sobol sequence. Then a few are drawn from l, and the one with the greatest
 * p·l/g wins, which without failures is the one of greatest expected improvement (with them after the idea of Watanabe and Hutter
 * 2023, "c-TPE", IJCAI). Better members of G weigh more: log(|G| + 1) − log(rank), so that the
 * best ones lead while the others keep the density broad. Running trials count as bad, so that parallel suggestions spread.
 *
 * <p><b>Constraints.</b> Of many trials the best and an even sample of the others are kept, so time and memory per suggestion do not
 * grow with the search.
 */
public final class Tpe implements Sampler {
    private static final int ROOM = 300;

    /** How many trials tell where results are feasible, and how many where not. */
    private static final int WITNESSES = 100;

    private static final double EVEN = 1;

    /**
     * What can be tuned.
     *
     * @param warmUp suggestions come from the Sobol sequence until so many trials ended with a result
     * @param candidates how many draws a suggestion is chosen from
     * @param goodRatio share of the trials that are good
     * @param goodMost how many are good at most
     */
    public record Settings(int warmUp, int candidates, double goodRatio, int goodMost) {
        /** What finds good points soonest on the standard functions. */
        public static final Settings BEST = new Settings(6, 24, 0.1, 25);

        /** The most that may be good: as many at least tell what is not. */
        public static final int MOST_GOOD = ROOM / 2;

        public Settings {
            if (warmUp < 1) {
                throw ConcertinaException.invalid("WarmUp", Integer.toString(warmUp), "1 or more");
            }
            if (candidates < 1) {
                throw ConcertinaException.invalid("EICandidate", Integer.toString(candidates), "1 or more");
            }
            if (!(goodRatio > 0 && goodRatio <= 1)) {
                throw ConcertinaException.invalid("GoodRatio", Double.toString(goodRatio), "more than 0 and at most 1");
            }
            if (goodMost < 1 || goodMost > MOST_GOOD) {
                throw ConcertinaException.invalid(
                        "GoodMax", Integer.toString(goodMost), "a whole number from 1 to " + MOST_GOOD);
            }
        }
    }

    private final Space space;
    private final Settings settings;
    private final long seed;
    private final SobolSequence sequence;
    private final Tried tried;
    private final Observations observations;

    public Tpe(Space space, Settings settings, long seed) {
        this.space = space;
        this.settings = settings;
        this.seed = seed;
        this.sequence = Sobol.sequence(space, seed);
        this.tried = new Tried(space);
        this.observations = new Observations(space, seed, ROOM, settings.goodMost());
    }

    @Override
    public Optional<Suggestion> ask(long number) {
        RandomGenerator random = Randomness.of(seed, number);
        long useful = observations.useful();
        if (useful < settings.warmUp()) {
            Point point = tried.fresh(attempt -> space.decode(
                    attempt == 0
                            ? Sobol.coordinates(space, sequence, number, random)
                            : RandomSearch.uniform(space, random)));
            return Optional.of(
                    new Suggestion(point, "covers the space evenly until " + settings.warmUp() + " results are there"));
        }
        List<double[]> good = new ArrayList<>();
        List<double[]> bad = new ArrayList<>();
        List<double[]> valid = new ArrayList<>();
        List<double[]> invalid = new ArrayList<>();
        int most = (int) Math.min(Math.ceil(settings.goodRatio() * useful), settings.goodMost());
        for (Observations.Entry entry : observations.entries()) {
            (good.size() < most && !entry.failed() ? good : bad).add(entry.coordinates());
            (entry.valid() ? valid : invalid).add(entry.coordinates());
        }
        tried.running().stream().limit(ROOM).forEach(point -> bad.add(space.encode(point)));
        Parzen l = new Parzen(space, good, weights(good.size()), EVEN);
        Parzen g = Parzen.of(space, bad, EVEN);
        ToDoubleFunction<double[]> gain = x -> l.logDensity(x) - g.logDensity(x);
        ToDoubleFunction<double[]> promise = gain;
        if (!valid.isEmpty() && !invalid.isEmpty()) {
            Parzen v = Parzen.of(space, thin(valid), EVEN);
            Parzen i = Parzen.of(space, thin(invalid), EVEN);
            double odds = StrictMath.log((double) invalid.size() / valid.size());
            promise = x ->
                    gain.applyAsDouble(x) - StrictMath.log1p(StrictMath.exp(odds + i.logDensity(x) - v.logDensity(x)));
        }
        ToDoubleFunction<double[]> measure = promise;
        Point point = tried.fresh(attempt -> best(l, measure, random));
        return Optional.of(new Suggestion(
                point,
                "most promising of " + settings.candidates() + " points like the best " + good.size() + " of " + useful
                        + " trials"));
    }

    /** Every so-manieth of a ranked list. */
    private static List<double[]> thin(List<double[]> ranked) {
        int every = (ranked.size() + WITNESSES - 1) / WITNESSES;
        return IntStream.range(0, ranked.size() / every)
                .mapToObj(place -> ranked.get(place * every))
                .toList();
    }

    private static double[] weights(int count) {
        double[] weights = new double[count];
        double sum = 0;
        for (int i = 0; i < count; i++) {
            weights[i] = StrictMath.log(count + 1.0) - StrictMath.log(i + 1.0);
            sum += weights[i];
        }
        for (int i = 0; i < count; i++) {
            weights[i] *= count / sum;
        }
        return weights;
    }

    private Point best(Parzen l, ToDoubleFunction<double[]> promise, RandomGenerator random) {
        Point best = space.decode(l.draw(random));
        double most = promise.applyAsDouble(space.encode(best));
        for (int i = 1; i < settings.candidates(); i++) {
            Point candidate = space.decode(l.draw(random));
            double value = promise.applyAsDouble(space.encode(candidate));
            if (value > most) {
                best = candidate;
                most = value;
            }
        }
        return best;
    }

    @Override
    public void tell(Trial trial) {
        tried.tell(trial);
        observations.tell(trial);
    }
}
