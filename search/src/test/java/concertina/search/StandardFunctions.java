package concertina.search;

import concertina.search.Parameter.Choice;
import concertina.search.Parameter.Condition;
import concertina.search.Parameter.Real;
import concertina.search.Parameter.Scale;
import concertina.search.Parameter.Whole;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.function.ToDoubleFunction;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * Functions with a known minimum on which samplers are measured: the usual smooth ones, and made-up spaces with whole numbers, words
 * and conditions as in tuning a network.
 */
final class StandardFunctions {
    /**
     * One function to minimise.
     *
     * @param minimum the least value it takes in its space
     */
    record Problem(String name, Space space, double minimum, ToDoubleFunction<Point> loss) {
        /** How much more than the minimum a point costs. */
        double regret(Point point) {
            return loss.applyAsDouble(point) - minimum;
        }
    }

    private StandardFunctions() {}

    static final Problem BRANIN = new Problem(
            "branin",
            new Space(List.of(new Real("x0", -5, 10), new Real("x1", 0, 15))),
            0.39788735772973816,
            p -> branin(number(p, "x0"), number(p, "x1")));

    static final Problem HARTMANN_6 =
            new Problem("hartmann-6", reals(6, 0, 1), -3.322368011415515, p -> hartmann(vector(p, 6)));

    static final Problem ROSENBROCK_5 = new Problem("rosenbrock-5", reals(5, -5, 10), 0, p -> rosenbrock(vector(p, 5)));

    static final Problem ROSENBROCK_20 =
            new Problem("rosenbrock-20", reals(20, -5, 10), 0, p -> rosenbrock(vector(p, 20)));

    static final Problem ACKLEY_10 =
            new Problem("ackley-10", reals(10, -32.768, 32.768), 0, p -> ackley(vector(p, 10)));

    /** Ackley of a real, a stepped real, a whole number, an ordered choice and words whose order says nothing. */
    static final Problem MIXED_ACKLEY = new Problem(
            "mixed-ackley",
            new Space(List.of(
                    new Real("x0", -32.768, 32.768),
                    new Real("x1", -32, 32, Scale.LINEAR, 0.5, null),
                    new Whole("x2", -32, 32),
                    new Choice("x3", wholes(-16, -8, -4, -2, -1, 0, 1, 2, 4, 8, 16), true, null),
                    new Choice("x4", words("d", "a", "e", "b", "c")))),
            0,
            p -> ackley(new double[] {
                number(p, "x0"), number(p, "x1"), number(p, "x2"), number(p, "x3"), "abcde".indexOf(word(p, "x4")) * 3
            }));

    /**
     * The loss of an imagined network: rate and batch size depend on each other, width and depth have a best product, one
     * activation is better than the others and wants another rate.
     */
    static final Problem MIXED_NETWORK = new Problem(
            "mixed-network",
            new Space(List.of(
                    new Real("rate", 1e-5, 1, Scale.LOG),
                    new Choice("batch", wholes(16, 32, 64, 128, 256, 512), true, null),
                    new Whole("layers", 1, 8),
                    new Whole("width", 8, 1024, Scale.LOG, 1, null),
                    new Choice("activation", words("relu", "tanh", "gelu", "sigmoid")),
                    new Real("dropout", 0, 0.8, Scale.LINEAR, 0.05, null))),
            0,
            StandardFunctions::network);

