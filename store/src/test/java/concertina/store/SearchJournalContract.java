package concertina.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import concertina.model.ConcertinaException;
import concertina.model.Framework;
import concertina.model.JobId;
import concertina.model.JobSpec;
import concertina.model.UserName;
import concertina.search.Parameter;
import concertina.search.Point;
import concertina.search.Value;
import concertina.trials.Aggregate;
import concertina.trials.Constraint;
import concertina.trials.EarlyStopping;
import concertina.trials.GivenPoint;
import concertina.trials.MetricSummary;
import concertina.trials.Objective;
import concertina.trials.SearchEvent;
import concertina.trials.SearchJournal;
import concertina.trials.SearchSpec;
import concertina.trials.StopWhenConverged;
import concertina.trials.TrialReport;
import concertina.trials.TrialResult;
import concertina.trials.WarmStart;
import java.time.Instant;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

/** What every journal of searches promises; an implementation's test extends this. */
public abstract class SearchJournalContract {
    private static final Instant NOON = Instant.parse("2030-01-01T12:00:00.123456789Z");
    private static final UserName ADA = new UserName("ada");

    /** The journal under test, empty at first, the same one until it is reopened. */
    protected abstract SearchJournal searchJournal();

    /** Closes the journal and opens it again, as a restart of the server does. */
    protected abstract SearchJournal searchJournalReopened();

    private static List<SearchEvent> events() {
        Map<String, Value> values = new LinkedHashMap<>();
        values.put("rate", new Value.Real(1e-4));
        values.put("layers", new Value.Whole(3));
        values.put("optimizer", new Value.Word("adam"));
        Point point = new Point(values);
        JobSpec.Trial trial = new JobSpec.Trial("s", 4, "{\"rate\":0.1}\n", new JobId("c-1"), new JobId("c-0"));
        JobSpec job = new JobSpec(
                        Framework.PYTORCH,
                        "search",
                        "--exec-start PyTorch",
                        "main.py",
                        "",
                        List.of(),
                        List.of("--epochs", "3"),
                        1,
                        1,
                        false,
                        5000,
                        Map.of("A", "b"),
                        "",
                        "",
                        "",
                        0)
                .asTrial(trial);
        SearchSpec spec = new SearchSpec(
                "TPE",
                Map.of("RandomSeed", "2"),
                List.of(
                        new Parameter.Real("rate", 1e-5, 1, Parameter.Scale.LOG),
                        new Parameter.Whole("layers", 1, 9),
                        new Parameter.Choice("optimizer", List.of(new Value.Word("adam"), new Value.Word("sgd"))),
                        new Parameter.Real(
                                "momentum",
                                0,
                                1,
                                Parameter.Scale.LINEAR,
                                0.1,
                                new Parameter.Condition("optimizer", Set.of(new Value.Word("sgd"))))),
                List.of(new GivenPoint(7, point)),
                "epochs",
                List.of(new Objective("loss", false), new Objective("accuracy", true)),
                List.of(new Constraint("memory", 16, false)),
                Map.of("time", Aggregate.LATEST),
                100,
                4,
                60,
                42,
                new EarlyStopping(EarlyStopping.Rule.ASHA, 1, 27, 3, 5),
                new StopWhenConverged(10, 0.01),
                job,
                new JobId("c-1"),
                "{\"hpoName\":\"s\"}");
        return List.of(
                new SearchEvent.Created(ADA, spec),
                new SearchEvent.WarmStarted(new WarmStart(
                        List.of("before"),
                        List.of(new WarmStart.Earlier(
                                "before", 3, point, List.of(new MetricSummary("loss", 0.1, 2, 0.3)))),
                        7)),
                new SearchEvent.PointEnqueued(point),
                new SearchEvent.TrialAsked(0, point, 27.0, 3L, new JobId("c-2"), true, "why"),
                new SearchEvent.TrialAsked(1, point, null, null, new JobId("c-3"), false, ""),
                new SearchEvent.TrialRetried(0, new JobId("c-4"), NOON),
                new SearchEvent.TrialRetried(0, new JobId("c-5"), null),
                new SearchEvent.TrialEnded(
                        0, new TrialResult.Measured(List.of(new MetricSummary("loss", 0.1, 2, 0.3))), NOON),
                new SearchEvent.TrialEnded(1, new TrialResult.Failed("exit code 1"), null),
                new SearchEvent.TrialEnded(1, new TrialResult.Killed("by ada"), NOON),
                new SearchEvent.Reported(List.of(new TrialReport(0, 1, 0.25), new TrialReport(1, 2.5, -1e300))),
                new SearchEvent.TrialStopped(1, 2.5, -1e300, "worse than others"),
                new SearchEvent.TrialEnded(
                        1,
                        new TrialResult.Stopped(
                                2.5, List.of(new MetricSummary("loss", 0.1, 2, 0.3)), "worse than others"),
                        NOON),
                new SearchEvent.Closing(true, false, "time was over"),
                new SearchEvent.Stopped(ADA),
                new SearchEvent.Restarted(ADA),
                new SearchEvent.Led(61_500),
                new SearchEvent.LeftBehind(ADA, new UserName("eve"), List.of(new JobId("c-4")), new JobId("c-1")),
                new SearchEvent.LeftBehind(ADA, ADA, List.of(), null),
                new SearchEvent.Ended(false, "all were tried"),
                new SearchEvent.SamplerSaved("what the algorithm saved"));
    }

