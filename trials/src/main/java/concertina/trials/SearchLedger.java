package concertina.trials;

import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import concertina.model.JobId;
import concertina.model.UserName;
import concertina.search.Point;
import concertina.search.Trial;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * One search's {@link SearchLife}, the lock that guards it, and the way in which it changes: a decision is stored, then applied.
 * Thread-safe. Jobs may be asked while the lock is held, never the other way round.
 */
final class SearchLedger {
    private final Searcher.Parts parts;

    /** Guards life and the field below. */
    private final ReentrantLock lock = new ReentrantLock();

    private final SearchLife life;

    private @Nullable UserName forgottenBy;

    /** Under which name it is recorded what is left of a deleted search. */
    private @Nullable String left;

    /** When an earlier server recorded something last; null once this one has recorded anything. */
    private @Nullable Instant lastOfEarlier;

    SearchLedger(Searcher.Parts parts, SearchLife life) {
        this.parts = parts;
        this.life = life;
    }

    String name() {
        return life.name;
    }

    UserName creator() {
        return life.creator;
    }

    SearchSpec spec() {
        return life.spec;
    }

    /** Looks at the state. What is handed out of it may change; trials' points, numbers and results do not. */
    <T extends @Nullable Object> T look(Function<SearchLife, T> look) {
        lock.lock();
        try {
            return look.apply(life);
        } finally {
            lock.unlock();
        }
    }

    /** Applies a stored event; only before the search's thread starts. */
    void replay(SearchEvent event, Instant at) {
        lock.lock();
        try {
            life.apply(event, at);
            lastOfEarlier = at;
        } finally {
            lock.unlock();
        }
    }

    /** Stores, then applies: the only way the search changes. False when it was deleted meanwhile. */
    boolean record(SearchEvent event) {
        return recordIf(event, state -> true);
    }

    /** The same if the state still satisfies a condition. */
    boolean recordIf(SearchEvent event, Function<SearchLife, Boolean> condition) {
        return recordIf(List.of(event), condition);
    }

    /** The same for several events that belong together. */
    boolean recordIf(List<SearchEvent> events, Function<SearchLife, Boolean> condition) {
        lock.lock();
        try {
            if (forgottenBy != null || !condition.apply(life)) {
                return false;
            }
            Instant now = parts.clock().instant();
            List<SearchEvent> all = withTimeBefore(events);
            parts.journal()
                    .append(all.stream()
                            .map(event -> new SearchJournal.Entry(life.name, now, event))
                            .toList());
            all.forEach(event -> life.apply(event, now));
            lastOfEarlier = null;
            return true;
        } finally {
            lock.unlock();
        }
    }

    /** What an earlier server recorded last is all that is known of when it ended. */
    private List<SearchEvent> withTimeBefore(List<SearchEvent> events) {
        Instant last = lastOfEarlier;
        if (last == null || !life.active()) {
            return events;
        }
        List<SearchEvent> all = new ArrayList<>(events);
        all.addFirst(new SearchEvent.Led(life.ran(last).toMillis()));
        return all;
    }

    /** Records how long an earlier server led the search; no effect a second time. */
    void takeOver() {
        recordIf(List.of(), state -> lastOfEarlier != null && state.active());
    }

    /** Records how long the search was led, now and then and only where its time is limited. */
    void recordTime() {
        Instant now = parts.clock().instant();
        Optional<Instant> due = look(SearchLife::recordTimeAt);
        if (due.isPresent() && !now.isBefore(due.get())) {
            record(new SearchEvent.Led(look(state -> state.ran(now)).toMillis()));
        }
    }

    // --- What was recorded
    // ---------------------------------------------------------------------------------------------------

    /** What an algorithm that is built anew needs. */
    record Past(List<Trial> told, @Nullable String saved) {}

    /**
     * Everything that the algorithm was told so far, in the same order: each trial when it was asked for and when it ended. Read from the
     * journal, since it is needed once at most while a server runs.
     */
    Past past() {
        List<Trial> told = new ArrayList<>();
        String[] saved = new String[1];
        WarmStart earlier = this.<@Nullable WarmStart>look(state -> state.earlier);
        if (earlier != null) {
            told.addAll(earlier.told(spec()));
        }
        replay(event -> {
            if (event instanceof SearchEvent.TrialAsked asked) {
                told.add(trial(asked.number()).running());
            } else if (event instanceof SearchEvent.TrialEnded end) {
                told.add(trial(end.number()).over(spec()));
            } else if (event instanceof SearchEvent.SamplerSaved last) {
                saved[0] = last.state();
            }
        });
        return new Past(told, saved[0]);
    }

