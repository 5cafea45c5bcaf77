package concertina.search;

import java.util.OptionalDouble;

class HyperbandContractTest extends SamplerContract {
    @Override
    protected Sampler sampler(Space space, long seed) {
        return new Hyperband(new RandomSearch(space, seed), 9, 3);
    }

    @Override
    protected OptionalDouble resource() {
        return OptionalDouble.of(1);
    }
}
