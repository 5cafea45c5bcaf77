package concertina.agent;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class ProgressThinningTest {
    private static final long MILLISECOND = 1_000_000;
    private final ProgressThinning thinning =
            new ProgressThinning(Duration.ofMillis(200), Duration.ofSeconds(10), Duration.ofMillis(500));

    private static Map<String, Object> progress(int step) {
        return Map.of("type", "progress", "step", step);
    }

    private static final Map<String, Object> DONE = Map.of("type", "done");

    @Test
    void theFirstProgressGoesAtOnceAndOfThoseSoonAfterOnlyTheLast() {
        assertThat(thinning.offer(progress(1), 0)).containsExactly(progress(1));
        assertThat(thinning.offer(progress(2), MILLISECOND)).isEmpty();
        assertThat(thinning.offer(progress(3), 2 * MILLISECOND)).isEmpty();
        assertThat(thinning.untilDue(50 * MILLISECOND)).isEqualTo(Duration.ofMillis(150));
        assertThat(thinning.due(199 * MILLISECOND)).isEmpty();
        assertThat(thinning.due(200 * MILLISECOND)).containsExactly(progress(3));
        assertThat(thinning.untilDue(200 * MILLISECOND)).isNull();
    }

    @Test
    void theIntervalBecomesLongerAfterAWhile() {
        thinning.offer(progress(1), 0);
        assertThat(thinning.offer(progress(2), 10_000 * MILLISECOND)).containsExactly(progress(2));
        assertThat(thinning.offer(progress(3), 10_200 * MILLISECOND)).isEmpty();
        assertThat(thinning.untilDue(10_200 * MILLISECOND)).isEqualTo(Duration.ofMillis(300));
        assertThat(thinning.due(10_500 * MILLISECOND)).containsExactly(progress(3));
    }

    @Test
    void progressThatWaitsGoesBeforeWhateverIsSaidNext() {
        thinning.offer(progress(1), 0);
        thinning.offer(progress(2), MILLISECOND);
        assertThat(thinning.offer(DONE, 2 * MILLISECOND)).isEqualTo(List.of(progress(2), DONE));
    }

    @Test
    void progressThatWaitsAtTheEndIsNotLost() {
        thinning.offer(progress(1), 0);
        thinning.offer(progress(2), MILLISECOND);
        assertThat(thinning.flush(2 * MILLISECOND)).containsExactly(progress(2));
        assertThat(thinning.flush(2 * MILLISECOND)).isEmpty();
    }

    @Test
    void aClockThatBeginsAnywhereMakesNoDifference() {
        long begin = Long.MAX_VALUE - 100 * MILLISECOND;
        assertThat(thinning.offer(progress(1), begin)).hasSize(1);
        assertThat(thinning.offer(progress(2), begin + 150 * MILLISECOND)).isEmpty();
        assertThat(thinning.offer(progress(3), begin + 200 * MILLISECOND)).containsExactly(progress(3));
    }
}
