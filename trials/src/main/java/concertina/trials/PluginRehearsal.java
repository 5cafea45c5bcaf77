package concertina.trials;

import concertina.model.ConcertinaException;
import concertina.search.Parameter;
import concertina.search.Space;
import concertina.search.Suggestion;
import concertina.search.Trial;
import concertina.search.Value;
import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * What a plug-in proposes when it is tried without any job.
 *
 * @param points by name, as trials would find them
 * @param error what went wrong, empty for nothing
 * @param log what the plug-in printed
 */
public record PluginRehearsal(List<Map<String, String>> points, String error, String log) {
    private static final int POINTS = 4;

    /** Asks for a few points; the results told in between are made up, and fall from one to the next. */
    public static PluginRehearsal of(
            PluginHost.Starter hosts,
            Plugin plugin,
            List<Parameter> parameters,
            Map<String, String> settings,
            String hyperParameters) {
        List<Map<String, String>> points = new ArrayList<>();
        StringBuffer log = new StringBuffer();
        PluginHost.Starter listening = started -> new Listening(hosts.start(started), log);
        try (PluginSampler sampler = new PluginSampler(
                listening,
                plugin,
                new PluginSampler.Task(
                        new Space(parameters), settings, hyperParameters, List.of(new Objective("", false)), List.of()),
                null)) {
            for (int number = 0; number < POINTS; number++) {
                Optional<Suggestion> suggestion = sampler.ask(number);
                if (suggestion.isEmpty()) {
                    break;
                }
                Map<String, String> values = new LinkedHashMap<>();
                for (Map.Entry<String, Value> value :
                        suggestion.get().point().values().entrySet()) {
                    values.put(value.getKey(), value.getValue().text());
                }
                points.add(values);
                sampler.tell(trial(number, suggestion.get(), new Trial.State.Running()));
                sampler.tell(trial(
                        number,
                        suggestion.get(),
                        new Trial.State.Complete(new double[] {1.0 / (number + 1)}, new double[0])));
            }
            return new PluginRehearsal(List.copyOf(points), "", listen(sampler, log));
        } catch (ConcertinaException failed) {
            return new PluginRehearsal(List.copyOf(points), String.valueOf(failed.getMessage()), log.toString());
        }
    }

    private static String listen(PluginSampler sampler, StringBuffer log) {
        sampler.close();
        return log.toString();
    }

    private static Trial trial(int number, Suggestion suggestion, Trial.State state) {
        return new Trial(number, suggestion.point(), suggestion.resource(), suggestion.parent(), state);
    }

    /** Keeps what a process printed beyond its end. */
    private record Listening(PluginHost host, StringBuffer heard) implements PluginHost {
        @Override
        public String call(String request) throws IOException {
            return host.call(request);
        }

        @Override
        public String log() {
            return host.log();
        }

        @Override
        public void close() {
            host.close();
            heard.append(host.log());
        }
    }
}