    /** Three functions of different dimension below one choice; the third has the least minimum by a little. */
    static final Problem CONDITIONAL_FUNCTIONS = new Problem(
            "conditional-functions",
            new Space(concat(
                    Stream.of(new Choice("function", words("branin", "ackley", "hartmann"))),
                    Stream.of(
                            new Real("b0", -5, 10, Scale.LINEAR, 0, when("function", "branin")),
                            new Real("b1", 0, 15, Scale.LINEAR, 0, when("function", "branin"))),
                    IntStream.range(0, 3)
                            .mapToObj(i -> new Real("a" + i, -10, 10, Scale.LINEAR, 0, when("function", "ackley"))),
                    IntStream.range(0, 6)
                            .mapToObj(i -> new Real("h" + i, 0, 1, Scale.LINEAR, 0, when("function", "hartmann"))))),
            0,
            p -> switch (word(p, "function")) {
                case "branin" -> 0.5 + (branin(number(p, "b0"), number(p, "b1")) - BRANIN.minimum()) / 10;
                case "ackley" -> 0.25 + ackley(new double[] {number(p, "a0"), number(p, "a1"), number(p, "a2")}) / 4;
                default ->
                    hartmann(IntStream.range(0, 6)
                                    .mapToDouble(i -> number(p, "h" + i))
                                    .toArray())
                            - HARTMANN_6.minimum();
            });

    /** An imagined network whose optimizers have settings of their own and whose layers exist one after the other. */
    static final Problem CONDITIONAL_NETWORK = new Problem(
            "conditional-network",
            new Space(List.of(
                    new Choice("optimizer", words("sgd", "adam", "rmsprop")),
                    new Real("rate", 1e-5, 1, Scale.LOG),
                    new Real("momentum", 0, 0.99, Scale.LINEAR, 0, when("optimizer", "sgd")),
                    new Real("decay", 1e-6, 0.1, Scale.LOG, 0, when("optimizer", "sgd", "adam")),
                    new Whole("layers", 1, 4),
                    new Whole("width1", 8, 512, Scale.LOG, 1, null),
                    new Whole("width2", 8, 512, Scale.LOG, 1, atLeast("layers", 2, 4)),
                    new Whole("width3", 8, 512, Scale.LOG, 1, atLeast("layers", 3, 4)),
                    new Whole("width4", 8, 512, Scale.LOG, 1, atLeast("layers", 4, 4)))),
            0,
            StandardFunctions::conditionalNetwork);

    /** All of them, the smooth ones first. */
    static List<Problem> all() {
        return List.of(
                BRANIN,
                HARTMANN_6,
                ROSENBROCK_5,
                ROSENBROCK_20,
                ACKLEY_10,
                MIXED_ACKLEY,
                MIXED_NETWORK,
                CONDITIONAL_FUNCTIONS,
                CONDITIONAL_NETWORK);
    }

    private static double network(Point p) {
        boolean relu = word(p, "activation").equals("relu");
        double rate = Math.log10(number(p, "rate"));
        double batch = Math.log(number(p, "batch") / 64) / Math.log(2);
        double capacity = Math.log(number(p, "layers") * number(p, "width") / 768) / Math.log(2);
        double layers = number(p, "layers") - 3;
        double penalty = switch (word(p, "activation")) {
            case "relu" -> 0.3;
            case "tanh" -> 0.6;
            case "gelu" -> 0;
            default -> 1.5;
        };
        double best = -2.5 + 0.3 * batch + (relu ? 0.5 : 0);
        return 1.2 * square(rate - best)
                + 0.05 * square(batch)
                + 0.12 * square(capacity)
                + 0.06 * square(layers)
                + 3 * square(number(p, "dropout") - 0.25)
                + penalty;
    }

    private static double conditionalNetwork(Point p) {
        double rate = Math.log10(number(p, "rate"));
        double loss = switch (word(p, "optimizer")) {
            case "sgd" -> {
                double momentum = number(p, "momentum");
                yield square(rate + 1.5 + 2 * (momentum - 0.6))
                        + 2 * square(momentum - 0.9)
                        + 0.1 * square(Math.log10(number(p, "decay")) + 3.5);
            }
            case "adam" -> 0.15 + 1.5 * square(rate + 3) + 0.05 * square(Math.log10(number(p, "decay")) + 4.5);
            default -> 0.4 + 2 * square(rate + 3.3);
        };
        int layers = (int) number(p, "layers");
        double[] best = {128, 64, 32, 16};
        for (int i = 1; i <= layers; i++) {
            loss += 0.08 * square(Math.log(number(p, "width" + i) / best[i - 1]) / Math.log(2));
        }
        return loss + 0.25 * Math.abs(layers - 3);
    }

