package concertina.trials;

import concertina.model.ConcertinaException;
import concertina.search.Asha;
import concertina.search.Auto;
import concertina.search.BayesianSampler;
import concertina.search.CmaEs;
import concertina.search.GivenList;
import concertina.search.Grid;
import concertina.search.Hyperband;
import concertina.search.ModelPerResource;
import concertina.search.Parameter;
import concertina.search.Population;
import concertina.search.RandomSearch;
import concertina.search.Sampler;
import concertina.search.Sobol;
import concertina.search.Space;
import concertina.search.Tpe;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import org.jspecify.annotations.Nullable;

/** The algorithms that need no plug-in, under the names and with the parameters that clients know. Stateless. */
public final class BuiltInSamplers implements Samplers {
    /** What a search gets that names no algorithm. */
    public static final String STANDARD = "Auto";

    private static final long MOST_COMPARED = 1_000_000;
    private static final int LARGEST_POPULATION = 1000;

    /** How many values may stand for ranges, for one and for all together; and how many draws a suggestion is chosen from. */
    private static final int MOST_VALUES = 10_000;

    private static final int MOST_VALUES_IN_ALL = 100_000;
    private static final int MOST_DRAWS = 10_000;
    private static final String RESOURCE_NAME = "ResourceName";
    private static final String RESOURCE_VALUE = "ResourceValue";
    private static final String GO_ON = "GoOnFromParent";

    /** In the order in which they are listed: those of the contract come first. */
    private enum Algorithm {
        RANDOM("Random"),
        TPE("TPE"),
        BAYESIAN("Bayesian"),
        HYPERBAND("Hyperband"),
        EXPERIMENT_GRID_SEARCH("ExperimentGridSearch"),
        AUTO("Auto"),
        SOBOL("Sobol"),
        GRID("Grid"),
        ASHA("ASHA"),
        BOHB("BOHB"),
        CMA_ES("CMA-ES"),
        PBT("PBT");

        private final String label;

        Algorithm(String label) {
            this.label = label;
        }

        boolean givesResource() {
            return this == HYPERBAND || this == ASHA || this == BOHB || this == PBT;
        }

        static Optional<Algorithm> labelled(String label) {
            return Arrays.stream(values())
                    .filter(algorithm -> algorithm.label.equalsIgnoreCase(label))
                    .findFirst();
        }
    }

    /** Names in the order in which they are listed. */
    public static List<String> names() {
        return Arrays.stream(Algorithm.values())
                .map(algorithm -> algorithm.label)
                .toList();
    }

    /** Names as a message lists them. */
    public static String accepted() {
        return "one of " + String.join(", ", names());
    }

    /** The name as it is listed, whatever the case; empty when there is no such algorithm. */
    public static Optional<String> named(String name) {
        return Algorithm.labelled(name).map(algorithm -> algorithm.label);
    }

    /** Whether the algorithm tries a list of points that the user gives. */
    public static boolean takesList(String name) {
        return Algorithm.labelled(name)
                .filter(algorithm -> algorithm == Algorithm.EXPERIMENT_GRID_SEARCH)
                .isPresent();
    }

    /** Whether the algorithm has the parameter {@code eta}. */
    public static boolean takesEta(String name) {
        return Algorithm.labelled(name)
                .filter(algorithm -> algorithm.givesResource() && algorithm != Algorithm.PBT)
                .isPresent();
    }

    /** How much of the resource a user's own point is given: all that a trial can get; empty where the algorithm gives none. */
    static OptionalDouble wholeResource(SearchSpec spec) {
        return resource(spec.algorithm(), spec.settings()).isEmpty() || trainsPopulation(spec)
                ? OptionalDouble.empty()
                : OptionalDouble.of(new AlgorithmSettings(spec).needed(RESOURCE_VALUE, 0));
    }

    /** Whether trials are rounds of members of a population, each going on from another. */
    static boolean trainsPopulation(SearchSpec spec) {
        return Algorithm.labelled(spec.algorithm())
                .filter(algorithm -> algorithm == Algorithm.PBT)
                .isPresent();
    }

    /** Whether an algorithm makes use of trials that belong to other searches. Plug-ins are told of them too. */
    static boolean learnsFromOthers(String name) {
        return Algorithm.labelled(name)
                .filter(algorithm -> algorithm == Algorithm.EXPERIMENT_GRID_SEARCH || algorithm.givesResource())
                .isEmpty();
    }

    /** Under which name a trial finds how much of the resource it has; empty where the algorithm gives none. */
    public static String resource(String name, Map<String, String> settings) {
        return Algorithm.labelled(name)
                .filter(Algorithm::givesResource)
                .flatMap(algorithm -> AlgorithmSettings.find(settings, RESOURCE_NAME))
                .orElse("");
    }

