package concertina.trials;

import concertina.search.Point;
import concertina.search.Sampler;
import concertina.search.Space;
import concertina.search.Suggestion;
import concertina.search.Trial;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;

/** Proposes random points that depend on the number of trials told to have ended, so that a wrong replay shows. */
final class TestingSampler implements Sampler {
    private final Space space;
    private final long limit;
    final List<Trial> told = new ArrayList<>();
    private final Runnable beforeAsking;
    private long asked;

    TestingSampler(SearchSpec spec, long limit, Runnable beforeAsking) {
        this.beforeAsking = beforeAsking;
        this.space = spec.space();
        this.limit = limit;
    }

    @Override
    public synchronized Optional<Suggestion> ask(long number) {
        beforeAsking.run();
        if (asked >= limit) {
            return Optional.empty();
        }
        SplittableRandom random = new SplittableRandom(number);
        double[] coordinates = new double[space.size()];
        for (int i = 0; i < coordinates.length; i++) {
            coordinates[i] = random.nextDouble();
        }
        Point point = space.decode(coordinates);
        return Optional.of(new Suggestion(point, "at random"));
    }

    @Override
    public synchronized void tell(Trial trial) {
        told.add(trial);
        if (trial.state() instanceof Trial.State.Running) {
            asked++;
        }
    }

    @Override
    public boolean exhausted() {
        return asked >= limit;
    }
}