    private static List<SearchJournal.Entry> all(SearchJournal journal) {
        List<SearchJournal.Entry> entries = new ArrayList<>();
        journal.replay(entries::add);
        return entries;
    }

    @Test
    void everyKindOfSearchEventComesBackAsItWasInTheOrderOfEntry() {
        assertThat(events().stream().map(Object::getClass).collect(Collectors.toSet()))
                .isEqualTo(Set.of(SearchEvent.class.getPermittedSubclasses()));
        List<SearchJournal.Entry> entries = new ArrayList<>();
        for (SearchEvent event : events()) {
            entries.add(new SearchJournal.Entry("s", NOON.minusSeconds(entries.size()), event));
        }
        searchJournal().append(entries.subList(0, 3));
        searchJournal().append(entries.subList(3, entries.size()));

        assertThat(all(searchJournalReopened())).isEqualTo(entries);
    }

    @Test
    void aNameOfAnyLengthComesBackAsItWas() {
        Point point = new Point(Map.of("x".repeat(1 << 20), new Value.Whole(3)));
        SearchJournal.Entry entry = new SearchJournal.Entry("s", NOON, new SearchEvent.PointEnqueued(point));
        searchJournal().append(List.of(entry));

        assertThat(all(searchJournalReopened())).containsExactly(entry);
    }

    @Test
    void ofWhatAnAlgorithmSavedTheLastIsKept() {
        SearchJournal.Entry stopped = new SearchJournal.Entry("s", NOON, new SearchEvent.Stopped(ADA));
        SearchJournal.Entry last = new SearchJournal.Entry("s", NOON, new SearchEvent.SamplerSaved("later"));
        searchJournal()
                .append(List.of(new SearchJournal.Entry("s", NOON, new SearchEvent.SamplerSaved("earlier")), stopped));
        searchJournal().append(List.of(last));
        assertThat(all(searchJournalReopened())).containsExactly(stopped, last);

        searchJournal().forget("s");
        assertThat(all(searchJournalReopened())).isEmpty();
    }