    /** Three minima; Branin 1972. */
    private static double branin(double x, double y) {
        double bend = y - 5.1 / (4 * Math.PI * Math.PI) * x * x + 5 / Math.PI * x - 6;
        return bend * bend + 10 * (1 - 1 / (8 * Math.PI)) * Math.cos(x) + 10;
    }

    private static final double[][] HARTMANN_SCALES = {
        {10, 3, 17, 3.5, 1.7, 8}, {0.05, 10, 17, 0.1, 8, 14}, {3, 3.5, 1.7, 10, 17, 8}, {17, 8, 0.05, 10, 0.1, 14}
    };
    private static final double[][] HARTMANN_CENTRES = {
        {0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886},
        {0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991},
        {0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650},
        {0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381}
    };
    private static final double[] HARTMANN_WEIGHTS = {1, 1.2, 3, 3.2};

    /** Four bumps in six dimensions; Hartman 1973. */
    private static double hartmann(double[] x) {
        double sum = 0;
        for (int i = 0; i < 4; i++) {
            double exponent = 0;
            for (int j = 0; j < 6; j++) {
                exponent += HARTMANN_SCALES[i][j] * square(x[j] - HARTMANN_CENTRES[i][j]);
            }
            sum -= HARTMANN_WEIGHTS[i] * Math.exp(-exponent);
        }
        return sum;
    }

    /** A curved valley; Rosenbrock 1960. */
    private static double rosenbrock(double[] x) {
        double sum = 0;
        for (int i = 0; i + 1 < x.length; i++) {
            sum += 100 * square(x[i + 1] - x[i] * x[i]) + square(1 - x[i]);
        }
        return sum;
    }

    /** A funnel full of holes; Ackley 1987. */
    private static double ackley(double[] x) {
        double squares = 0;
        double waves = 0;
        for (double value : x) {
            squares += value * value;
            waves += Math.cos(2 * Math.PI * value);
        }
        return -20 * Math.exp(-0.2 * Math.sqrt(squares / x.length)) - Math.exp(waves / x.length) + 20 + Math.E;
    }

    private static double square(double value) {
        return value * value;
    }

    private static Space reals(int dimension, double low, double high) {
        return new Space(IntStream.range(0, dimension)
                .<Parameter>mapToObj(i -> new Real("x" + i, low, high))
                .toList());
    }

    @SafeVarargs
    private static List<Parameter> concat(Stream<? extends Parameter>... parts) {
        List<Parameter> all = new ArrayList<>();
        for (Stream<? extends Parameter> part : parts) {
            part.forEach(all::add);
        }
        return all;
    }

    private static Condition when(String parent, String... words) {
        return new Condition(parent, Set.copyOf(words(words)));
    }

    private static Condition atLeast(String parent, int low, int high) {
        return new Condition(
                parent,
                new HashSet<>(IntStream.rangeClosed(low, high)
                        .mapToObj(Value.Whole::new)
                        .toList()));
    }

    private static List<Value> words(String... words) {
        return Stream.of(words).<Value>map(Value.Word::new).toList();
    }

    private static List<Value> wholes(long... numbers) {
        return Arrays.stream(numbers).<Value>mapToObj(Value.Whole::new).toList();
    }

    private static double[] vector(Point point, int dimension) {
        return IntStream.range(0, dimension)
                .mapToDouble(i -> number(point, "x" + i))
                .toArray();
    }

    private static double number(Point point, String name) {
        return Space.number(value(point, name));
    }

    private static String word(Point point, String name) {
        return value(point, name).text();
    }

    private static Value value(Point point, String name) {
        Value value = point.get(name);
        if (value == null) {
            throw new IllegalArgumentException(name + " is missing in " + point);
        }
        return value;
    }
}
