package concertina.search;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import concertina.search.StandardFunctions.Problem;
import concertina.search.Tpe.Settings;
import concertina.search.Trial.State;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import java.util.function.ToDoubleFunction;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;

class TpeTest extends SamplerContract {
    @Override
    protected Sampler sampler(Space space, long seed) {
        return new Tpe(space, Settings.BEST, seed);
    }

    @Test
    void itBeatsRandomPointsOnEveryStandardFunction() {
        for (Problem problem : StandardFunctions.all()) {
            double tpe = median(seed -> regret(problem, new Tpe(problem.space(), Settings.BEST, seed)));
            double random = median(seed -> regret(problem, new RandomSearch(problem.space(), seed)));
            assertThat(tpe).as(problem.name()).isLessThan(random);
        }
    }

    private static double median(ToDoubleFunction<Long> regret) {
        double[] sorted = LongStream.range(0, 9)
                .mapToDouble(regret::applyAsDouble)
                .sorted()
                .toArray();
        return sorted[sorted.length / 2];
    }

    /** After 60 trials, one at a time. */
    static double regret(Problem problem, Sampler sampler) {
        double best = Double.POSITIVE_INFINITY;
        for (int number = 0; number < 60; number++) {
            Trial trial = running(number, sampler.ask(number).orElseThrow());
            double loss = problem.loss().applyAsDouble(trial.point());
            sampler.tell(trial);
            sampler.tell(ended(trial, new State.Complete(new double[] {loss}, new double[0])));
            best = Math.min(best, loss - problem.minimum());
        }
        return best;
    }

    @Test
    void memoryGrowsWithTheNumberOfWordsAndNotWithItsSquare() {
        List<Value> words = IntStream.range(0, 20_000)
                .<Value>mapToObj(word -> new Value.Word("w" + word))
                .toList();
        Space space = new Space(List.of(new Parameter.Choice("word", words), new Parameter.Real("x", 0, 1)));
        Sampler sampler = sampler(space, 1);
        for (int number = 0; number < 40; number++) {
            Trial trial = running(number, sampler.ask(number).orElseThrow());
            sampler.tell(trial);
            sampler.tell(ended(trial, new State.Complete(new double[] {number == 0 ? 0 : 1}, new double[0])));
        }
        assertThat(sampler.ask(40)).isPresent();
    }

    @Test
    void itKeepsAwayFromWhatFailsOrViolatesConstraints() {
        for (int kind = 0; kind < 2; kind++) {
            int forbidden = 0;
            for (int seed = 0; seed < 5; seed++) {
                forbidden += forbidden(sampler(CONTINUOUS, seed), kind == 0);
            }
            assertThat(forbidden)
                    .as("of 250 of which random points were 170, kind %d", kind)
                    .isLessThan(160);
        }
    }

    /** How many of trials 100 to 149 are beyond a border at which the best points lie. */
    private static int forbidden(Sampler sampler, boolean constraint) {
        int forbidden = 0;
        for (int number = 0; number < 150; number++) {
            Trial trial = running(number, sampler.ask(number).orElseThrow());
            double[] u = CONTINUOUS.encode(trial.point());
            boolean outside = u[0] + u[2] > 0.8;
            forbidden += number >= 100 && outside ? 1 : 0;
            State.Complete complete = new State.Complete(
                    new double[] {1 - u[0] / 2 - u[2]}, constraint ? new double[] {u[0] + u[2] - 0.8} : new double[0]);
            sampler.tell(trial);
            sampler.tell(ended(trial, !constraint && outside ? new State.Failed() : complete));
        }
        return forbidden;
    }

    @Test
    void twoObjectivesLeadToTheParetoFront() {
        Sampler sampler = sampler(CONTINUOUS, 7);
        double late = 0;
        double spread = 0;
        for (int number = 0; number < 120; number++) {
            Trial trial = running(number, sampler.ask(number).orElseThrow());
            double[] u = CONTINUOUS.encode(trial.point());
            double off = Math.abs(u[1] - 0.5) + Math.abs(u[2] - 0.5);
            sampler.tell(trial);
            sampler.tell(ended(trial, new State.Complete(new double[] {u[0] + off, 1 - u[0] + off}, new double[0])));
            late += number >= 80 ? off / 40 : 0;
            spread = number >= 80 ? Math.max(spread, Math.abs(u[0] - 0.5)) : 0;
        }
        assertThat(late).isLessThan(0.25);
        assertThat(spread).isGreaterThan(0.25);
    }

