package concertina.search;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import concertina.search.BayesianSampler.Settings;
import concertina.search.StandardFunctions.Problem;
import concertina.search.Trial.State;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.function.ToDoubleFunction;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;

class BayesianSamplerTest extends SamplerContract {
    @Override
    protected Sampler sampler(Space space, long seed) {
        return new BayesianSampler(space, Settings.BEST, seed);
    }

    @Test
    void itComesCloserToTheMinimumThanRandomPointsByFar() {
        List<Problem> problems =
                List.of(StandardFunctions.BRANIN, StandardFunctions.HARTMANN_6, StandardFunctions.ROSENBROCK_5);
        for (Problem problem : problems) {
            double bayesian = median(seed -> TpeTest.regret(problem, sampler(problem.space(), seed)));
            double random = median(seed -> TpeTest.regret(problem, new RandomSearch(problem.space(), seed)));
            assertThat(bayesian).as(problem.name()).isLessThan(random / 8);
        }
    }

    private static double median(ToDoubleFunction<Long> regret) {
        double[] sorted = LongStream.range(0, 5)
                .mapToDouble(regret::applyAsDouble)
                .sorted()
                .toArray();
        return sorted[2];
    }

    @Test
    void twentyDimensionsAreNotTooMany() {
        Problem problem = StandardFunctions.ROSENBROCK_20;
        double random = TpeTest.regret(problem, new RandomSearch(problem.space(), 1));
        assertThat(TpeTest.regret(problem, sampler(problem.space(), 1))).isLessThan(random / 50);
    }

    /** The loss of the last trial of a search in which what is forbidden fails, or violates a constraint. */
    private double last(boolean constraint) {
        Sampler sampler = sampler(CONTINUOUS, 4);
        double best = Double.POSITIVE_INFINITY;
        for (int number = 0; number < 40; number++) {
            Trial trial = running(number, sampler.ask(number).orElseThrow());
            double[] u = CONTINUOUS.encode(trial.point());
            boolean outside = u[0] + u[2] > 0.8;
            double loss = 1 - u[0] / 2 - u[2];
            best = outside ? best : Math.min(best, loss);
            State.Complete complete = new State.Complete(
                    new double[] {loss}, constraint ? new double[] {u[0] + u[2] - 0.8} : new double[0]);
            sampler.tell(trial);
            sampler.tell(ended(trial, !constraint && outside ? new State.Failed() : complete));
        }
        return best;
    }

    @Test
    void aConstraintIsLearned() {
        assertThat(last(true)).as("the least loss within the constraint is 0.2").isLessThan(0.201);
    }

    @Test
    void whatFailsIsAvoided() {
        assertThat(last(false)).as("the least loss that does not fail is 0.2").isLessThan(0.35);
    }

    @Test
    void twoObjectivesLeadToTheParetoFront() {
        Sampler sampler = sampler(CONTINUOUS, 7);
        double late = 0;
        double spread = 0;
        for (int number = 0; number < 60; number++) {
            Trial trial = running(number, sampler.ask(number).orElseThrow());
            double[] u = CONTINUOUS.encode(trial.point());
            double off = Math.abs(u[1] - 0.5) + Math.abs(u[2] - 0.5);
            sampler.tell(trial);
            sampler.tell(ended(trial, new State.Complete(new double[] {u[0] + off, 1 - u[0] + off}, new double[0])));
            late += number >= 40 ? off / 20 : 0;
            spread = number >= 40 ? Math.max(spread, Math.abs(u[0] - 0.5)) : 0;
        }
        assertThat(late).isLessThan(0.25);
        assertThat(spread).isGreaterThan(0.25);
    }

