package concertina.schedule;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class UsefulSizesTest {
    @Test
    void sizesThatLowerTheRoundsAreUseful() {
        assertThat(UsefulSizes.all(1)).containsExactly(1);
        assertThat(UsefulSizes.all(4)).containsExactly(1, 2, 4);
        assertThat(UsefulSizes.all(8)).containsExactly(1, 2, 3, 4, 8);
        assertThat(UsefulSizes.all(12)).containsExactly(1, 2, 3, 4, 6, 12);
    }

    @Test
    void theFormulasAgreeWithTheDefinitionForAllSizesUpTo200() {
        for (int logical = 1; logical <= 200; logical++) {
            List<Integer> useful = new ArrayList<>();
            for (int workers = 1; workers <= logical; workers++) {
                if (workers == 1 || Math.ceilDiv(logical, workers) < Math.ceilDiv(logical, workers - 1)) {
                    useful.add(workers);
                }
            }
            assertThat(UsefulSizes.all(logical).boxed().toList()).isEqualTo(useful);
            for (int workers = 0; workers <= logical + 2; workers++) {
                int given = workers;
                assertThat(UsefulSizes.atMost(logical, workers))
                        .isEqualTo(useful.stream().filter(size -> size <= given).reduce(0, Math::max));
                assertThat(UsefulSizes.next(logical, workers))
                        .isEqualTo(useful.stream()
                                .filter(size -> size > given)
                                .findFirst()
                                .orElse(workers));
                assertThat(UsefulSizes.useful(logical, workers)).isEqualTo(useful.contains(workers));
            }
        }
    }

    @Test
    void speedFollowsTheRoundsOfAStep() {
        assertThat(UsefulSizes.speedup(8, 1)).isEqualTo(1.0);
        assertThat(UsefulSizes.speedup(8, 3)).isEqualTo(8.0 / 3);
        assertThat(UsefulSizes.speedup(8, 5)).isEqualTo(UsefulSizes.speedup(8, 4));
    }
}