    @Test
    void oneSearchIsReplayedAlone() {
        SearchJournal.Entry first = new SearchJournal.Entry("s", NOON, new SearchEvent.Stopped(ADA));
        SearchJournal.Entry saved = new SearchJournal.Entry("s", NOON, new SearchEvent.SamplerSaved("state"));
        SearchJournal.Entry last = new SearchJournal.Entry("s", NOON, new SearchEvent.Restarted(ADA));
        searchJournal()
                .append(List.of(
                        first,
                        new SearchJournal.Entry("other", NOON, new SearchEvent.Stopped(ADA)),
                        new SearchJournal.Entry("other", NOON, new SearchEvent.SamplerSaved("of the other")),
                        saved,
                        last));
        List<SearchJournal.Entry> entries = new ArrayList<>();

        searchJournalReopened().replay("s", entries::add);

        assertThat(entries).containsExactly(first, last, saved);
    }

    @Test
    void aLongSearchIsReplayedInItsOrderAndKeepsNobodyElseFromReading() {
        SearchJournal journal = searchJournal();
        List<SearchJournal.Entry> written = new ArrayList<>();
        for (int i = 0; i < 2500; i++) {
            written.add(new SearchJournal.Entry("s", NOON.plusSeconds(i), new SearchEvent.Led(i)));
            written.add(new SearchJournal.Entry("other", NOON, new SearchEvent.Led(i)));
        }
        written.add(new SearchJournal.Entry("s", NOON, new SearchEvent.SamplerSaved("state")));
        journal.append(written);
        List<SearchJournal.Entry> entries = new ArrayList<>();

        journal.replay("s", entry -> {
            if (entries.isEmpty()) {
                CompletableFuture.runAsync(() -> journal.replay("none", none -> {}))
                        .orTimeout(20, TimeUnit.SECONDS)
                        .join();
            }
            entries.add(entry);
        });

        written.removeIf(entry -> entry.search().equals("other"));
        assertThat(entries).isEqualTo(written);
    }

    @Test
    void aReplacedSearchIsGoneAndTheOtherEntryIsThere() {
        SearchJournal.Entry rest =
                new SearchJournal.Entry("/c-9", NOON, new SearchEvent.LeftBehind(ADA, ADA, List.of(), null));
        searchJournal()
                .append(List.of(
                        new SearchJournal.Entry("s", NOON, new SearchEvent.Stopped(ADA)),
                        new SearchJournal.Entry("s", NOON, new SearchEvent.SamplerSaved("state"))));

        searchJournal().replace("s", rest);

        assertThat(all(searchJournalReopened())).containsExactly(rest);
    }

    @Test
    void whatCannotBeStoredWholeLeavesAllAsItWas() {
        SearchJournal.Entry kept = new SearchJournal.Entry("s", NOON, new SearchEvent.Stopped(ADA));
        SearchJournal.Entry saved = new SearchJournal.Entry("s", NOON, new SearchEvent.SamplerSaved("state"));
        SearchJournal journal = searchJournal();
        journal.append(List.of(kept, saved));
        // No table takes a name that is missing.
        String none = null;
        SearchJournal.Entry event = new SearchJournal.Entry(none, NOON, new SearchEvent.Restarted(ADA));
        SearchJournal.Entry state = new SearchJournal.Entry(none, NOON, new SearchEvent.SamplerSaved("later"));

        assertThatThrownBy(() -> journal.replace("s", event)).isInstanceOf(ConcertinaException.class);
        assertThatThrownBy(() -> journal.append(List.of(kept, event))).isInstanceOf(ConcertinaException.class);
        assertThatThrownBy(() -> journal.append(List.of(kept, state))).isInstanceOf(ConcertinaException.class);

        assertThat(all(searchJournalReopened())).containsExactly(kept, saved);
    }

    @Test
    void aForgottenSearchIsGoneAndOthersStay() {
        SearchJournal.Entry kept = new SearchJournal.Entry("kept", NOON, new SearchEvent.Stopped(ADA));
        searchJournal().append(List.of(new SearchJournal.Entry("gone", NOON, new SearchEvent.Stopped(ADA)), kept));

        searchJournal().forget("gone");
        searchJournal().forget("never was");

        assertThat(all(searchJournalReopened())).containsExactly(kept);
    }
}
