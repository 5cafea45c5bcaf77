package concertina.search;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import concertina.search.Parameter.Real;
import concertina.search.Parameter.Scale;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import java.util.Random;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

class HalvingTest {
    private static final Space SPACE = new Space(List.of(new Real("x", 0, 1), new Real("y", 1e-3, 10, Scale.LOG)));

    /** Points that depend on the trial's number alone. */
    private static final class Plain implements Sampler {
        final int most;
        int begun;

        Plain(int most) {
            this.most = most;
        }

        @Override
        public Optional<Suggestion> ask(long number) {
            return exhausted()
                    ? Optional.empty()
                    : Optional.of(new Suggestion(
                            SPACE.decode(Randomness.of(7, number)
                                    .doubles(SPACE.size())
                                    .toArray()),
                            "at random"));
        }

        @Override
        public void tell(Trial trial) {
            begun += trial.state() instanceof Trial.State.Running
                            && trial.parent().isEmpty()
                    ? 1
                    : 0;
        }

        @Override
        public boolean exhausted() {
            return begun >= most;
        }
    }

    private record Run(Map<Long, Trial> trials, List<String> reasons) {
        TreeMap<Double, Integer> countByResource() {
            TreeMap<Double, Integer> counts = new TreeMap<>();
            trials.values().forEach(trial -> counts.merge(trial.resource().orElse(-1), 1, Integer::sum));
            return counts;
        }
    }

    private static double loss(Trial trial) {
        return Space.number(trial.point().values().get("x"))
                + 1 / trial.resource().orElse(1);
    }

    /** Keeps {@code parallel} trials in flight, which end in an order that the seed decides; some fail. */
    private static Run run(Sampler sampler, int trials, int parallel, long seed, double failures) {
        SplittableRandom random = new SplittableRandom(seed);
        Run run = new Run(new HashMap<>(), new ArrayList<>());
        List<Trial> flying = new ArrayList<>();
        long number = 0;
        while (true) {
            boolean asked = false;
            while (flying.size() < parallel && number < trials) {
                Optional<Suggestion> suggestion = sampler.ask(number);
                if (suggestion.isEmpty()) {
                    break;
                }
                asked = true;
                Trial trial = new Trial(
                        number++,
                        suggestion.get().point(),
                        suggestion.get().resource(),
                        suggestion.get().parent(),
                        new Trial.State.Running());
                run.reasons().add(suggestion.get().reason());
                sampler.tell(trial);
                flying.add(trial);
            }
            if (flying.isEmpty()) {
                assertThat(asked).isFalse();
                return run;
            }
            Trial trial = flying.remove(random.nextInt(flying.size()));
            Trial.State state = random.nextDouble() < failures
                    ? new Trial.State.Failed()
                    : new Trial.State.Complete(new double[] {loss(trial)}, new double[0]);
            Trial ended = new Trial(trial.number(), trial.point(), trial.resource(), trial.parent(), state);
            run.trials().put(ended.number(), ended);
            sampler.tell(ended);
        }
    }

    @Test
    void hyperbandsFirstTrialsAllStartInTheLowestRung() {
        Run run = run(new Hyperband(new Plain(Integer.MAX_VALUE), 81, 3), 12, 2, 1, 0);
        assertThat(run.countByResource()).containsExactly(Map.entry(1.0, 12));
    }

    @Test
    void aWholeHyperbandHasTheBracketsOfThePaper() {
        int brackets = 81 + 34 + 15 + 8 + 5;
        Run run = run(new Hyperband(new Plain(brackets), 81, 3), 10_000, 1, 1, 0);
        assertThat(run.countByResource())
                .containsExactly(
                        Map.entry(1.0, 81),
                        Map.entry(3.0, 27 + 34),
                        Map.entry(9.0, 9 + 11 + 15),
                        Map.entry(27.0, 3 + 3 + 5 + 8),
                        Map.entry(81.0, 1 + 1 + 1 + 2 + 5));
    }

