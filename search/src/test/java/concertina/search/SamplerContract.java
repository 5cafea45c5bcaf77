package concertina.search;

import static org.assertj.core.api.Assertions.assertThat;

import concertina.search.Parameter.Choice;
import concertina.search.Parameter.Condition;
import concertina.search.Parameter.Real;
import concertina.search.Parameter.Scale;
import concertina.search.Parameter.Whole;
import concertina.search.Trial.State;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import java.util.Set;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

/** What every {@link Sampler} keeps. A new one extends this class, says how it is made, and is tested. */
abstract class SamplerContract {
    private static final Choice KIND = new Choice("kind", List.of(new Value.Word("a"), new Value.Word("b")));

    static final Space CONTINUOUS = new Space(List.of(
            new Real("x", -1, 3), new Real("rate", 1e-5, 1, Scale.LOG), new Real("y", 0, 1, Scale.LINEAR, 0, null)));

    static final Space MIXED = new Space(List.of(
            new Real("rate", 1e-5, 1, Scale.LOG),
            new Real("dropout", 0, 0.7, Scale.LINEAR, 0.1, null),
            new Whole("layers", 1, 9, Scale.LINEAR, 2, null),
            new Whole("width", 8, 512, Scale.LOG, 1, null),
            new Choice("batch", List.of(new Value.Whole(16), new Value.Whole(32), new Value.Whole(64)), true, null),
            KIND));

    static final Space CONDITIONAL = new Space(List.of(
            KIND,
            new Real("only-a", 0, 1, Scale.LINEAR, 0, when("a")),
            new Whole("only-b", 1, 3, Scale.LINEAR, 1, when("b")),
            new Real(
                    "deep",
                    1,
                    10,
                    Scale.LOG,
                    0,
                    new Condition("only-b", Set.of(new Value.Whole(2), new Value.Whole(3)))),
            new Real("always", -5, 5)));

    static final Space FINITE = new Space(List.of(
            KIND,
            new Whole("only-a", 0, 3, Scale.LINEAR, 1, when("a")),
            new Real("step", 0, 1, Scale.LINEAR, 0.25, null),
            new Choice("word", List.of(new Value.Word("x"), new Value.Word("y"), new Value.Word("z")))));

    /** Distinct points of {@link #FINITE}. */
    static final int FINITE_POINTS = 5 * 5 * 3;

    static final Space SINGLE_VALUES = new Space(List.of(
            new Real("fixed", 0.5, 0.5),
            new Real("free", 0, 1, Scale.LINEAR, 0.01, null),
            new Whole("one", 7, 7),
            new Choice("word", List.of(new Value.Word("x")))));

    static final Space ONE_POINT =
            new Space(List.of(new Whole("one", 7, 7), new Choice("word", List.of(new Value.Word("x")))));

    private static Condition when(String word) {
        return new Condition("kind", Set.of(new Value.Word(word)));
    }

    /** A new instance; called with the spaces that {@link #spaces} lists. */
    protected abstract Sampler sampler(Space space, long seed);

    /** The spaces that the sampler can work in. */
    protected List<Space> spaces() {
        return List.of(CONTINUOUS, MIXED, CONDITIONAL, FINITE, SINGLE_VALUES, ONE_POINT);
    }

    /** How many asks in a row give different points where the space has so many. */
    protected int distinct() {
        return 64;
    }

    /** Whether there may be nothing to suggest before a running trial ends. */
    protected boolean waits() {
        return false;
    }

    /** @param told how much was told before */
    private record Asked(long number, int told, Optional<Suggestion> suggestion) {}

    /** Everything that was told, with what was asked in between. */
    private record Transcript(List<Trial> told, List<Asked> asked) {}

    /** A search of some trials side by side that end in any order and any way. The same for the same seed. */
    private Transcript play(Space space, long seed, int trials, int objectives) {
        SplittableRandom random = new SplittableRandom(seed);
        Sampler sampler = sampler(space, seed);
        Transcript transcript = new Transcript(new ArrayList<>(), new ArrayList<>());
        List<Trial> running = new ArrayList<>();
        int number = 0;
        while (number < trials) {
            if (running.size() < 4 && random.nextInt(3) > 0 || running.isEmpty()) {
                Optional<Suggestion> suggestion = sampler.ask(number);
                transcript.asked.add(new Asked(number, transcript.told.size(), suggestion));
                if (suggestion.isPresent()) {
                    running.add(running(number, suggestion.get()));
                    tell(sampler, transcript, running.getLast());
                }
                number++;
            } else {
                Trial trial = running.remove(random.nextInt(running.size()));
                tell(sampler, transcript, ended(trial, outcome(space, trial.point(), random, objectives)));
            }
        }
        return transcript;
    }

