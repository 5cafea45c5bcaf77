package concertina.search;

import java.util.OptionalDouble;

class ModelPerResourceContractTest extends SamplerContract {
    @Override
    protected Sampler sampler(Space space, long seed) {
        ModelPerResource points = new ModelPerResource(
                new RandomSearch(space, seed), () -> new Tpe(space, Tpe.Settings.BEST, seed), space.size() + 2, seed);
        return new Hyperband(points, 9, 3);
    }

    @Override
    protected OptionalDouble resource() {
        return OptionalDouble.of(1);
    }
}
