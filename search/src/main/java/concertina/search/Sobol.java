package concertina.search;

import java.util.Optional;
import java.util.random.RandomGenerator;

/**
 * Points of a scrambled {@link SobolSequence}, which cover the space evenly. Parameters beyond the sequence's dimensions get
 * pseudo-random coordinates; where a point was tried already, a pseudo-random one stands in.
 */
public final class Sobol implements Sampler {
    private final Space space;
    private final long seed;
    private final SobolSequence sequence;
    private final Tried tried;

    public Sobol(Space space, long seed) {
        this.space = space;
        this.seed = seed;
        this.sequence = sequence(space, seed);
        this.tried = new Tried(space);
    }

    static SobolSequence sequence(Space space, long seed) {
        return new SobolSequence(Math.min(space.size(), SobolSequence.DIMENSIONS), Randomness.of(seed, -1));
    }

    @Override
    public Optional<Suggestion> ask(long number) {
        RandomGenerator random = Randomness.of(seed, number);
        Point point = tried.fresh(attempt -> space.decode(
                attempt == 0 ? coordinates(space, sequence, number, random) : RandomSearch.uniform(space, random)));
        return Optional.of(new Suggestion(point, "next point of a Sobol sequence"));
    }

    /** Point {@code number} of the sequence, filled up with random numbers. */
    static double[] coordinates(Space space, SobolSequence sequence, long number, RandomGenerator random) {
        double[] even = sequence.point(number);
        double[] coordinates = RandomSearch.uniform(space, random);
        System.arraycopy(even, 0, coordinates, 0, even.length);
        return coordinates;
    }

    @Override
    public void tell(Trial trial) {
        tried.tell(trial);
    }
}
