package concertina.search;

import concertina.search.Parameter.Choice;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * The sampler for who does not want to choose one: Bayesian optimisation while there are few trials, since it needs the fewest, and the
 * tree-structured Parzen estimator, which costs a hundredth of the time, where there are many.
 *
 * <p><b>Algorithm.</b> The Gaussian process is asked until a border, which is lower the more trials run side by side (its beliefs about them
 * pile up), in spaces of many words or conditions (where distance means little), and where its input has very many dimensions. After the
 * border, and in spaces beyond those dimensions from the beginning, the Parzen estimator is asked. Both are told everything, so that the
 * second begins with all that the first found. What is asked depends on how many trials ended, so that it is the same after a restart.
 */
public final class Auto implements Sampler {
    private static final int DIMENSIONS = 60;
    private static final int TRIALS = 300;
    private static final int TRIALS_OF_MANY_WORDS = 150;
    private static final int PARALLEL = 64;

    private final Sampler process;
    private final Sampler estimator;
    private final long border;
    private final String why;
    private long ended;

    /**
     * @param trials how many trials the search has at most, if that is limited
     * @param parallel how many run side by side
     * @param noiseless whether the same point always has the same loss
     */
    public Auto(Space space, OptionalLong trials, int parallel, boolean noiseless, long seed) {
        process = new BayesianSampler(
                space,
                new BayesianSampler.Settings(
                        BayesianSampler.Settings.BEST.initialPoints(),
                        BayesianSampler.Settings.BEST.cubeSize(),
                        noiseless),
                seed);
        estimator = new Tpe(space, Tpe.Settings.BEST, seed);
        long words = space.parameters().stream()
                .filter(parameter ->
                        parameter.when() != null || parameter instanceof Choice choice && !choice.ordered())
                .count();
        if (space.size() > DIMENSIONS) {
            border = 0;
            why = "the space has more than " + DIMENSIONS + " parameters";
        } else if (parallel > PARALLEL) {
            border = 0;
            why = "more than " + PARALLEL + " trials run side by side";
        } else if (2 * words > space.size() && trials.orElse(Long.MAX_VALUE) > TRIALS_OF_MANY_WORDS) {
            border = TRIALS_OF_MANY_WORDS;
            why = border + " trials in a space of many words and conditions ended";
        } else {
            border = TRIALS;
            why = border + " trials ended";
        }
    }

    @Override
    public Optional<Suggestion> ask(long number) {
        return ended < border
                ? process.ask(number)
                : estimator
                        .ask(number)
                        .map(found -> new Suggestion(
                                found.point(), found.resource(), found.parent(), found.reason() + ", as " + why));
    }

    @Override
    public void tell(Trial trial) {
        if (!(trial.state() instanceof Trial.State.Running)) {
            ended++;
        }
        if (ended <= border) {
            process.tell(trial);
        }
        estimator.tell(trial);
    }
}
