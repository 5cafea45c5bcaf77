package concertina.search;

import java.util.Optional;
import java.util.random.RandomGenerator;

/** Points drawn evenly from the cube, each from the seed and its number alone; a finite space without repetition. */
public final class RandomSearch implements Sampler {
    private final Space space;
    private final long seed;
    private final Tried tried;

    public RandomSearch(Space space, long seed) {
        this.space = space;
        this.seed = seed;
        this.tried = new Tried(space);
    }

    @Override
    public Optional<Suggestion> ask(long number) {
        RandomGenerator random = Randomness.of(seed, number);
        Point point = tried.fresh(attempt -> space.decode(uniform(space, random)));
        return Optional.of(new Suggestion(point, "drawn at random"));
    }

    static double[] uniform(Space space, RandomGenerator random) {
        double[] coordinates = new double[space.size()];
        for (int i = 0; i < coordinates.length; i++) {
            coordinates[i] = random.nextDouble();
        }
        return coordinates;
    }

    @Override
    public void tell(Trial trial) {
        tried.tell(trial);
    }
}