    @Test
    void aBatchSpreadsOverTheSpace() {
        Space space = StandardFunctions.BRANIN.space();
        Sampler sampler = sampler(space, 5);
        for (int number = 0; number < 12; number++) {
            Trial trial = running(number, sampler.ask(number).orElseThrow());
            double loss = StandardFunctions.BRANIN.loss().applyAsDouble(trial.point());
            sampler.tell(trial);
            sampler.tell(ended(trial, new State.Complete(new double[] {loss}, new double[0])));
        }
        double[][] batch = new double[8][];
        for (int i = 0; i < batch.length; i++) {
            Trial trial = running(12 + i, sampler.ask(12 + i).orElseThrow());
            batch[i] = space.encode(trial.point());
            sampler.tell(trial);
        }
        double widest = 0;
        for (int i = 0; i < batch.length; i++) {
            for (int j = 0; j < i; j++) {
                double distance = Math.hypot(batch[i][0] - batch[j][0], batch[i][1] - batch[j][1]);
                assertThat(distance).isGreaterThan(1e-5);
                widest = Math.max(widest, distance);
            }
        }
        assertThat(widest).isGreaterThan(0.1);
    }

    @Test
    void aFiniteSpaceIsTriedWithoutRepetition() {
        Sampler sampler = sampler(FINITE, 3);
        Set<Point> points = new HashSet<>();
        for (int number = 0; number < FINITE_POINTS; number++) {
            Trial trial = running(number, sampler.ask(number).orElseThrow());
            points.add(trial.point());
            sampler.tell(trial);
            sampler.tell(ended(
                    trial, new State.Complete(new double[] {loss(FINITE, trial.point(), 0.4)}, new double[0])));
        }
        assertThat(points).hasSize(FINITE_POINTS);
    }

    @Test
    void whatIsExpectedFallsAsTheSearchConverges() {
        Space space = StandardFunctions.BRANIN.space();
        BayesianSampler sampler = new BayesianSampler(space, Settings.BEST, 2);
        double[] expected = new double[40];
        for (int number = 0; number < expected.length; number++) {
            Trial trial = running(number, sampler.ask(number).orElseThrow());
            expected[number] = sampler.expectedImprovement().orElse(Double.NaN);
            double loss = StandardFunctions.BRANIN.loss().applyAsDouble(trial.point());
            sampler.tell(trial);
            sampler.tell(ended(trial, new State.Complete(new double[] {loss}, new double[0])));
        }
        assertThat(expected[0]).isNaN();
        double early = Arrays.stream(expected, 5, 15).average().orElseThrow();
        double late = Arrays.stream(expected, 30, 40).average().orElseThrow();
        assertThat(late).isPositive().isLessThan(early / 10);
    }

    @Test
    void theMiddleComesFirstAndTheModelAfterFivePoints() {
        Sampler sampler = sampler(CONTINUOUS, 1);
        assertThat(sampler.ask(0).orElseThrow().point()).isEqualTo(CONTINUOUS.decode(new double[] {0.5, 0.5, 0.5}));
        for (int number = 0; number < 5; number++) {
            Suggestion suggestion = sampler.ask(number).orElseThrow();
            assertThat(suggestion.reason()).isEqualTo("covers the space before there is a model");
            Trial trial = running(number, suggestion);
            sampler.tell(trial);
            sampler.tell(ended(trial, new State.Complete(new double[] {number}, new double[0])));
        }
        assertThat(sampler.ask(5).orElseThrow().reason()).contains("Gaussian process after 5 trials");
    }

    @Test
    void theModelTakesFailuresForTheWorstAndWhatWasStoppedForNoBetterThanTheMedian() {
        Space space = new Space(List.of(new Parameter.Real("x", 0, 1)));
        Results results = new Results(new Features(space));
        State[] states = {
            new State.Complete(new double[] {0}, new double[0]),
            new State.Complete(new double[] {1}, new double[0]),
            new State.Complete(new double[] {2}, new double[0]),
            new State.Complete(new double[] {3}, new double[0]),
            new State.Stopped(1, -5),
            new State.Failed()
        };
        for (int i = 0; i < states.length; i++) {
            results.tell(ended(running(i, new Suggestion(space.decode(new double[] {i / 5.0}), "")), states[i]));
        }
        Acquisition.Objective objective = Surrogate.fit(
                        new boolean[1], true, results.all(), new double[] {1}, 0, Randomness.of(1, 1))
                .acquisition(results.all(), List.of())
                .objectives()
                .getFirst();
        double[] means = IntStream.range(0, 6)
                .mapToDouble(i -> objective.process().mean(new double[] {i / 5.0}))
                .toArray();
        assertThat(means[5]).isCloseTo(means[3], within(0.01));
        assertThat(means[4]).isCloseTo(means[1], within(0.01));
        assertThat(objective.best()).isCloseTo(means[0], within(0.01));
    }

