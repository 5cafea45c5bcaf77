package concertina.search;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;

class TriedTest {
    private static final Space SPACE = new Space(List.of(new Parameter.Whole("n", 0, 3)));
    private final Tried tried = new Tried(SPACE);

    private static Point point(long n) {
        return new Point(Map.of("n", new Value.Whole(n)));
    }

    private void tell(long number, long n, Trial.State state) {
        tried.tell(new Trial(number, point(n), OptionalDouble.empty(), OptionalLong.empty(), state));
    }

    @Test
    void whereTheDrawWasTriedAnUntriedPointStandsIn() {
        tell(0, 0, new Trial.State.Failed());
        tell(1, 1, new Trial.State.Running());
        assertThat(tried.fresh(attempt -> point(1))).isEqualTo(point(2));
        tell(2, 2, new Trial.State.Failed());
        tell(3, 3, new Trial.State.Failed());
        assertThat(tried.fresh(attempt -> point(3))).as("all were tried").isEqualTo(point(3));
    }

    @Test
    void whereAllWereTriedOneThatDoesNotRunIsTaken() {
        for (int n = 0; n < 4; n++) {
            tell(n, n, new Trial.State.Failed());
        }
        tell(10, 0, new Trial.State.Running());
        tell(11, 0, new Trial.State.Running());
        tell(12, 1, new Trial.State.Running());
        assertThat(tried.fresh(attempt -> point(0))).isEqualTo(point(2));
        tell(10, 0, new Trial.State.Failed());
        assertThat(tried.fresh(attempt -> point(0))).as("one of two still runs").isEqualTo(point(2));
        tell(11, 0, new Trial.State.Failed());
        assertThat(tried.fresh(attempt -> point(0))).isEqualTo(point(0));
    }
}