    @Test
    void hyperbandNeverWaitsAndPromotesTheBest() {
        long seed = System.nanoTime();
        Run run = run(new Hyperband(new Plain(Integer.MAX_VALUE), 9, 3), 3_000, 16, seed, 0.1);
        assertThat(run.trials()).as("seed %d", seed).hasSize(3_000);
        run.trials().values().stream()
                .filter(trial -> trial.parent().isPresent())
                .forEach(trial -> {
                    Trial parent = run.trials().get(trial.parent().getAsLong());
                    assertThat(parent.point()).isEqualTo(trial.point());
                    assertThat(parent.resource().getAsDouble() * 3)
                            .isEqualTo(trial.resource().getAsDouble());
                    assertThat(parent.state()).isInstanceOf(Trial.State.Complete.class);
                });
    }

    @Test
    void ashaPromotesAThirdAndWhatOvertakesItAndNeverTheSameTwice() {
        long seed = System.nanoTime();
        Run run = run(new Asha(new Plain(Integer.MAX_VALUE), 1, 27, 3), 2_000, 8, seed, 0);
        TreeMap<Double, Integer> counts = run.countByResource();
        assertThat(counts.keySet()).containsExactly(1.0, 3.0, 9.0, 27.0);
        assertThat(counts.get(3.0)).as("seed %d", seed).isBetween(counts.get(1.0) / 3 - 8, counts.get(1.0) / 2);
        assertThat(run.trials().values().stream()
                        .filter(trial -> trial.parent().isPresent())
                        .map(trial -> trial.parent().getAsLong())
                        .toList())
                .as("seed %d", seed)
                .doesNotHaveDuplicates();
        assertThat(run.reasons())
                .anyMatch(reason -> reason.matches("trial \\d+ is number 1 of the 3 that got 1; .*to 3"));
    }

    @Test
    void aHundredThousandTrialsAreRankedAsTheyCome() {
        Sampler asha = new Asha(new Plain(Integer.MAX_VALUE), 1, 27, 3);
        Run run = run(asha, 100_000, 16, 5, 0.05);
        TreeMap<Double, Integer> counts = run.countByResource();
        assertThat(counts.values().stream().mapToInt(count -> count).sum()).isEqualTo(100_000);
        assertThat(counts.get(3.0)).isBetween(counts.get(1.0) / 4, counts.get(1.0) / 2);
    }

    @Test
    void aRungNamesTheSameCandidatesAsSortingAllOfItWould() {
        long seed = System.nanoTime();
        SplittableRandom random = new SplittableRandom(seed);
        for (int objectives = 1; objectives <= 2; objectives++) {
            checkCandidates(objectives, seed, random);
        }
    }

    private static void checkCandidates(int objectives, long seed, SplittableRandom random) {
        Rung rung = new Rung();
        List<Ranking.Result> results = new ArrayList<>();
        List<Long> promoted = new ArrayList<>();
        for (long number = 0; number < 500; number++) {
            Trial trial = new Trial(
                    number,
                    new Point(Map.of()),
                    OptionalDouble.of(1),
                    OptionalLong.empty(),
                    new Trial.State.Complete(
                            random.ints(objectives, 0, 50).asDoubleStream().toArray(),
                            new double[] {random.nextInt(3) - 1}));
            rung.tell(trial);
            results.add(new Ranking.Result(trial, (Trial.State.Complete) trial.state()));
            int places = results.size() / 3;
            List<Ranking.Result> order = Ranking.order(results);
            Optional<Long> expected = order.subList(0, places).stream()
                    .map(Ranking.Result::number)
                    .filter(each -> !promoted.contains(each))
                    .findFirst();
            assertThat(rung.candidate(places).map(Rung.Candidate::number))
                    .as("seed %d", seed)
                    .isEqualTo(expected);
            expected.filter(each -> random.nextBoolean()).ifPresent(each -> {
                promoted.add(each);
                rung.promote(each);
            });
        }
    }