    @Test
    void historyIsBoundedAndKeepsTheBest() {
        Results results = new Results(new Features(CONTINUOUS));
        RandomSearch random = new RandomSearch(CONTINUOUS, 1);
        double best = Double.POSITIVE_INFINITY;
        for (int number = 0; number < 3000; number++) {
            Trial trial = running(number, random.ask(number).orElseThrow());
            double loss = loss(CONTINUOUS, trial.point(), 0.3);
            best = Math.min(best, loss);
            results.tell(ended(
                    trial,
                    number % 10 == 0 ? new State.Failed() : new State.Complete(new double[] {loss}, new double[0])));
            assertThat(results.all()).hasSizeLessThanOrEqualTo(400);
        }
        assertThat(results.ended()).isEqualTo(3000);
        assertThat(results.useful()).isEqualTo(2700);
        assertThat(results.all().stream().filter(each -> !each.failed()).mapToDouble(each -> each.losses()[0]))
                .contains(best);
        assertThat(results.all().stream().map(Results.Result::order))
                .as("the latest")
                .containsAll(LongStream.range(2870, 3000).boxed().toList());
    }

    @Test
    void whatWasStoppedOrMissesAConstraintIsNoValueToUndercut() {
        List<State> states = List.of(
                new State.Complete(new double[] {1}, new double[] {0}),
                new State.Complete(new double[] {1}, new double[] {1e-9}),
                new State.Stopped(3, 0),
                new State.Stopped(3, Double.POSITIVE_INFINITY),
                new State.Complete(new double[] {1}, new double[] {Double.NaN}));
        Results results = new Results(new Features(CONTINUOUS));
        for (State state : states) {
            results.tell(ended(running(0, new Suggestion(CONTINUOUS.decode(new double[3]), "")), state));
        }
        assertThat(results.all().stream().map(Results.Result::feasible))
                .containsExactly(true, false, false, false, false);
        assertThat(results.all().stream().map(Results.Result::failed)).containsExactly(false, false, false, true, true);
    }

    @Test
    void whatWasForgottenDoesNotDependOnWhatWasAsked() {
        Sampler asked = sampler(CONTINUOUS, 1);
        Sampler afresh = sampler(CONTINUOUS, 1);
        for (int number = 0; number < 405; number++) {
            Trial trial = running(
                    number,
                    new Suggestion(
                            CONTINUOUS.decode(
                                    Randomness.of(3, number).doubles(3).toArray()),
                            ""));
            State state = new State.Complete(new double[] {loss(CONTINUOUS, trial.point(), 0.3)}, new double[0]);
            asked.tell(ended(trial, state));
            afresh.tell(ended(trial, state));
            if (number == 399) {
                asked.ask(1000);
            }
        }
        assertThat(asked.ask(1001)).isEqualTo(afresh.ask(1001));
    }

    @Test
    void historyKeepsTheWholeFront() {
        Results results = new Results(new Features(CONTINUOUS));
        RandomSearch random = new RandomSearch(CONTINUOUS, 1);
        List<Trial> trials = new ArrayList<>();
        for (int number = 0; number < 3000; number++) {
            Trial trial = running(number, random.ask(number).orElseThrow());
            double[] u = CONTINUOUS.encode(trial.point());
            trials.add(ended(trial, new State.Complete(new double[] {u[0] + u[2], 1 - u[0] + u[2]}, new double[0])));
            results.tell(trials.getLast());
        }
        List<Long> front = Analysis.paretoFront(trials);
        assertThat(front).hasSizeGreaterThan(20);
        assertThat(results.all().stream().map(Results.Result::order)).containsAll(front);
    }

    @Test
    void settingsOutOfRangeAreRefused() {
        assertThatThrownBy(() -> new Settings(0, 1, true)).hasMessage("InitPoints is '0', accepted: 1 or more");
        assertThatThrownBy(() -> new Settings(1, 0, true)).hasMessage("CubeSize is '0', accepted: 1 or more");
    }
}
