package concertina.search;

import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import java.util.TreeMap;
import java.util.function.Supplier;

/**
 * The points of BOHB (Falkner et al., ICML 2018): one model for each amount of the resource, since results of different amounts do not
 * compare; asked is the one of the greatest amount that has seen enough. One suggestion in three comes from the random
 * sampler, so that no model can lead the search astray for ever.
 */
public final class ModelPerResource implements Sampler {
    private static final double RANDOM_SHARE = 1.0 / 3;

    private static final class Level {
        final Sampler model;
        int results;

        Level(Sampler model) {
            this.model = model;
        }
    }

    private final TreeMap<Double, Level> levels = new TreeMap<>();
    private final Sampler random;
    private final Supplier<Sampler> models;
    private final int enough;
    private final long seed;

    /**
     * @param random proposes while no model has seen enough
     * @param models makes a model of its own for each amount
     * @param enough results after which a model is asked, usually the number of parameters and 2
     */
    public ModelPerResource(Sampler random, Supplier<Sampler> models, int enough, long seed) {
        this.random = random;
        this.models = models;
        this.enough = enough;
        this.seed = seed;
    }

    @Override
    public Optional<Suggestion> ask(long number) {
        if (Randomness.of(seed ^ 0x626f6862L, number).nextDouble() >= RANDOM_SHARE) {
            for (Map.Entry<Double, Level> entry : levels.descendingMap().entrySet()) {
                if (entry.getValue().results >= enough) {
                    Optional<Suggestion> suggestion = entry.getValue().model.ask(number);
                    if (suggestion.isPresent()) {
                        return suggestion.map(found -> new Suggestion(
                                found.point(),
                                found.reason() + ", learnt from " + entry.getValue().results + " results with "
                                        + entry.getKey()));
                    }
                }
            }
        }
        return random.ask(number);
    }

    @Override
    public void tell(Trial trial) {
        random.tell(trial);
        if (trial.resource().isEmpty()) {
            return;
        }
        Level level = levels.computeIfAbsent(trial.resource().getAsDouble(), amount -> new Level(models.get()));
        level.model.tell(
                new Trial(trial.number(), trial.point(), OptionalDouble.empty(), OptionalLong.empty(), trial.state()));
        if (trial.state() instanceof Trial.State.Complete) {
            level.results++;
        }
    }

    @Override
    public boolean exhausted() {
        return random.exhausted();
    }
}
