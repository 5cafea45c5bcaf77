import concertina.search.Auto;
import concertina.search.BayesianSampler;
import concertina.search.CmaEs;
import concertina.search.Parameter;
import concertina.search.Parameter.Choice;
import concertina.search.Parameter.Condition;
import concertina.search.Parameter.Real;
import concertina.search.Parameter.Scale;
import concertina.search.Parameter.Whole;
import concertina.search.Point;
import concertina.search.RandomSearch;
import concertina.search.Sampler;
import concertina.search.Sobol;
import concertina.search.Space;
import concertina.search.Suggestion;
import concertina.search.Tpe;
import concertina.search.Trial;
import concertina.search.Value;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import java.util.Set;

/**
 * Our samplers as a process to ask and tell, one line for each: fields between tabs.
 *
 * <pre>
 * real|log|whole name low high [parent value]     adds a parameter; the last two say when it exists
 * choice name a,b,c [parent value]
 * start sampler seed trials                       a new search in these parameters, which are then forgotten
 * ask                                             answered with: nanoseconds of the processor, reason, name, value, name, value, ...
 * tell loss                                       the result of what was asked last
 * cost trials questions                           tells so many random trials; answered with the nanoseconds of so many suggestions
 * memory                                          answered with the bytes in use after collecting garbage
 * </pre>
 */
final class AskTell {
    private final List<Parameter> parameters = new ArrayList<>();
    private Space space;
    private Sampler sampler;
    private long number;
    private Point asked;

    public static void main(String[] arguments) throws IOException {
        AskTell search = new AskTell();
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            search.obey(line.split("\t"));
        }
    }

    private void obey(String[] fields) {
        switch (fields[0]) {
            case "real", "log" ->
                parameters.add(new Real(
                        fields[1],
                        Double.parseDouble(fields[2]),
                        Double.parseDouble(fields[3]),
                        fields[0].equals("log") ? Scale.LOG : Scale.LINEAR,
                        0,
                        condition(fields, 4)));
            case "whole" ->
                parameters.add(new Whole(
                        fields[1],
                        Long.parseLong(fields[2]),
                        Long.parseLong(fields[3]),
                        Scale.LINEAR,
                        1,
                        condition(fields, 4)));
            case "choice" -> {
                List<Value> values = new ArrayList<>();
                for (String word : fields[2].split(",")) {
                    values.add(new Value.Word(word));
                }
                parameters.add(new Choice(fields[1], values, false, condition(fields, 3)));
            }
            case "start" -> {
                sampler = sampler(fields[1], Long.parseLong(fields[2]), Long.parseLong(fields[3]));
                parameters.clear();
                number = 0;
            }
            case "ask" -> ask();
            case "tell" ->
                sampler.tell(trial(complete(Double.parseDouble(fields[1]))));
            case "cost" -> cost(Long.parseLong(fields[1]), Integer.parseInt(fields[2]));
            case "memory" -> memory();
            default -> throw new IllegalArgumentException(fields[0]);
        }
    }

    /** Each suggestion is followed by a trial that ends, so that nothing can be remembered from the one before. */
    private void cost(long trials, int questions) {
        SplittableRandom random = new SplittableRandom(number);
        while (number < trials) {
            double[] place = random.doubles(space.size()).toArray();
            asked = space.decode(place);
            number++;
            sampler.tell(trial(complete(loss(place))));
        }
        StringBuilder answer = new StringBuilder();
        for (int i = 0; i < questions; i++) {
            long started = processorTime();
            asked = sampler.ask(number).orElseThrow().point();
            answer.append(i == 0 ? "" : "\t").append(processorTime() - started);
            number++;
            sampler.tell(trial(new Trial.State.Running()));
            sampler.tell(trial(complete(loss(space.encode(asked)))));
        }
        System.out.println(answer);
    }

    /** Of this thread alone, so that what else the machine does counts little. */
    private static long processorTime() {
        return ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime();
    }

    private static double loss(double[] place) {
        double loss = 0;
        for (double u : place) {
            loss += Double.isNaN(u) ? 0.1 : (u - 0.3) * (u - 0.3);
        }
        return loss;
    }

    private static void memory() {
        for (int i = 0; i < 4; i++) {
            System.gc();
        }
        System.out.println(
                Runtime.getRuntime().totalMemory() - Runtime.getRuntime().freeMemory());
    }

    private static Trial.State complete(double loss) {
        return new Trial.State.Complete(new double[] {loss}, new double[0]);
    }

    private static Condition condition(String[] fields, int from) {
        return fields.length > from ? new Condition(fields[from], Set.of(new Value.Word(fields[from + 1]))) : null;
    }

    private Sampler sampler(String name, long seed, long trials) {
        space = new Space(parameters);
        return switch (name) {
            case "random" -> new RandomSearch(space, seed);
            case "sobol" -> new Sobol(space, seed);
            case "auto" -> new Auto(space, OptionalLong.of(trials), 1, true, seed);
            case "tpe" -> new Tpe(space, Tpe.Settings.BEST, seed);
            case "bayesian" -> new BayesianSampler(space, BayesianSampler.Settings.BEST, seed);
            case "cma-es" -> new CmaEs(space, seed);
            default -> throw new IllegalArgumentException(name);
        };
    }

    private void ask() {
        long started = processorTime();
        Suggestion suggestion = sampler.ask(number).orElseThrow();
        long nanoseconds = processorTime() - started;
        asked = suggestion.point();
        number++;
        sampler.tell(trial(new Trial.State.Running()));
        StringBuilder answer = new StringBuilder().append(nanoseconds).append('\t').append(suggestion.reason());
        asked.values().forEach((name, value) ->
                answer.append('\t').append(name).append('\t').append(value.text()));
        System.out.println(answer);
    }

    private Trial trial(Trial.State state) {
        return new Trial(number - 1, asked, OptionalDouble.empty(), OptionalLong.empty(), state);
    }
}