    /** Hands over all that was recorded, oldest first. */
    void replay(Consumer<SearchEvent> reader) {
        parts.journal().replay(life.name, entry -> reader.accept(entry.event()));
    }

    // --- What users want
    // ------------------------------------------------------------------------------------------------

    void stop(UserName by) {
        if (!recordIf(new SearchEvent.Stopped(by), SearchLife::active)) {
            throw new ConcertinaException(
                    ErrorCode.CONFLICT, "search '" + life.name + "' is not active, accepted: one that is");
        }
    }

    void restart(UserName by) {
        if (!recordIf(new SearchEvent.Restarted(by), SearchLife::mayRestart)) {
            throw notRestarted();
        }
    }

    /** Throws CONFLICT when the search cannot be restarted. */
    void checkRestart() {
        if (!look(SearchLife::mayRestart)) {
            throw notRestarted();
        }
    }

    private ConcertinaException notRestarted() {
        return new ConcertinaException(
                ErrorCode.CONFLICT,
                "search '" + life.name + "' is " + (active() ? "active" : "finished")
                        + ", accepted: one that was stopped or has failed");
    }

    void enqueue(Point point) {
        if (!life.spec.given().isEmpty()) {
            throw new ConcertinaException(
                    ErrorCode.CONFLICT,
                    "search '" + life.name + "' tries a list of points, accepted: a search that proposes them");
        }
        if (BuiltInSamplers.trainsPopulation(life.spec)) {
            throw new ConcertinaException(
                    ErrorCode.CONFLICT,
                    "search '" + life.name + "' trains a population, accepted: a search whose trials begin afresh");
        }
        life.spec.space().check(point);
        lock.lock();
        try {
            String refusal = life.refusesPoint();
            if (refusal != null) {
                throw new ConcertinaException(ErrorCode.CONFLICT, "search '" + life.name + "' " + refusal);
            }
            record(new SearchEvent.PointEnqueued(point));
        } finally {
            lock.unlock();
        }
    }

    /** Replaces what was recorded by what is left to put away, and records nothing any more. */
    void forget(UserName by) {
        lock.lock();
        try {
            left = parts.leftovers()
                    .leave(
                            life.name,
                            new SearchEvent.LeftBehind(
                                    life.creator,
                                    by,
                                    life.open().stream().map(trial -> trial.job).toList(),
                                    life.spec.code()));
            forgottenBy = by;
        } finally {
            lock.unlock();
        }
    }

    /** Under which name it is recorded what is left; null unless it was deleted. */
    @Nullable
    String left() {
        return this.<@Nullable String>look(state -> left);
    }

    // --- What its thread asks
    // -------------------------------------------------------------------------------------------

    /** Whether it was neither stopped nor deleted nor has come to its end. */
    boolean active() {
        return look(state -> forgottenBy == null && state.active());
    }

    SearchEvent.@Nullable Closing closing() {
        return look(state -> state.closing);
    }

    /** Trials without an outcome, in order of their numbers. */
    List<TrialLife> open() {
        return look(SearchLife::open);
    }

    TrialLife trial(long number) {
        return look(state -> state.trial(number));
    }

    Optional<TrialLife> trial(JobId job) {
        return look(state -> state.of(job));
    }

    /** When the search's time is over; empty without a limit, and once it is closing. */
    Optional<Instant> deadline() {
        return look(state -> state.closing == null ? state.deadline() : Optional.empty());
    }

    /** When the search has something to do for the time alone. */
    Optional<Instant> alarm() {
        return look(state -> state.closing == null
                ? state.deadline().flatMap(end -> state.recordTimeAt().map(due -> due.isBefore(end) ? due : end))
                : Optional.empty());
    }

    /** Who wants jobs of trials stopped: whoever stopped or deleted the search, else its creator for lack of time. */
    UserName stopper() {
        return look(state ->
                forgottenBy != null ? forgottenBy : Objects.requireNonNullElse(state.stoppedBy, state.creator));
    }
}
