package concertina.search;

import static org.assertj.core.api.Assertions.assertThat;

import concertina.search.StandardFunctions.Problem;
import concertina.search.Trial.State;
import java.util.ArrayDeque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Queue;
import java.util.SplittableRandom;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;

class CmaEsTest extends SamplerContract {
    @Override
    protected Sampler sampler(Space space, long seed) {
        return new CmaEs(space, seed);
    }

    /** Middle of three seeds. */
    private static double regret(Problem problem, int trials, int parallel) {
        return LongStream.range(0, 3)
                .mapToDouble(seed -> regret(problem, new CmaEs(problem.space(), seed), trials, parallel))
                .sorted()
                .toArray()[1];
    }

    private static double regret(Problem problem, Sampler sampler, int trials, int parallel) {
        double best = Double.POSITIVE_INFINITY;
        Queue<Trial> running = new ArrayDeque<>();
        for (int number = 0; number < trials; number++) {
            Trial trial = running(number, sampler.ask(number).orElseThrow());
            sampler.tell(trial);
            running.add(trial);
            if (running.size() == parallel) {
                Trial oldest = running.remove();
                double loss = problem.loss().applyAsDouble(oldest.point());
                sampler.tell(ended(oldest, new State.Complete(new double[] {loss}, new double[0])));
                best = Math.min(best, loss - problem.minimum());
            }
        }
        return best;
    }

    @Test
    void itFollowsTheCurvedValleyToItsEnd() {
        assertThat(regret(StandardFunctions.ROSENBROCK_5, 3000, 1)).isLessThan(1e-8);
    }

    @Test
    void manySideBySideConvergeToo() {
        assertThat(regret(StandardFunctions.ROSENBROCK_5, 3000, 8)).isLessThan(1e-4);
        assertThat(regret(StandardFunctions.HARTMANN_6, 3000, 20)).isLessThan(1e-3);
    }

    @Test
    void wholeNumbersAndStepsDoNotGetStuck() {
        assertThat(regret(StandardFunctions.MIXED_ACKLEY, 1500, 1)).isLessThan(1e-3);
        assertThat(regret(StandardFunctions.MIXED_NETWORK, 1500, 1)).isLessThan(1e-6);
    }

    @Test
    void afterConvergingItStartsAgainElsewhere() {
        Problem problem = StandardFunctions.BRANIN;
        CmaEs sampler = new CmaEs(problem.space(), 1);
        Map<String, Integer> generations = new HashMap<>();
        boolean converged = false;
        boolean elsewhere = false;
        for (int number = 0; number < 3000; number++) {
            Suggestion suggestion = sampler.ask(number).orElseThrow();
            generations.merge(suggestion.reason(), 1, Integer::sum);
            Trial trial = running(number, suggestion);
            double loss = problem.loss().applyAsDouble(trial.point());
            converged |= loss - problem.minimum() < 1e-8;
            elsewhere |= converged && loss - problem.minimum() > 1;
            sampler.tell(trial);
            sampler.tell(ended(trial, new State.Complete(new double[] {loss}, new double[0])));
        }
        assertThat(converged).isTrue();
        assertThat(elsewhere).isTrue();
        assertThat(new HashSet<>(generations.values()))
                .as("each time with twice the points")
                .contains(6, 12, 24);
    }

    @Test
    void anEarlierSearchPlacesTheStart() {
        Problem problem = StandardFunctions.ROSENBROCK_5;
        double warm = 0;
        double cold = 0;
        for (int seed = 0; seed < 5; seed++) {
            CmaEs sampler = new CmaEs(problem.space(), seed);
            SplittableRandom random = new SplittableRandom(seed);
            for (int i = 0; i < 300; i++) {
                Point point = problem.space().decode(RandomSearch.uniform(problem.space(), random));
                double loss = problem.loss().applyAsDouble(point);
                sampler.tell(ended(
                        running(-1 - i, new Suggestion(point, "")),
                        new State.Complete(new double[] {loss}, new double[0])));
            }
            warm += Math.log(regret(problem, sampler, 60, 1));
            cold += Math.log(regret(problem, new CmaEs(problem.space(), seed), 60, 1));
        }
        assertThat(warm).isLessThan(cold);
    }
}