    @Test
    void ashaPromotesInTheHighestRungFirst() {
        Asha asha = new Asha(new Plain(Integer.MAX_VALUE), 1, 9, 3);
        for (int number = 0; number < 15; number++) {
            // Of twelve in the lowest rung three went on, of which the last is the best.
            boolean second = number >= 12;
            asha.tell(new Trial(
                    number,
                    SPACE.decode(new double[SPACE.size()]),
                    OptionalDouble.of(second ? 3 : 1),
                    second ? OptionalLong.of(number - 12) : OptionalLong.empty(),
                    new Trial.State.Complete(new double[] {second ? -number : number}, new double[0])));
        }
        Suggestion suggestion = asha.ask(15).orElseThrow();
        assertThat(suggestion.parent()).hasValue(14);
        assertThat(suggestion.resource()).hasValue(9);
    }

    @Test
    void ashaIsNotExhaustedWhileATrialRunsThatMayLeadToAnother() {
        Asha asha = new Asha(new Plain(1), 1, 9, 3);
        asha.tell(SamplerContract.running(0, asha.ask(0).orElseThrow()));
        assertThat(asha.ask(1)).isEmpty();
        assertThat(asha.exhausted()).isFalse();
    }

    @Test
    void rungsAreWholeWhereTheirEndsAreAndLoseNothingToRounding() {
        assertThat(Rungs.of(1, 100, 3).amounts()).containsExactly(1.0, 4.0, 11.0, 33.0, 100.0);
        assertThat(Rungs.of(0.1, 0.3, 3).count()).isEqualTo(2);
        assertThat(Rungs.of(1, 9, 1.1).places(33)).isEqualTo(30);
    }

    @Test
    void ashaEndsWhenPointsAreUsedUp() {
        Sampler asha = new Asha(new Plain(27), 1, 27, 3);
        Run run = run(asha, 1_000, 4, 3, 0.2);
        assertThat(asha.exhausted()).isTrue();
        assertThat(run.countByResource().get(1.0)).isEqualTo(27);
    }

    @Test
    void theModelOfTheGreatestResourceThatHasSeenEnoughIsAsked() {
        Deque<String> asked = new ArrayDeque<>();
        Sampler sampler = new ModelPerResource(
                new Plain(Integer.MAX_VALUE),
                () -> new Sampler() {
                    double resource = Double.NaN;

                    @Override
                    public Optional<Suggestion> ask(long number) {
                        asked.add("model");
                        return new Plain(1).ask(number);
                    }

                    @Override
                    public void tell(Trial trial) {
                        assertThat(trial.resource()).isEmpty();
                    }
                },
                4,
                1);
        Run run = run(new Hyperband(sampler, 9, 3), 200, 3, 5, 0);
        assertThat(asked).isNotEmpty();
        assertThat(run.reasons()).anyMatch(reason -> reason.contains("learnt from 4 results with 9.0"));
    }

    @Test
    void oneSuggestionInThreeIsRandomWhateverTheModelsSay() {
        ModelPerResource points =
                new ModelPerResource(new Plain(Integer.MAX_VALUE), () -> new RandomSearch(SPACE, 1), 1, 1);
        points.tell(new Trial(
                -1, SPACE.decode(new double[SPACE.size()]), OptionalDouble.of(1), OptionalLong.empty(), DONE));
        long random = IntStream.range(0, 600)
                .filter(number -> !points.ask(number).orElseThrow().reason().contains("learnt from"))
                .count();
        assertThat(random).isBetween(160L, 240L);
    }

    @Test
    void aResourceThatCannotBeIsRefused() {
        assertThatThrownBy(() -> new Hyperband(new Plain(1), 0.5, 3)).hasMessageContaining("ResourceValue is '0.5'");
        assertThatThrownBy(() -> new Hyperband(new Plain(1), 9, 1)).hasMessageContaining("eta is '1.0'");
        assertThatThrownBy(() -> new Hyperband(new Plain(1), 81, 1.0000000000000002))
                .hasMessageContaining("accepted: a number with which 100 steps lead from 1.0 to 81.0");
        assertThatThrownBy(() -> new AshaStopper(0.5, 81.5, 1.0000001)).hasMessageContaining("eta is '1.0000001'");
        assertThatThrownBy(() -> new Asha(new Plain(1), 0, 9, 3)).hasMessageContaining("smallest resource");
    }

