package concertina.trials;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import concertina.model.UserName;
import concertina.search.Parameter;
import concertina.search.Point;
import concertina.search.Space;
import concertina.search.Suggestion;
import concertina.search.Trial;
import concertina.search.Value;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class PluginSamplerTest {
    private static final Plugin PLUGIN =
            new Plugin("mine", Path.of("/plugins/mine"), "", "", "INFO", new UserName("ann"), Instant.EPOCH);
    private static final PluginSampler.Task TASK = new PluginSampler.Task(
            new Space(List.of(
                    new Parameter.Real("rate", 0, 1, Parameter.Scale.LINEAR, 0.25, null),
                    new Parameter.Whole("depth", 1, 5),
                    new Parameter.Choice("kind", List.of(new Value.Word("sgd"), new Value.Word("adam"))))),
            Map.of("random_seed", "2"),
            "[{\"name\": \"rate\", \"type\": \"Range\"}]",
            List.of(new Objective("accuracy", true)),
            List.of());
    private static final String POINT = "{\"rate\": 0.3, \"depth\": 2.0, \"kind\": \"adam\"}";

    /** Answers what was prepared; a missing answer is a process that is gone. */
    private static final class Scripted implements PluginHost.Starter {
        final Deque<String> answers = new ArrayDeque<>();
        final List<String> requests = new ArrayList<>();
        int started;
        int closed;
        Runnable beforeAnswering = () -> {};

        @Override
        public PluginHost start(Plugin plugin) {
            started++;
            return new PluginHost() {
                @Override
                public String call(String request) throws IOException {
                    requests.add(request);
                    if (request.contains("\"start\"")) {
                        return "{}";
                    }
                    beforeAnswering.run();
                    String answer = answers.pollFirst();
                    if (answer == null) {
                        throw new IOException("its process ended");
                    }
                    return answer;
                }

                @Override
                public String log() {
                    assertThat(closed).as("closed").isPositive();
                    return "last words";
                }

                @Override
                public void close() {
                    closed++;
                }
            };
        }

        Scripted proposes(String point, String state) {
            answers.add("{\"points\": [" + point + "], \"more\": true, \"state\": \"" + state + "\"}");
            return this;
        }
    }

    private static PluginSampler sampler(Scripted hosts, @Nullable String saved) {
        return new PluginSampler(hosts, PLUGIN, TASK, saved);
    }

    private static Trial trial(long number, Point point, Trial.State state) {
        return new Trial(number, point, OptionalDouble.empty(), OptionalLong.empty(), state);
    }

    @Test
    void whatIsProposedIsMovedToTheGridAndItsKind() {
        PluginSampler sampler = sampler(new Scripted().proposes(POINT, "a"), null);
        Suggestion suggestion = sampler.ask(0).orElseThrow();
        assertThat(suggestion.point().values())
                .containsExactly(
                        Map.entry("rate", new Value.Real(0.25)),
                        Map.entry("depth", new Value.Whole(2)),
                        Map.entry("kind", new Value.Word("adam")));
    }

    @Test
    void whatHasOneValueMayBeLeftOutAndIsInTheResults() {
        PluginSampler.Task fixed = new PluginSampler.Task(
                new Space(List.of(
                        new Parameter.Whole("depth", 1, 5),
                        new Parameter.Choice("batch", List.of(new Value.Whole(64))))),
                Map.of(),
                "[]",
                List.of(new Objective("loss", false)),
                List.of());
        Scripted hosts = new Scripted().proposes("{\"depth\": 2}", "a").proposes("{\"depth\": 3, \"batch\": 64}", "b");
        PluginSampler sampler = new PluginSampler(hosts, PLUGIN, fixed, null);
        Point point = sampler.ask(0).orElseThrow().point();
        assertThat(point.values())
                .containsExactly(Map.entry("depth", new Value.Whole(2)), Map.entry("batch", new Value.Whole(64)));
        sampler.tell(trial(0, point, new Trial.State.Complete(new double[] {1}, new double[0])));
        assertThat(sampler.ask(1).orElseThrow().point().get("batch")).isEqualTo(new Value.Whole(64));
        assertThat(hosts.requests.getLast()).contains("{\"name\":\"batch\",\"dataType\":\"int\",\"fixedVal\":\"64\"}");
        hosts.proposes("{\"depth\": 3, \"batch\": 32}", "c");
        assertThatThrownBy(() -> sampler.ask(2)).hasMessageContaining("proposed batch '32', accepted: one of 64");
    }

    @ParameterizedTest
    @CsvSource({"0.6,1", "5.4,5", "'\"2.5\"',3", "1e0,1"})
    void aWholeNumberIsRoundedBeforeItIsComparedWithItsRange(String depth, long whole) {
        Scripted hosts = new Scripted().proposes("{\"rate\": 0, \"depth\": " + depth + ", \"kind\": \"sgd\"}", "a");
        assertThat(sampler(hosts, null).ask(0).orElseThrow().point().get("depth"))
                .isEqualTo(new Value.Whole(whole));
    }

    @Test
    void aWholeNumberThatNoDoubleHoldsIsKept() {
        long large = (1L << 60) + 1;
        PluginSampler.Task wide = new PluginSampler.Task(
                new Space(List.of(new Parameter.Whole("n", large, large + 10))),
                Map.of(),
                "[]",
                List.of(new Objective("loss", false)),
                List.of());
        Scripted hosts = new Scripted().proposes("{\"n\": " + (large - 1) + "}", "a");
        assertThatThrownBy(() -> new PluginSampler(hosts, PLUGIN, wide, null).ask(0))
                .hasMessageContaining("proposed n '" + (large - 1) + "', accepted: a whole number from " + large);
    }

    @Test
    void eachResultIsToldOnceAndTheMetricIsTheUsersOwn() {
        Scripted hosts =
                new Scripted().proposes(POINT, "a").proposes(POINT, "b").proposes(POINT, "c");
        PluginSampler sampler = sampler(hosts, null);
        Point point = sampler.ask(0).orElseThrow().point();
        sampler.tell(trial(0, point, new Trial.State.Running()));
        sampler.tell(trial(0, point, new Trial.State.Complete(new double[] {-0.75}, new double[0])));
        sampler.ask(1);
        sampler.tell(trial(1, point, new Trial.State.Failed()));
        sampler.ask(2);
        assertThat(hosts.requests.get(1)).contains("\"results\":null");
        assertThat(hosts.requests.get(2))
                .contains("\"id\":0,\"state\":\"FINISHED\",\"metricVal\":0.75")
                .contains("{\"name\":\"depth\",\"dataType\":\"int\",\"fixedVal\":\"2\"}");
        assertThat(hosts.requests.get(3))
                .doesNotContain("\"id\":0")
                .contains("\"id\":1,\"state\":\"FAILED\",\"metricVal\":9999.99");
    }

    @Test
    void aNewInstanceGoesOnFromWhatWasSaved() {
        Scripted hosts = new Scripted().proposes(POINT, "first").proposes(POINT, "second");
        PluginSampler sampler = sampler(hosts, null);
        Point point = sampler.ask(0).orElseThrow().point();
        Trial running = trial(0, point, new Trial.State.Running());
        Trial complete = trial(0, point, new Trial.State.Complete(new double[] {1}, new double[0]));
        sampler.tell(running);
        sampler.tell(complete);
        sampler.ask(1);
        String saved = sampler.saved();
        sampler.close();

        Scripted after = new Scripted().proposes(POINT, "third");
        PluginSampler again = sampler(after, saved);
        for (Trial told : List.of(
                running,
                complete,
                trial(1, point, new Trial.State.Running()),
                trial(1, point, new Trial.State.Failed()))) {
            again.tell(told);
        }
        again.ask(2);
        assertThat(after.requests.getFirst()).contains("\"state\":\"second\"");
        assertThat(after.requests.getLast()).contains("\"id\":1").doesNotContain("\"id\":0,");
    }

    @Test
    void aProcessThatDiesIsFollowedByAnotherAndThenTheSearchIsTold() {
        Scripted hosts = new Scripted();
        hosts.answers.add("{\"error\": \"ValueError: once\", \"traceback\": \"line 3\"}");
        hosts.proposes(POINT, "a");
        PluginSampler sampler = sampler(hosts, null);
        assertThat(sampler.ask(0)).isPresent();
        assertThat(hosts.started).isEqualTo(2);
        assertThat(hosts.closed).isEqualTo(1);
        assertThatThrownBy(() -> sampler.ask(1))
                .hasMessage("plug-in mine failed 3 times in a row, last with: its process ended");
        assertThat(hosts.closed).isEqualTo(hosts.started);
    }

    @Test
    void whoIsInterruptedEndsItsProcessAndStartsNoOther() {
        Scripted hosts = new Scripted();
        PluginSampler sampler = sampler(hosts, null);
        hosts.beforeAnswering = sampler::cancel;
        assertThatThrownBy(() -> sampler.ask(0)).isInstanceOf(IllegalStateException.class);
        assertThat(hosts.closed).isPositive();
        assertThatThrownBy(() -> sampler.ask(0)).isInstanceOf(IllegalStateException.class);
        assertThat(hosts.started).isEqualTo(1);
    }

    @Test
    void noPointIsTheEndOfTheSearch() {
        Scripted hosts = new Scripted();
        hosts.answers.add("{\"points\": [], \"more\": false, \"state\": \"a\"}");
        PluginSampler sampler = sampler(hosts, null);
        assertThat(sampler.ask(0)).isEqualTo(Optional.empty());
        assertThat(sampler.exhausted()).isTrue();
        assertThat(sampler.ask(1)).isEqualTo(Optional.empty());
    }

    @Test
    void whatCannotBeIsRefusedByName() {
        Map<String, String> reasons = Map.of(
                "{\"rate\": 0.3, \"depth\": 2}", "proposed names 'rate, depth', accepted: rate, depth, kind",
                "{\"rate\": 0.3, \"depth\": 2, \"kind\": \"sgd\", \"x\": 1}", "proposed names 'rate, depth, kind, x'",
                "{\"rate\": 0, \"depth\": 5.5, \"kind\": \"sgd\"}",
                        "proposed depth '5.5', accepted: a whole number from 1 to 5",
                "{\"rate\": 0, \"depth\": \"NaN\", \"kind\": \"sgd\"}", "proposed depth 'NaN'",
                "{\"rate\": 3, \"depth\": 2, \"kind\": \"sgd\"}",
                        "proposed rate '3', accepted: a number from 0.0 to 1.0",
                "{\"rate\": 0, \"depth\": 2, \"kind\": \"lbfgs\"}", "proposed kind 'lbfgs', accepted: one of sgd, adam",
                "{\"rate\": \"much\", \"depth\": 2, \"kind\": \"sgd\"}", "proposed rate 'much'");
        reasons.forEach((point, reason) -> assertThatThrownBy(
                        () -> sampler(new Scripted().proposes(point, "a"), null).ask(0))
                .hasMessageContaining(reason));
    }
}
