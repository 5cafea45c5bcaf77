package concertina.search;

import static org.assertj.core.api.Assertions.assertThat;

import concertina.search.Parameter.Real;
import concertina.search.Trial.State;
import java.util.List;
import java.util.OptionalLong;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class AutoTest extends SamplerContract {
    @Override
    protected Sampler sampler(Space space, long seed) {
        return new Auto(space, OptionalLong.of(50), 4, true, seed);
    }

    /** The contract is tested of its parts in all of them. */
    @Override
    protected List<Space> spaces() {
        return List.of(MIXED, CONDITIONAL);
    }

    private static String reasonAfter(Sampler sampler, Space space, int trials) {
        RandomSearch random = new RandomSearch(space, 1);
        for (int number = 0; number < trials; number++) {
            Trial trial = running(number, random.ask(number).orElseThrow());
            double[] losses = {loss(space, trial.point(), 0.3)};
            sampler.tell(trial);
            sampler.tell(ended(trial, new State.Complete(losses, new double[0])));
        }
        return sampler.ask(trials).orElseThrow().reason();
    }

    @Test
    void fewTrialsAreForTheProcessAndManyForTheEstimator() {
        Auto auto = new Auto(CONTINUOUS, OptionalLong.empty(), 1, true, 1);
        assertThat(reasonAfter(auto, CONTINUOUS, 20)).contains("Gaussian process after 20 trials");
        assertThat(reasonAfter(auto, CONTINUOUS, 300)).endsWith("as 300 trials ended");
    }

    @Test
    void theSpaceAndTheSearchDecide() {
        Space wide = new Space(IntStream.range(0, 61)
                .<Parameter>mapToObj(i -> new Real("x" + i, 0, 1))
                .toList());
        assertThat(reasonAfter(new Auto(wide, OptionalLong.of(100), 1, true, 1), wide, 20))
                .endsWith("as the space has more than 60 parameters");
        assertThat(reasonAfter(new Auto(CONTINUOUS, OptionalLong.of(100), 100, true, 1), CONTINUOUS, 20))
                .endsWith("as more than 64 trials run side by side");
        Space words = new Space(List.of(
                CONDITIONAL.parameters().get(0), CONDITIONAL.parameters().get(1)));
        assertThat(reasonAfter(new Auto(words, OptionalLong.empty(), 1, true, 1), words, 150))
                .endsWith("as 150 trials in a space of many words and conditions ended");
        assertThat(reasonAfter(new Auto(words, OptionalLong.of(100), 1, true, 1), words, 20))
                .contains("Gaussian process");
    }
}
