package concertina.search;

import static org.assertj.core.api.Assertions.assertThat;

import concertina.search.Trial.State;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

class GivenListTest extends SamplerContract {
    @Override
    protected Sampler sampler(Space space, long seed) {
        SplittableRandom random = new SplittableRandom(seed);
        List<Point> points = Stream.generate(() -> space.decode(RandomSearch.uniform(space, random)))
                .limit(5000)
                .distinct()
                .limit(70)
                .toList();
        return new GivenList(points);
    }

    @Test
    void theListComesInItsOrderAsOftenAsItSays() {
        SplittableRandom random = new SplittableRandom(1);
        Point a = FINITE.decode(RandomSearch.uniform(FINITE, random));
        Point b = FINITE.decode(RandomSearch.uniform(FINITE, random));
        GivenList list = new GivenList(List.of(a, b, a, a));
        list.tell(new Trial(50, a, OptionalDouble.empty(), OptionalLong.empty(), new State.Failed()));
        List<Point> points = new ArrayList<>();
        for (Optional<Suggestion> next = list.ask(0); next.isPresent(); next = list.ask(points.size())) {
            points.add(next.get().point());
            list.tell(running(points.size() - 1, next.get()));
        }
        assertThat(points).containsExactly(b, a, a);
        assertThat(list.exhausted()).isTrue();
        assertThat(new GivenList(List.of()).exhausted()).isTrue();
    }
}
