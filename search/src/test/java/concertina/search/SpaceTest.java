package concertina.search;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import concertina.model.ConcertinaException;
import concertina.search.Parameter.Choice;
import concertina.search.Parameter.Condition;
import concertina.search.Parameter.Real;
import concertina.search.Parameter.Scale;
import concertina.search.Parameter.Whole;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class SpaceTest {
    private static final Choice OPTIMIZER =
            new Choice("optimizer", List.of(new Value.Word("sgd"), new Value.Word("adam")));
    private static final Space SPACE = new Space(List.of(
            new Real("rate", 1e-5, 0.1, Scale.LOG),
            new Whole("layers", 1, 7, Scale.LINEAR, 2, null),
            new Whole("units", 8, 512, Scale.LOG, 1, null),
            OPTIMIZER,
            new Real("momentum", 0, 1, Scale.LINEAR, 0.1, new Condition("optimizer", Set.of(new Value.Word("sgd"))))));

    @Test
    void decodingInvertsEncoding() {
        long seed = System.nanoTime();
        SplittableRandom random = new SplittableRandom(seed);
        for (int i = 0; i < 10_000; i++) {
            Point point = SPACE.decode(random.doubles(SPACE.size()).toArray());
            SPACE.check(point);
            Point again = SPACE.decode(SPACE.encode(point));
            for (Map.Entry<String, Value> entry : point.values().entrySet()) {
                Value back = again.get(entry.getKey());
                if (entry.getKey().equals("rate") && back != null) {
                    assertThat(Space.number(back) / Space.number(entry.getValue()))
                            .as("seed %d", seed)
                            .isBetween(1 - 1e-12, 1 + 1e-12);
                } else {
                    assertThat(back).as("seed %d, %s", seed, entry.getKey()).isEqualTo(entry.getValue());
                }
            }
        }
    }

    @Test
    void everyCellHasAnEqualShare() {
        int[] counts = new int[4];
        for (int i = 0; i < 4000; i++) {
            Value value = Space.decode(SPACE.parameters().get(1), (i + 0.5) / 4000);
            counts[((int) Space.number(value) - 1) / 2]++;
        }
        assertThat(counts).containsExactly(1000, 1000, 1000, 1000);
    }

    @Test
    void bordersAreReached() {
        Point low = SPACE.decode(new double[SPACE.size()]);
        Point high = SPACE.decode(new double[] {1, 1, 1, 0, 1});
        assertThat(low.get("rate")).isEqualTo(new Value.Real(1e-5));
        assertThat(low.get("units")).isEqualTo(new Value.Whole(8));
        assertThat(high.get("rate")).isEqualTo(new Value.Real(0.1));
        assertThat(high.get("units")).isEqualTo(new Value.Whole(512));
        assertThat(high.get("momentum")).isEqualTo(new Value.Real(1));
    }

    @Test
    void roundingNeitherLosesTheLastStepNorLeavesTheRange() {
        Real dropout = new Real("dropout", 0, 0.7, Scale.LINEAR, 0.1, null);
        assertThat(0.7 / 0.1).isLessThan(7);
        assertThat(Space.cells(dropout)).isEqualTo(8);
        assertThat(Space.decode(dropout, 1)).isEqualTo(new Value.Real(0.7));
        double below = Math.nextDown(0.3);
        assertThat(Space.decode(new Real("x", 0, below, Scale.LINEAR, 0.1, null), 1))
                .isEqualTo(new Value.Real(below));
    }

    @Test
    void pointsThatNobodyCanProposeAreRefused() {
        Map<String, Value> values =
                new HashMap<>(SPACE.decode(new double[] {0, 0, 0, 1, 0.5}).values());
        SPACE.check(new Point(values));
        values.put("layers", new Value.Whole(2));
        assertThatThrownBy(() -> SPACE.check(new Point(values)))
                .hasMessage("layers is '2', accepted: a whole number from 1 to 7 in steps of 2");
        values.put("layers", new Value.Whole(3));
        values.put("momentum", new Value.Real(0.5));
        assertThatThrownBy(() -> SPACE.check(new Point(values)))
                .hasMessage("momentum is '0.5', accepted: no value where its condition is not met");
        values.remove("momentum");
        values.put("depth", new Value.Whole(1));
        assertThatThrownBy(() -> SPACE.check(new Point(values))).hasMessageContaining("'depth'");
    }

    @Test
    void aConditionRemovesTheParameter() {
        Point adam = SPACE.decode(new double[] {0, 0, 0, 1, 0.5});
        assertThat(adam.get("momentum")).isNull();
        assertThat(SPACE.encode(adam)[4]).isNaN();
    }

    @Test
    void whatCannotBeIsRefusedWithTheReason() {
        assertThatThrownBy(() -> new Real("rate", 2, 1))
                .isInstanceOf(ConcertinaException.class)
                .hasMessage("range of rate is '2.0..1.0', accepted: a minimum that is not above the maximum");
        assertThatThrownBy(() -> new Real("rate", 0, 1, Scale.LOG))
                .hasMessage("minimum of rate is '0.0', accepted: more than 0 on a logarithmic scale");
        assertThatThrownBy(() -> new Real("rate", -1e308, 1e308))
                .hasMessage(
                        "range of rate is '-1.0E308..1.0E308', accepted: bounds whose difference a number can hold");
        assertThatThrownBy(() -> new Real("rate", 0, 1, Scale.LINEAR, 5e-324, null))
                .hasMessage("step of rate is '4.9E-324', accepted: one that makes at most 2^53 values");
        assertThatThrownBy(() -> new Whole("n", Long.MIN_VALUE, Long.MAX_VALUE))
                .hasMessageContaining("accepted: at most 4611686018427387904 whole numbers");
        assertThatThrownBy(() -> new Choice("kind", List.of()))
                .hasMessage("values of kind is '[]', accepted: at least one value");
        assertThatThrownBy(() -> new Space(List.of(new Real("a", 0, 1), new Real("a", 0, 1))))
                .hasMessageContaining("names that differ");
        assertThatThrownBy(() -> new Space(List.of(
                        new Real("a", 0, 1, Scale.LINEAR, 0, new Condition("optimizer", Set.of(new Value.Word("sgd")))),
                        OPTIMIZER)))
                .hasMessageContaining("listed before");
        assertThatThrownBy(() -> SPACE.check(new Point(Map.of("rate", new Value.Real(0.01)))))
                .hasMessageContaining("layers is ''");
    }
}