    @Test
    void theStopperLetsTheFirstGoOnAndStopsTheWorse() {
        Stopper stopper = new AshaStopper(1, 9, 3);
        assertThat(stopper.report(0, 1, 0.5).stop()).isFalse();
        assertThat(stopper.report(1, 1, 0.6).stop()).isTrue();
        assertThat(stopper.report(2, 1, 0.4).stop()).isFalse();
        assertThat(stopper.report(3, 1, 0.45).reason())
                .isEqualTo("its loss 0.45 at 1.0 is number 2 of 4; the best 1 go on");
        assertThat(stopper.report(2, 2, 9).stop())
                .as("between rungs nothing is decided")
                .isFalse();
        assertThat(stopper.report(2, 3, 0.3).stop()).isFalse();
        assertThat(stopper.report(0, 3, Double.NaN).stop()).isFalse();
    }

    @Test
    void theStopperDoesNotStopWhatIsAsGoodAsTheBest() {
        Stopper stopper = new AshaStopper(1, 9, 3);
        for (int trial = 0; trial < 12; trial++) {
            assertThat(stopper.report(trial, 1, 0.5).stop())
                    .as("trial %d", trial)
                    .isFalse();
        }
        assertThat(stopper.report(12, 1, 0.6).stop()).isTrue();
    }

    @Test
    void aReportThatSkipsRungsCountsInTheHighestItReached() {
        Stopper stopper = new AshaStopper(1, 27, 3);
        assertThat(stopper.report(0, 9, 0.5).stop()).isFalse();
        assertThat(stopper.report(1, 1, 0.9).stop()).as("the first in rung 1").isFalse();
        assertThat(stopper.report(1, 10, 0.6).reason())
                .isEqualTo("its loss 0.6 at 10.0 is number 2 of 2; the best 1 go on");
        assertThat(stopper.report(2, 27, 9).reason())
                .as("the end is no rung")
                .startsWith("its loss 9.0 at 27.0 is number 3");
        assertThat(stopper.report(0, 27, 99).stop()).isFalse();
    }

    @Test
    void theMedianStopsWhatIsWorseThanHalf() {
        Stopper stopper = new MedianStopper(2, 3);
        for (int trial = 0; trial < 3; trial++) {
            for (int step = 1; step <= 4; step++) {
                assertThat(stopper.report(trial, step, trial + 1.0 / step).stop())
                        .isFalse();
            }
            stopper.tell(new Trial(
                    trial,
                    new Point(Map.of()),
                    OptionalDouble.empty(),
                    OptionalLong.empty(),
                    new Trial.State.Complete(new double[] {trial}, new double[0])));
        }
        assertThat(stopper.report(3, 1, 100).stop()).as("in the grace period").isFalse();
        assertThat(stopper.report(3, 2, 100).stop()).isTrue();
        assertThat(stopper.report(4, 2, 0.1).stop()).isFalse();
    }

    private static void report(Stopper stopper, long trial, double... losses) {
        for (int step = 1; step <= losses.length; step++) {
            stopper.report(trial, step, losses[step - 1]);
        }
    }

    private static void end(Stopper stopper, long trial, Trial.State state) {
        stopper.tell(new Trial(trial, new Point(Map.of()), OptionalDouble.empty(), OptionalLong.empty(), state));
    }

    private static final Trial.State DONE = new Trial.State.Complete(new double[] {0}, new double[0]);

