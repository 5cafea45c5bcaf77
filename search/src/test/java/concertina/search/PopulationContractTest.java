package concertina.search;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class PopulationContractTest extends SamplerContract {
    @Override
    protected Sampler sampler(Space space, long seed) {
        return new Population(space, new RandomSearch(space, seed), seed, 8, 5, 1);
    }

    @Override
    protected boolean waits() {
        return true;
    }

    /** A population of 8 in a space of an ordered number and words, by hand. */
    private static final class Members {
        static final Space SPACE = new Space(List.of(
                new Parameter.Real("x", 0, 1),
                new Parameter.Choice("word", List.of(new Value.Word("a"), new Value.Word("b")))));

        final Map<Long, Trial> trials = new HashMap<>();
        final Population population;

        Members(long seed) {
            population = new Population(SPACE, new RandomSearch(SPACE, seed), seed, 8, 9, 1);
        }

        Suggestion next() {
            return population.ask(trials.size()).orElseThrow();
        }

        Trial begin(Suggestion suggestion) {
            Trial trial = running(trials.size(), suggestion);
            trials.put(trial.number(), trial);
            population.tell(trial);
            return trial;
        }

        void end(Trial trial, Trial.State state) {
            population.tell(ended(trial, state));
        }

        void end(Trial trial, double loss) {
            end(trial, new Trial.State.Complete(new double[] {loss}, new double[0]));
        }

        /** All begin; member i has loss i and waits. */
        Members begun() {
            for (int i = 0; i < 8; i++) {
                begin(next());
            }
            for (long i = 0; i < 8; i++) {
                end(trials.get(i), i);
            }
            return this;
        }
    }

    @Test
    void theWorstQuarterTakesOverFromTheBestAndAllOthersGoOn() {
        Members members = new Members(1).begun();
        for (long member = 0; member < 8; member++) {
            Suggestion next = members.next();
            long parent = next.parent().orElseThrow();
            if (member < 6) {
                assertThat(parent).isEqualTo(member);
                assertThat(next.point()).isEqualTo(members.trials.get(member).point());
            } else {
                assertThat(parent).as("member %d", member).isLessThan(2);
                assertThat(next.reason()).contains("is among the worst quarter");
            }
            members.begin(next);
        }
    }

    @Test
    void exploringMovesNumbersALittleAndLeavesMostWords() {
        int words = 0;
        int moved = 0;
        int far = 0;
        Members members = new Members(1).begun();
        for (int i = 0; i < 7; i++) {
            members.begin(members.next());
        }
        for (int number = 100; number < 1100; number++) {
            Suggestion next = members.population.ask(number).orElseThrow();
            Trial parent = members.trials.get(next.parent().orElseThrow());
            double off = distance(parent, next.point());
            moved += off > 0 && off <= 0.2 ? 1 : 0;
            far += off > 0.2 ? 1 : 0;
            words += next.point().get("word").equals(parent.point().get("word")) ? 0 : 1;
        }
        assertThat(moved).isGreaterThan(700);
        assertThat(far).as("a quarter is drawn anew").isBetween(50, 250);
        assertThat(words).as("half of a quarter").isBetween(75, 175);
    }

    @Test
    void whoTakesOverGetsThePointThatTheStateWasTrainedWith() {
        int seed = 0;
        Members members;
        Trial elsewhere;
        do {
            members = new Members(seed++).begun();
            members.end(members.begin(members.next()), new Trial.State.Failed());
            for (int i = 1; i < 6; i++) {
                members.begin(members.next());
            }
            for (int i = 6; i < 8; i++) {
                members.end(members.begin(members.next()), 100);
            }
            // The best member failed and runs at another point now; what it reached before is still the best.
            elsewhere = members.begin(members.next());
        } while (distance(elsewhere, members.trials.get(0L).point()) < 0.5);
        int near = 0;
        int all = 0;
        for (int number = 100; number < 300; number++) {
            Suggestion next = members.population.ask(number).orElseThrow();
            Trial parent = members.trials.get(next.parent().orElseThrow());
            if (parent.number() == 0) {
                all++;
                near += distance(parent, next.point()) <= 0.2 ? 1 : 0;
            }
        }
        assertThat(near).isGreaterThan(all * 6 / 10).isPositive();
    }

    private static double distance(Trial one, Point other) {
        return Math.abs(Space.number(one.point().values().get("x"))
                - Space.number(other.values().get("x")));
    }

    @Test
    void aMemberIsGivenUpAfterThreeFailuresInARow() {
        Members members = new Members(1).begun();
        for (int i = 0; i < 7; i++) {
            members.begin(members.next());
        }
        for (int failure = 1; failure <= 5; failure++) {
            Suggestion next = members.next();
            assertThat(next.reason()).startsWith(failure == 1 || failure == 3 ? "member 7 is" : "member 7 failed");
            Trial trial = members.begin(next);
            if (failure == 2) {
                members.end(trial, 100);
            } else {
                members.end(trial, new Trial.State.Failed());
            }
        }
        assertThat(members.population.ask(99)).isEmpty();
        assertThat(members.population.exhausted()).as("others still run").isFalse();
    }
}