    private static void tell(Sampler sampler, Transcript transcript, Trial trial) {
        transcript.told.add(trial);
        sampler.tell(trial);
    }

    static Trial running(long number, Suggestion suggestion) {
        return new Trial(number, suggestion.point(), suggestion.resource(), suggestion.parent(), new State.Running());
    }

    static Trial ended(Trial trial, State state) {
        return new Trial(trial.number(), trial.point(), trial.resource(), trial.parent(), state);
    }

    private static State outcome(Space space, Point point, SplittableRandom random, int objectives) {
        double[] losses = new double[objectives];
        for (int i = 0; i < objectives; i++) {
            // Several are rounded, so that some are equal.
            double loss = loss(space, point, 0.3 + 0.4 * i);
            losses[i] = objectives == 1 ? loss : Math.rint(8 * loss) / 8;
        }
        return switch (random.nextInt(10)) {
            case 0 -> new State.Failed();
            case 1 -> new State.Stopped(random.nextInt(10), losses[0]);
            case 2 -> new State.Stopped(1, Double.NaN);
            case 3 -> new State.Complete(losses, new double[] {random.nextDouble() - 0.5, -1});
            default -> new State.Complete(losses, new double[0]);
        };
    }

    static double loss(Space space, Point point, double best) {
        double sum = 0;
        for (double u : space.encode(point)) {
            sum += Double.isNaN(u) ? 0.1 : (u - best) * (u - best);
        }
        return sum;
    }

    @Test
    void everySuggestionLiesInTheSpaceAndSaysWhy() {
        for (Space space : spaces()) {
            for (Asked asked : play(space, 3, 120, 1).asked) {
                asked.suggestion.ifPresent(suggestion -> {
                    space.check(suggestion.point());
                    assertThat(suggestion.reason()).isNotBlank();
                });
            }
        }
    }

    @Test
    void nothingIsSuggestedOnlyAtTheEndOrWhileItWaits() {
        for (Space space : spaces()) {
            Sampler sampler = sampler(space, 5);
            for (int number = 0; number < 200; number++) {
                boolean exhausted = sampler.exhausted();
                Optional<Suggestion> suggestion = sampler.ask(number);
                if (suggestion.isEmpty()) {
                    assertThat(exhausted || waits()).isTrue();
                    assertThat(sampler.exhausted()).isEqualTo(exhausted);
                    break;
                }
                assertThat(exhausted).isFalse();
                sampler.tell(running(number, suggestion.get()));
            }
        }
    }

    @Test
    void aFreshInstanceToldTheSameSuggestsTheSame() {
        for (Space space : spaces()) {
            for (int objectives = 1; objectives <= 2; objectives++) {
                Transcript transcript = play(space, 11, 80, objectives);
                Sampler again = sampler(space, 11);
                int told = 0;
                for (Asked asked : transcript.asked) {
                    while (told < asked.told) {
                        again.tell(transcript.told.get(told++));
                    }
                    if (asked.number % 5 == 0) {
                        assertThat(again.ask(asked.number))
                                .as("%s, trial %d", space.parameters(), asked.number)
                                .isEqualTo(asked.suggestion);
                    }
                }
            }
        }
    }

    @Test
    void askingLeavesNoTrace() {
        for (Space space : spaces()) {
            for (int objectives = 1; objectives <= 2; objectives++) {
                Transcript transcript = play(space, 17, 60, objectives);
                Sampler curious = sampler(space, 17);
                Sampler quiet = sampler(space, 17);
                for (Trial trial : transcript.told) {
                    curious.tell(trial);
                    quiet.tell(trial);
                    Optional<Suggestion> first = curious.ask(1000 + trial.number());
                    if (objectives == 1) {
                        assertThat(curious.ask(1000 + trial.number())).isEqualTo(first);
                    }
                }
                assertThat(curious.ask(2000)).isEqualTo(quiet.ask(2000));
            }
        }
    }

    @Test
    void theSeedMatters() {
        Space space = spaces().getFirst();
        Sampler one = sampler(space, 1);
        Sampler two = sampler(space, 2);
        if (!seeded()) {
            return;
        }
        assertThat(firstPoints(one)).isNotEqualTo(firstPoints(two));
    }

    private static List<Optional<Point>> firstPoints(Sampler sampler) {
        List<Optional<Point>> points = new ArrayList<>();
        for (int number = 0; number < 3; number++) {
            Optional<Suggestion> suggestion = sampler.ask(number);
            points.add(suggestion.map(Suggestion::point));
            if (suggestion.isPresent()) {
                sampler.tell(running(number, suggestion.get()));
            }
        }
        return points;
    }