    @Test
    void theMedianIsThatOfMeansUpToTheStepAndTheBestLossCounts() {
        Stopper stopper = new MedianStopper(1, 2);
        report(stopper, 0, 4, 0);
        report(stopper, 1, 8, 8);
        report(stopper, 2, 0, 0);
        end(stopper, 0, DONE);
        end(stopper, 1, DONE);
        end(stopper, 2, new Trial.State.Failed());
        assertThat(stopper.report(3, 1, 6.5).reason())
                .isEqualTo("its best loss 6.5 by 1.0 is above 6.0, the median of 2 trials");
        assertThat(stopper.report(4, 1, 5.9).stop()).isFalse();
        assertThat(stopper.report(4, 2, 9).reason()).startsWith("its best loss 5.9 by 2.0 is above 5.0");
        assertThat(stopper.report(5, 1, 4.9).stop()).isFalse();
        assertThat(stopper.report(5, 2, 9).stop()).isFalse();
    }

    @Test
    void theMedianNeedsEnoughTrialsThatHadComeThere() {
        Stopper stopper = new MedianStopper(0, 2);
        report(stopper, 0, 1, 1);
        stopper.report(1, 2, 1);
        end(stopper, 0, DONE);
        end(stopper, 1, DONE);
        assertThat(stopper.report(2, 1, 9).stop()).isFalse();
        assertThat(stopper.report(2, 2, 9).stop()).isTrue();
    }

    @Test
    void theOldestCurvesGiveWay() {
        Stopper stopper = new MedianStopper(1, 2);
        for (int trial = 0; trial < 2000; trial++) {
            report(stopper, trial, trial < 1000 ? 0 : 10);
            end(stopper, trial, DONE);
        }
        assertThat(stopper.report(2000, 1, 9).stop()).isFalse();
    }

    @Test
    void allMembersOfAPopulationBeginBeforeAnyGoesOn() {
        Population population = new Population(SPACE, new Plain(Integer.MAX_VALUE), 3, 8, 6, 2);
        Run run = run(population, 12, 2, 11, 0);
        run.trials()
                .forEach((number, trial) -> assertThat(trial.parent().isPresent())
                        .as("trial %d", number)
                        .isEqualTo(number >= 8));
    }

    @Test
    void noMemberOfAPopulationTrainsBeyondTheLastRound() {
        for (int seed = 0; seed < 20; seed++) {
            Run run = run(new Population(SPACE, new Plain(Integer.MAX_VALUE), seed, 8, 3, 2), 10_000, 5, seed, 0.2);
            assertThat(run.countByResource().lastKey()).as("seed %d", seed).isLessThanOrEqualTo(6);
        }
    }

    @Test
    void aPopulationEndsBetterThanItsBestFreshPoint() {
        Population population = new Population(SPACE, new Plain(Integer.MAX_VALUE), 3, 8, 6, 2);
        Run run = run(population, 10_000, 4, 11, 0.05);
        assertThat(population.exhausted()).isTrue();
        double first = IntStream.range(0, 8)
                .mapToObj(i -> run.trials().get((long) i))
                .mapToDouble(trial -> Space.number(trial.point().values().get("x")))
                .min()
                .orElseThrow();
        double last = run.trials().values().stream()
                .filter(trial -> trial.resource().orElse(0) == 12)
                .mapToDouble(trial -> Space.number(trial.point().values().get("x")))
                .min()
                .orElseThrow();
        assertThat(last).isLessThanOrEqualTo(first);
        run.trials().values().stream()
                .filter(trial -> trial.parent().isPresent())
                .forEach(trial -> assertThat(run.trials()
                                .get(trial.parent().getAsLong())
                                .resource()
                                .getAsDouble())
                        .isEqualTo(trial.resource().getAsDouble() - 2));
    }