    @Test
    void whatRunsNearTheBestSendsOthersElsewhere() {
        double alone = 0;
        double beside = 0;
        for (int crowd = 0; crowd <= 40; crowd += 40) {
            Sampler sampler = sampler(CONTINUOUS, 3);
            for (int number = 0; number < 40; number++) {
                Point point = CONTINUOUS.decode(
                        Randomness.of(5, number).doubles(CONTINUOUS.size()).toArray());
                sampler.tell(new Trial(
                        number,
                        point,
                        OptionalDouble.empty(),
                        OptionalLong.empty(),
                        complete(loss(CONTINUOUS, point, 0.5))));
            }
            for (int number = 100; number < 100 + crowd; number++) {
                double[] near = Randomness.of(6, number).doubles(3, 0.4, 0.6).toArray();
                sampler.tell(running(number, new Suggestion(CONTINUOUS.decode(near), "")));
            }
            for (int number = 200; number < 300; number++) {
                double off = loss(CONTINUOUS, sampler.ask(number).orElseThrow().point(), 0.5) / 100;
                alone += crowd == 0 ? off : 0;
                beside += crowd == 0 ? 0 : off;
            }
        }
        assertThat(beside).isGreaterThan(1.5 * alone);
    }

    @Test
    void stoppedTrialsTeach() {
        Sampler sampler = sampler(CONTINUOUS, 9);
        double late = 0;
        for (int number = 0; number < 100; number++) {
            Trial trial = running(number, sampler.ask(number).orElseThrow());
            double loss = loss(CONTINUOUS, trial.point(), 0.4);
            sampler.tell(trial);
            sampler.tell(ended(trial, new State.Stopped(3, loss)));
            late += number >= 70 ? loss / 30 : 0;
        }
        assertThat(late).as("random points: 0.28").isLessThan(0.15);
    }

    @Test
    void historyIsBoundedButTheBestStay() {
        Observations observations = new Observations(CONTINUOUS, 1, 100, 25);
        RandomSearch random = new RandomSearch(CONTINUOUS, 1);
        double[] losses = new double[5000];
        for (int number = 0; number < losses.length; number++) {
            Point point = random.ask(number).orElseThrow().point();
            losses[number] = loss(CONTINUOUS, point, 0.3);
            observations.tell(new Trial(
                    number,
                    point,
                    OptionalDouble.empty(),
                    OptionalLong.empty(),
                    new State.Complete(new double[] {losses[number]}, new double[0])));
        }
        Arrays.sort(losses);
        assertThat(observations.useful()).isEqualTo(5000);
        assertThat(observations.entries()).hasSize(100);
        assertThat(observations.entries().stream().limit(25).map(Observations.Entry::key))
                .containsExactlyElementsOf(
                        Arrays.stream(losses).limit(25).boxed().toList());
        double middle = observations.entries().get(62).key();
        assertThat(middle).isBetween(losses[1500], losses[3500]);
    }

    private static Trial trial(long number, State state) {
        Point point = CONTINUOUS.decode(new double[CONTINUOUS.size()]);
        return new Trial(number, point, OptionalDouble.empty(), OptionalLong.empty(), state);
    }

    private static State complete(double loss, double... violations) {
        return new State.Complete(new double[] {loss}, violations);
    }

    private static List<Long> ranked(State... states) {
        Observations observations = new Observations(CONTINUOUS, 1, 100, 25);
        for (int number = 0; number < states.length; number++) {
            observations.tell(trial(number, states[number]));
        }
        return observations.entries().stream().map(Observations.Entry::number).toList();
    }

    @Test
    void historyRanksFeasibleBeforeStoppedBeforeInfeasibleBeforeFailed() {
        assertThat(ranked(
                        new State.Failed(),
                        complete(0, 2),
                        complete(9, 1, -5),
                        new State.Stopped(1, 0),
                        new State.Stopped(10, 5),
                        complete(3, 0),
                        complete(1),
                        new State.Stopped(20, Double.NaN),
                        complete(Double.NaN),
                        complete(0, Double.NaN)))
                .containsExactly(6L, 5L, 4L, 3L, 2L, 1L, 9L, 0L, 7L, 8L);
    }

    @Test
    void historyRanksSeveralObjectivesByFronts() {
        double[][] losses = {{0, 10}, {5, 5}, {6, 6}, {10, 0}, {1, 9}};
        assertThat(ranked(Arrays.stream(losses)
                        .map(each -> new State.Complete(each, new double[0]))
                        .toArray(State[]::new)))
                .containsExactly(0L, 3L, 1L, 4L, 2L);
    }

    @Test
    void settingsOutOfRangeAreRefused() {
        assertThatThrownBy(() -> new Settings(0, 24, 0.1, 25)).hasMessage("WarmUp is '0', accepted: 1 or more");
        assertThatThrownBy(() -> new Settings(6, 0, 0.1, 25)).hasMessageContaining("EICandidate is '0'");
        assertThatThrownBy(() -> new Settings(6, 24, Double.NaN, 25)).hasMessageContaining("GoodRatio is 'NaN'");
        assertThatThrownBy(() -> new Settings(6, 24, 0.1, 1000)).hasMessageContaining("GoodMax is '1000'");
    }
}