    /** Whether suggestions depend on the seed at all. */
    protected boolean seeded() {
        return true;
    }

    @Test
    void manyRunSideBySideAtDifferentPoints() {
        for (Space space : spaces()) {
            Sampler sampler = sampler(space, 23);
            Set<Point> points = new HashSet<>();
            int asked = 0;
            for (int number = 0; number < distinct(); number++) {
                Optional<Suggestion> suggestion = sampler.ask(number);
                if (suggestion.isPresent()) {
                    points.add(suggestion.get().point());
                    sampler.tell(running(number, suggestion.get()));
                    asked++;
                }
            }
            assertThat(asked).isPositive();
            long most = space == FINITE ? FINITE_POINTS : space.cardinality().orElse(Long.MAX_VALUE);
            assertThat(points).as("%s", space.parameters()).hasSize((int) Math.min(asked, most));
        }
    }

    @Test
    void aSearchInWhichEverythingFailsGoesOn() {
        for (Space space : spaces()) {
            Sampler sampler = sampler(space, 29);
            for (int number = 0; number < 60; number++) {
                Optional<Suggestion> suggestion = sampler.ask(number);
                if (suggestion.isEmpty()) {
                    assertThat(sampler.exhausted()).isTrue();
                    break;
                }
                space.check(suggestion.get().point());
                Trial trial = running(number, suggestion.get());
                sampler.tell(trial);
                sampler.tell(ended(trial, number % 2 == 0 ? new State.Failed() : new State.Stopped(0, Double.NaN)));
            }
        }
    }

    @Test
    void trialsOfOthersAreWelcome() {
        for (Space space : spaces()) {
            Sampler sampler = sampler(space, 31);
            SplittableRandom random = new SplittableRandom(31);
            long[] numbers = {-1, Long.MAX_VALUE, Long.MIN_VALUE, 1L << 40, 77};
            for (int i = 0; i < 100; i++) {
                Point point = space.decode(RandomSearch.uniform(space, random));
                long number = i < numbers.length ? numbers[i] : 5000 - i;
                Trial trial = new Trial(number, point, resource(), OptionalLong.empty(), new State.Running());
                if (i % 2 == 0) {
                    sampler.tell(trial);
                }
                sampler.tell(ended(trial, outcome(space, point, random, 1)));
            }
            for (int number = 0; number < 20; number++) {
                Optional<Suggestion> suggestion = sampler.ask(number);
                if (suggestion.isEmpty()) {
                    assertThat(sampler.exhausted() || waits()).isTrue();
                    break;
                }
                space.check(suggestion.get().point());
                sampler.tell(running(number, suggestion.get()));
            }
        }
    }

    /** What trials of others were given of the resource. */
    protected OptionalDouble resource() {
        return OptionalDouble.empty();
    }

    @Test
    void severalObjectivesAndEqualResultsAreUnderstood() {
        for (Space space : spaces()) {
            for (int objectives = 2; objectives <= 4; objectives++) {
                assertThat(play(space, 37, 60, objectives).asked).isNotEmpty();
            }
            Sampler sampler = sampler(space, 41);
            for (int number = 0; number < 40; number++) {
                Optional<Suggestion> suggestion = sampler.ask(number);
                if (suggestion.isPresent()) {
                    Trial trial = running(number, suggestion.get());
                    sampler.tell(trial);
                    sampler.tell(ended(trial, new State.Complete(new double[] {1}, new double[] {1})));
                }
            }
        }
    }

    @Test
    void anotherProcessSuggestsTheSame() throws IOException, InterruptedException {
        List<String> command = List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-cp",
                System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")),
                SamplerContract.class.getName(),
                getClass().getName());
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertThat(process.waitFor()).as(output).isZero();
        assertThat(output.strip()).isEqualTo(summary());
    }

    private String summary() {
        StringBuilder summary = new StringBuilder();
        for (Space space : spaces()) {
            for (Asked asked : play(space, 43, 60, 1).asked) {
                summary.append(asked.number)
                        .append(asked.suggestion
                                .map(suggestion -> suggestion.point().toString())
                                .orElse("-"))
                        .append(' ');
            }
        }
        return summary.toString().strip();
    }

    /** Prints what the contract test named suggests in this process. */
    public static void main(String[] arguments) throws ReflectiveOperationException {
        SamplerContract contract = (SamplerContract)
                Class.forName(arguments[0]).getDeclaredConstructor().newInstance();
        System.out.println(contract.summary());
    }
}
