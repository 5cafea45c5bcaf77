package concertina.search;

class PopulationContractTest extends SamplerContract {
    @Override
    protected Sampler sampler(Space space, long seed) {
        return new Population(space, new RandomSearch(space, seed), seed, 8, 5, 1);
    }

    @Override
    protected boolean waits() {
        return true;
    }
}
