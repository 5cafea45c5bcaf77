package concertina.search;

import concertina.search.Parameter.Choice;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * The sampler for who does not want to choose one: Bayesian optimisation while there are few trials, since it needs the fewest, and where
 * there are many an evolution strategy or the tree-structured Parzen estimator, which cost a hundredth of the time.
 *
 * <p><b>Algorithm.</b> The Gaussian process is asked until a border, early in small spaces of numbers. The border is lower the more trials run side by side (its beliefs about them
 * pile up), in spaces of many words or conditions (where distance means little), and where its input has very many dimensions. It is
 * lower too where all is continuous, or nearly so, and many trials are to come: there {@link CmaEs}, which begins narrowly amid the best that the
 * process found, goes on to improve by orders of magnitude where the process and the Parzen estimator stand still. After the border CMA-ES
 * is asked; {@link Tpe} in spaces of many words or conditions, of very many dimensions, with many trials side by side, and for several
 * objectives. Both are told everything, so that the second begins with all that the first found. What is asked depends on how many trials
 * of the search itself ended: so it is the same after a restart, and the process narrows down what many earlier searches found.
 */
public final class Auto implements Sampler {
    private static final int DIMENSIONS = 60;
    private static final int TRIALS = 300;
    private static final int TRIALS_OF_MANY_WORDS = 150;
    private static final int PARALLEL = 64;

    /**
     * The process is asked after so few trials where it has few lengthscales to learn and averages over what they may be. Words of
     * which it has not seen each once would lead it astray.
     */
    private static final int FIRST = 3;

    private static final int FIRST_DIMENSIONS = 6;

    /** Of so many trials and more in a continuous space, all but the first go to CMA-ES. */
    private static final int MANY = 500;

    private static final int TRIALS_OF_MANY = 150;

    /** A number of so many values is as good as continuous. */
    private static final int FINE = 100;

    /** How wide CMA-ES begins amid what the process found, in ranges; noise would lead it astray in less. */
    private static final double NARROW = 0.003;

    private static final double WITH_NOISE = 0.1;

    private final Sampler process;
    private final Sampler second;
    private final long border;
    private final String why;
    private long ended;

    /**
     * @param trials how many trials the search has at most, if that is limited
     * @param parallel how many run side by side
     * @param noiseless whether the same point always has the same loss
     */
    public Auto(Space space, OptionalLong trials, int parallel, boolean noiseless, long seed) {
        this(space, trials, parallel, noiseless, 1, seed);
    }

    /** @param objectives how many there are */
    public Auto(Space space, OptionalLong trials, int parallel, boolean noiseless, int objectives, long seed) {
        long words = space.parameters().stream()
                .filter(parameter -> parameter.when() != null
                        || parameter instanceof Choice choice
                                && !choice.ordered()
                                && choice.values().size() > 1)
                .count();
        boolean averaged = trials.orElse(Long.MAX_VALUE) <= TRIALS;
        process = new BayesianSampler(
                space,
                new BayesianSampler.Settings(
                        averaged && words == 0 && space.size() <= FIRST_DIMENSIONS
                                ? FIRST
                                : BayesianSampler.Settings.BEST.initialPoints(),
                        BayesianSampler.Settings.BEST.cubeSize(),
                        noiseless),
                // Averaged expectations pay in short searches; in long ones the process found the evolution strategy
                // worse places to begin at.
                averaged ? BayesianSampler.DRAWS : 0,
                seed);
        if (space.size() > DIMENSIONS) {
            border = 0;
            why = "the space has more than " + DIMENSIONS + " parameters";
        } else if (parallel > PARALLEL) {
            border = 0;
            why = "more than " + PARALLEL + " trials run side by side";
        } else if (2 * words > space.size() && trials.orElse(Long.MAX_VALUE) > TRIALS_OF_MANY_WORDS) {
            border = TRIALS_OF_MANY_WORDS;
            why = border + " trials in a space of many words and conditions ended";
        } else if (continuous(space) && objectives == 1 && trials.orElse(Long.MAX_VALUE) >= MANY) {
            border = TRIALS_OF_MANY;
            why = border + " trials ended";
        } else {
            border = TRIALS;
            why = border + " trials ended";
        }
        second = border == 0 || 2 * words > space.size() || objectives > 1
                ? new Tpe(space, Tpe.Settings.BEST, seed)
                : new CmaEs(space, seed, noiseless ? NARROW : WITH_NOISE);
    }

    private static boolean continuous(Space space) {
        return space.parameters().stream().allMatch(parameter -> {
            long cells = Space.cells(parameter);
            return parameter.when() == null
                    && (cells <= 1 || cells >= FINE && !(parameter instanceof Choice choice && !choice.ordered()));
        });
    }

    @Override
    public Optional<Suggestion> ask(long number) {
        return ended < border
                ? process.ask(number)
                : second.ask(number)
                        .map(found -> new Suggestion(
                                found.point(), found.resource(), found.parent(), found.reason() + ", as " + why));
    }

    @Override
    public void tell(Trial trial) {
        boolean own = trial.number() >= 0;
        if (own && !(trial.state() instanceof Trial.State.Running)) {
            ended++;
        }
        if (ended <= border) {
            process.tell(trial);
        }
        second.tell(trial);
    }
}