    @Test
    void frontsAreThoseThatRemainWhenWhatNothingDominatesIsTakenAway() {
        long seed = System.nanoTime();
        SplittableRandom random = new SplittableRandom(seed);
        for (int round = 0; round < 200; round++) {
            int objectives = random.nextInt(2, 4);
            List<Ranking.Result> left = new ArrayList<>(IntStream.range(0, random.nextInt(1, 60))
                    .mapToObj(i -> new Ranking.Result(
                            i,
                            random.ints(objectives, -3, 3)
                                    .mapToDouble(loss -> loss == 0 && random.nextBoolean() ? -0.0 : loss)
                                    .toArray(),
                            0))
                    .toList());
            for (List<Ranking.Result> front : Ranking.fronts(left)) {
                List<Ranking.Result> all = List.copyOf(left);
                List<Ranking.Result> expected = all.stream()
                        .filter(one -> all.stream().noneMatch(other -> Ranking.dominates(other.losses(), one.losses())))
                        .toList();
                assertThat(front).as("seed %d", seed).isEqualTo(expected);
                assertThat(Ranking.front(all)).as("seed %d", seed).isEqualTo(expected);
                left.removeAll(front);
            }
            assertThat(left).isEmpty();
        }
    }

    @Test
    void tensOfThousandsOfResultsWithTwoObjectivesAreRanked() {
        SplittableRandom random = new SplittableRandom(3);
        List<Ranking.Result> results = IntStream.range(0, 50_000)
                .mapToObj(i -> new Ranking.Result(i, new double[] {random.nextDouble(), random.nextDouble()}, 0))
                .toList();
        assertThat(Ranking.order(results)).hasSize(50_000);
    }

    @Test
    @Timeout(20)
    void aHundredThousandResultsThatDoNotDominateEachOtherAreRankedToo() {
        SplittableRandom random = new SplittableRandom(5);
        List<Ranking.Result> results = random.doubles(100_000)
                .mapToObj(loss -> new Ranking.Result((long) (loss * 1e15), new double[] {loss, -loss}, 0))
                .toList();
        assertThat(Ranking.front(results)).hasSize(100_000);
        assertThat(Ranking.order(results)).hasSize(100_000);
    }

    @Test
    void severalObjectivesRankByFrontsAndConstraintsFirst() {
        List<Ranking.Result> results = List.of(
                new Ranking.Result(0, new double[] {1, 5}, 0),
                new Ranking.Result(1, new double[] {2, 2}, 0),
                new Ranking.Result(2, new double[] {5, 1}, 0),
                new Ranking.Result(3, new double[] {3, 3}, 0),
                new Ranking.Result(4, new double[] {0, 0}, 0.5),
                new Ranking.Result(5, new double[] {9, 9}, 0.1));
        assertThat(Ranking.order(results).stream().map(Ranking.Result::number).toList())
                .containsExactly(0L, 2L, 1L, 3L, 5L, 4L);
        assertThat(Ranking.violation(new double[] {-1, 2, Double.NaN})).isInfinite();
    }

    @Test
    void theOrderInWhichResultsComeDoesNotMatter() {
        long seed = System.nanoTime();
        Random random = new Random(seed);
        for (int round = 0; round < 200; round++) {
            List<Ranking.Result> results = IntStream.range(0, 30)
                    .mapToObj(i -> new Ranking.Result(
                            i, random.ints(2, 0, 8).asDoubleStream().toArray(), random.nextInt(2)))
                    .toList();
            List<Ranking.Result> shuffled = new ArrayList<>(results);
            Collections.shuffle(shuffled, random);
            assertThat(Ranking.order(shuffled)).as("seed %d", seed).isEqualTo(Ranking.order(results));
        }
    }

    private static List<Long> ordered(double[]... losses) {
        return Ranking.order(IntStream.range(0, losses.length)
                        .mapToObj(i -> new Ranking.Result(i, losses[i], 0))
                        .toList())
                .stream()
                .map(Ranking.Result::number)
                .toList();
    }

    @Test
    void whoIsLonelyInAllObjectivesTogetherComesFirstInAFront() {
        assertThat(ordered(new double[][] {{0, 10}, {9, 5}, {8, 6}, {10, 0}})).containsExactly(0L, 3L, 2L, 1L);
        assertThat(ordered(new double[][] {{0, 5, 5}, {5, 0, 5}, {5, 5, 0}, {3, 3, 3}, {4, 2, 9}}))
                .as("the greatest of an objective too is at the border")
                .containsExactly(0L, 1L, 2L, 4L, 3L);
    }
}
