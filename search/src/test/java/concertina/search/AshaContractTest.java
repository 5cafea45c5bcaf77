package concertina.search;

import java.util.OptionalDouble;

class AshaContractTest extends SamplerContract {
    @Override
    protected Sampler sampler(Space space, long seed) {
        return new Asha(new RandomSearch(space, seed), 1, 9, 3);
    }

    @Override
    protected OptionalDouble resource() {
        return OptionalDouble.of(1);
    }
}
