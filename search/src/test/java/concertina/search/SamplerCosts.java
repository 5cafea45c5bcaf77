package concertina.search;

import concertina.search.Trial.State;
import java.lang.management.ManagementFactory;
import java.lang.ref.Reference;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import java.util.SplittableRandom;
import java.util.function.BiFunction;

/**
 * Measures the processor time of a suggestion after 1,000 trials, and how much a sampler keeps after 1,000, 10,000 and 100,000. To be run by hand:
 * {@code java -cp <test class path> concertina.search.SamplerCosts [name]}.
 */
final class SamplerCosts {
    private SamplerCosts() {}

    static Map<String, BiFunction<Space, Long, Sampler>> samplers() {
        Map<String, BiFunction<Space, Long, Sampler>> samplers = new LinkedHashMap<>();
        samplers.put("random", RandomSearch::new);
        samplers.put("sobol", Sobol::new);
        samplers.put("cma-es", CmaEs::new);
        samplers.put("tpe", (space, seed) -> new Tpe(space, Tpe.Settings.BEST, seed));
        return samplers;
    }

    public static void main(String[] arguments) {
        Map<String, Space> spaces = Map.of(
                "hartmann-6", StandardFunctions.HARTMANN_6.space(),
                "mixed-network", StandardFunctions.MIXED_NETWORK.space(),
                "conditional-network", StandardFunctions.CONDITIONAL_NETWORK.space(),
                "rosenbrock-20", StandardFunctions.ROSENBROCK_20.space(),
                "finite", SamplerContract.FINITE);
        samplers().forEach((name, make) -> {
            if (arguments.length == 0 || arguments[0].equals(name)) {
                spaces.forEach((space, parameters) -> measure(name, space, parameters, make));
            }
        });
    }

    private static void measure(String name, String spaceName, Space space, BiFunction<Space, Long, Sampler> make) {
        long before = used();
        Sampler sampler = make.apply(space, 1L);
        SplittableRandom random = new SplittableRandom(1);
        int told = 0;
        StringBuilder line = new StringBuilder(String.format(Locale.ROOT, "%-8s %-20s", name, spaceName));
        for (int until : new int[] {1000, 10_000, 100_000}) {
            while (told < until) {
                tell(sampler, space, told++, random);
            }
            line.append(String.format(Locale.ROOT, " %6d trials: %5d KiB", until, (used() - before) / 1024));
            if (until == 1000) {
                line.append(String.format(Locale.ROOT, ", %6.1f µs a suggestion;", micros(sampler, until)));
            }
        }
        Reference.reachabilityFence(sampler);
        System.out.println(line);
    }

    private static void tell(Sampler sampler, Space space, long number, SplittableRandom random) {
        Point point = space.decode(RandomSearch.uniform(space, random));
        Trial trial = new Trial(number, point, OptionalDouble.empty(), OptionalLong.empty(), new State.Running());
        sampler.tell(trial);
        double loss = SamplerContract.loss(space, point, 0.3);
        sampler.tell(SamplerContract.ended(
                trial,
                random.nextInt(10) == 0 ? new State.Failed() : new State.Complete(new double[] {loss}, new double[0])));
    }

    private static double micros(Sampler sampler, int number) {
        double best = Double.POSITIVE_INFINITY;
        for (int round = 0; round < 30; round++) {
            long start = ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime();
            for (int i = 0; i < 100; i++) {
                sampler.ask(number + i);
            }
            long spent = ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime() - start;
            best = Math.min(best, spent / 100e3);
        }
        return best;
    }

    private static long used() {
        for (int i = 0; i < 4; i++) {
            System.gc();
        }
        Runtime runtime = Runtime.getRuntime();
        return runtime.totalMemory() - runtime.freeMemory();
    }
}
