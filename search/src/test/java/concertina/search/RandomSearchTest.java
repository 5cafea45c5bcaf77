package concertina.search;

class RandomSearchTest extends SamplerContract {
    @Override
    protected Sampler sampler(Space space, long seed) {
        return new RandomSearch(space, seed);
    }
}