    @Override
    public Sampler create(SearchSpec spec, @Nullable String saved) {
        Algorithm algorithm = Algorithm.labelled(spec.algorithm())
                .orElseThrow(() -> ConcertinaException.invalid("algoDef.algorithm", spec.algorithm(), accepted()));
        AlgorithmSettings settings = new AlgorithmSettings(spec);
        long seed = settings.whole("RandomSeed", spec.seed(), Long.MIN_VALUE, Long.MAX_VALUE);
        Space space = spec.space();
        Sampler sampler = switch (algorithm) {
            case RANDOM -> new RandomSearch(space, seed);
            case BAYESIAN -> new BayesianSampler(space, bayesian(spec, settings), seed);
            case AUTO ->
                new Auto(
                        space,
                        spec.maxTrials() < 0 ? OptionalLong.empty() : OptionalLong.of(spec.maxTrials()),
                        spec.parallel(),
                        noiseless(settings),
                        spec.objectives().size(),
                        seed);
            case SOBOL -> new Sobol(space, seed);
            case CMA_ES -> new CmaEs(space, seed);
            case GRID -> new Grid(space, resolution(spec, settings));
            case TPE -> new Tpe(space, tpe(spec, settings), seed);
            case HYPERBAND ->
                new Hyperband(new RandomSearch(space, seed), resourceValue(spec, settings, 1), eta(settings));
            case BOHB ->
                new Hyperband(
                        new ModelPerResource(
                                new RandomSearch(space, seed),
                                () -> new Tpe(space, modelPerResource(space), seed),
                                modelPerResource(space).warmUp(),
                                seed),
                        resourceValue(spec, settings, 1),
                        eta(settings));
            case ASHA -> {
                double smallest = settings.above("MinResourceValue", 1, 0);
                yield new Asha(
                        new RandomSearch(space, seed),
                        smallest,
                        resourceValue(spec, settings, smallest),
                        eta(settings));
            }
            case PBT -> {
                checkResourceName(spec, settings);
                yield new Population(
                        space,
                        new Sobol(space, seed),
                        seed,
                        (int) settings.whole("PopulationSize", 10, 4, LARGEST_POPULATION),
                        settings.count("Rounds", 10, 1),
                        settings.above("RoundResource", 1, 0));
            }
            case EXPERIMENT_GRID_SEARCH ->
                new GivenList(spec.given().stream().map(GivenPoint::point).toList());
        };
        if (takesEta(spec.algorithm())) {
            settings.yes(GO_ON, false);
        }
        settings.refuseOthers();
        return sampler;
    }

    private static BayesianSampler.Settings bayesian(SearchSpec spec, AlgorithmSettings settings) {
        BayesianSampler.Settings best = BayesianSampler.Settings.BEST;
        // The contract's bounds: as many places as trials, and no fewer than usual where there is no limit of these.
        long compared = settings.whole("CubeSize", best.cubeSize(), Math.max(1, spec.maxTrials()), MOST_COMPARED);
        return new BayesianSampler.Settings(
                settings.count("InitPoints", best.initialPoints(), 1),
                spec.maxTrials() < 0 ? Math.max(best.cubeSize(), compared) : compared,
                noiseless(settings));
    }

    private static boolean noiseless(AlgorithmSettings settings) {
        return settings.yes("Noiseless", BayesianSampler.Settings.BEST.noiseless());
    }

    private static Tpe.Settings tpe(SearchSpec spec, AlgorithmSettings settings) {
        Tpe.Settings best = Tpe.Settings.BEST;
        int warmUp = settings.count("WarmUp", best.warmUp(), 3);
        return new Tpe.Settings(
                spec.maxTrials() < 0 ? warmUp : (int) Math.min(warmUp, spec.maxTrials()),
                (int) settings.whole("EICandidate", best.candidates(), 2, MOST_DRAWS),
                Math.min(settings.above("GoodRatio", best.goodRatio(), 0), 1),
                Math.min(settings.count("GoodMax", best.goodMost(), 2), Tpe.Settings.MOST_GOOD));
    }

    /** A model is asked as soon as it has seen enough, two more results than there are parameters, and then it chooses. */
    private static Tpe.Settings modelPerResource(Space space) {
        Tpe.Settings best = Tpe.Settings.BEST;
        return new Tpe.Settings(space.size() + 2, best.candidates(), best.goodRatio(), best.goodMost());
    }

    /** How many values stand for a range without steps; none unless it is given. */
    private static Map<String, Integer> resolution(SearchSpec spec, AlgorithmSettings settings) {
        int values = (int) settings.whole("Resolution", 0, 1, MOST_VALUES);
        Map<String, Integer> resolution = new HashMap<>();
        for (Parameter parameter : spec.parameters()) {
            if (values > 0 && Space.cells(parameter) == 0) {
                resolution.put(parameter.name(), values);
            }
        }
        if ((long) values * resolution.size() > MOST_VALUES_IN_ALL) {
            throw ConcertinaException.invalid(
                    "algoParams Resolution of " + spec.algorithm(),
                    Integer.toString(values),
                    "at most " + MOST_VALUES_IN_ALL / resolution.size() + " with " + resolution.size() + " ranges");
        }
        return resolution;
    }

    /** Whether a trial that another one led to is handed what that one left: always in a population, else if the user asks for it. */
    static boolean goesOn(SearchSpec spec) {
        return trainsPopulation(spec)
                || AlgorithmSettings.find(spec.settings(), GO_ON)
                        .filter(value -> value.strip().equalsIgnoreCase("true"))
                        .isPresent();
    }

    private static double eta(AlgorithmSettings settings) {
        return settings.above("eta", 3, 1);
    }

    private static void checkResourceName(SearchSpec spec, AlgorithmSettings settings) {
        String name = settings.neededText(RESOURCE_NAME, "the name under which a trial finds how much it is given");
        if (spec.parameters().stream().anyMatch(parameter -> parameter.name().equals(name))) {
            throw ConcertinaException.invalid("algoParams " + RESOURCE_NAME, name, "a name that no hyperparameter has");
        }
    }

    private static double resourceValue(SearchSpec spec, AlgorithmSettings settings, double least) {
        checkResourceName(spec, settings);
        double value = settings.needed(RESOURCE_VALUE, 0);
        if (value < least) {
            throw ConcertinaException.invalid(
                    "algoParams " + RESOURCE_VALUE, Double.toString(value), "at least " + least);
        }
        return value;
    }
}
