package concertina.trials;

import concertina.model.ConcertinaException;
import concertina.model.JobId;
import concertina.search.Point;
import concertina.search.Suggestion;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Leads one search, on a thread of its own while there is anything to do: takes up trials whose jobs have ended, asks the algorithm for
 * further ones, has their jobs submitted. The algorithm is touched by that thread alone, so a slow one delays nobody else. Other threads
 * change the search through its {@link SearchLedger} and wake the thread.
 */
final class SearchRun {
    private static final Logger LOG = LoggerFactory.getLogger(SearchRun.class);
    private static final Duration LONGEST_PAUSE = Duration.ofHours(1);
    private static final Duration BETWEEN_ATTEMPTS = Duration.ofSeconds(1);

    /** Between attempts after the same trouble again and again. */
    private static final Duration LONGEST_ATTEMPT = Duration.ofMinutes(1);

    /** A search of which no trial has given a value ends when so many have failed, or twice as many as run at a time. */
    private static final int MOST_FAILED_IN_A_ROW = 20;

    /** How long reports of running trials may lie unread where the search stops trials early. */
    private static final Duration BETWEEN_REPORTS = Duration.ofMillis(100);

    /** And for so many times as long as the last reading took, so that very many trials do not keep the server busy. */
    private static final int REST = 9;

    private final Searcher.Parts parts;
    private final SearchLedger ledger;

    /** Jobs of trials that are said to have ended. */
    private final Queue<JobId> ended = new ConcurrentLinkedQueue<>();

    private final Semaphore wake = new Semaphore(0);

    /** Guards the thread. */
    private final ReentrantLock starting = new ReentrantLock();

    /** The thread that leads the search; null while none does. */
    private @Nullable Thread leader;

    private volatile String waits = "";
    private volatile boolean closed;

    // The fields below belong to the thread.
    private final TrialJobs jobs;
    private final @Nullable EarlyStops earlyStops;
    private final Proposer proposer;

    /** When reports are read next, on the clock of {@link System#nanoTime}. */
    private long listenAt = System.nanoTime();

    /** How often in a row something went wrong that is not the user's. */
    private int troubles;

    /** Whether the search was stopped while a trial was asked for, and may have been restarted: then everything is looked at anew. */
    private boolean interrupted;

    SearchRun(Searcher.Parts parts, SearchLedger ledger) {
        this.parts = parts;
        this.ledger = ledger;
        this.jobs = new TrialJobs(parts, ledger);
        this.proposer = new Proposer(parts, ledger, () -> closed);
        EarlyStopping rule = ledger.spec().earlyStopping();
        this.earlyStops = rule == null ? null : new EarlyStops(parts, ledger, rule);
    }

    SearchLedger ledger() {
        return ledger;
    }

    // --- Asked from outside
    // ---------------------------------------------------------------------------------------------

    /** Starts the thread if there is anything to do, and wakes it. */
    void start() {
        starting.lock();
        try {
            if (leader == null && (ledger.active() || !ledger.open().isEmpty())) {
                // A platform thread: algorithms may think for long, and would keep virtual ones from being served.
                leader = Thread.ofPlatform()
                        .name("search-" + ledger.name())
                        .daemon()
                        .start(this::work);
            }
        } finally {
            starting.unlock();
        }
        wake.release();
    }

    /** Begins no further step; what is under way goes on by itself and is taken up by the next server. */
    void close() {
        closed = true;
        wake.release();
    }

    /** A job of this search has ended. Takes no lock and returns at once. */
    void ended(JobId job) {
        ended.add(job);
        wake.release();
    }

    /** The search was stopped. */
    void stopped() {
        proposer.cancel();
        wake.release();
    }

    /** The search was deleted: puts away what is left of it, as soon as the jobs of its trials have ended. */
    void deleted() {
        proposer.cancel();
        starting.lock();
        try {
            if (leader == null) {
                putAway();
            }
        } finally {
            starting.unlock();
        }
        wake.release();
    }

    /** Something has changed. Takes no lock and returns at once. */
    void wake() {
        wake.release();
    }

    SearchView view() {
        return ledger.look(
                life -> SearchViews.of(life, parts.jobs(), waits, parts.clock().instant()));
    }

    // --- The thread
    // -----------------------------------------------------------------------------------------------------

    private void work() {
        try {
            boolean surveyed = false;
            while (!closed) {
                Duration pause = BETWEEN_ATTEMPTS;
                try {
                    if (!surveyed) {
                        survey();
                        surveyed = true;
                    }
                    pause = step();
                    if (over()) {
                        return;
                    }
                } catch (RuntimeException | Error failure) {
                    if (closed) {
                        return;
                    }
                    surveyed = false;
                    failed(failure);
                    pause = attempt();
                }
                if (wake.tryAcquire(pause.toNanos(), TimeUnit.NANOSECONDS)) {
                    wake.drainPermits();
                }
            }
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
        } finally {
            resign();
        }
    }

    /** A step that failed is tried again; after what no program can expect, such as too little memory, the search comes to its end. */
    private void failed(Throwable failure) {
        try {
            LOG.error("search {}: a step failed, it is tried again", ledger.name(), failure);
            waits = "waits: a step failed and is tried again: " + SearchEnd.told(failure);
            troubles++;
            proposer.dismiss();
            if (failure instanceof Error && ledger.active() && ledger.closing() == null) {
                ledger.record(new SearchEvent.Closing(
                        false, true, "the server could not lead it: " + SearchEnd.told(failure)));
            }
        } catch (RuntimeException | Error again) {
            LOG.error("search {}: not even its failure could be recorded", ledger.name(), again);
        }
    }

    /** Whoever starts the search next gets a new thread, however this one ended. */
    private void resign() {
        starting.lock();
        try {
            if (leader == Thread.currentThread()) {
                leader = null;
            }
        } finally {
            starting.unlock();
        }
    }

    /** Finds out where every trial under way stands, as after a restart of the server. */
    private void survey() {
        ledger.takeOver();
        jobs.resurvey();
        for (TrialLife trial : ledger.open()) {
            parts.follow(trial.job, this);
            if (jobs.survey(trial)) {
                ended.add(trial.job);
            }
        }
    }

    /** Whether nothing is left to do; then the thread is as good as gone. */
    private boolean over() {
        starting.lock();
        try {
            boolean working = ledger.active() || jobs.anyRunning() || !ended.isEmpty();
            if (!working) {
                proceed();
                proposer.dismiss();
                if (earlyStops != null) {
                    earlyStops.dismiss();
                }
                // Whoever goes on follows them again.
                ledger.open().forEach(trial -> parts.unfollow(trial.job));
                putAway();
                leader = null;
            }
            return !working;
        } finally {
            starting.unlock();
        }
    }

    private void putAway() {
        String left = ledger.left();
        if (left == null) {
            return;
        }
        ledger.open().forEach(jobs::removeUnsent);
        JobId code = ledger.spec().code();
        if (code == null || parts.leftovers().removed(code, ledger.creator())) {
            parts.leftovers().done(left);
        }
    }

    /** Does all that can be done now. Returns how long nothing will be to do unless something happens. */
    private Duration step() {
        interrupted = false;
        settle();
        if (!ledger.active()) {
            jobs.stop();
            return LONGEST_PAUSE;
        }
        if (earlyStops != null) {
            listen(earlyStops);
            jobs.stopEarly();
        }
        closeWhenTimeIsOver();
        ledger.recordTime();
        closeWhenAllFail();
        if (ledger.closing() == null) {
            proceed();
            proposer.prepare();
            closeWhenConverged();
        }
        if (ledger.closing() == null) {
            jobs.retry(this);
            if (ledger.closing() == null && send()) {
                fill();
            }
        }
        SearchEvent.Closing closing = ledger.closing();
        if (closing != null) {
            windDown(closing);
        }
        if (interrupted) {
            return Duration.ZERO;
        }
        end();
        return pause();
    }

    /** Now and then, however often the thread is woken. */
    private void listen(EarlyStops stops) {
        long start = System.nanoTime();
        if (start - listenAt >= 0) {
            stops.listen();
            long end = System.nanoTime();
            listenAt = end + Math.max(BETWEEN_REPORTS.toNanos(), REST * (end - start));
        }
    }

    private Duration pause() {
        Duration pause = waits.isEmpty() ? LONGEST_PAUSE : attempt();
        if (earlyStops != null && !ledger.open().isEmpty()) {
            pause = shorter(pause, Duration.ofNanos(listenAt - System.nanoTime()));
        }
        Optional<Instant> alarm = ledger.alarm();
        if (alarm.isPresent()) {
            pause = shorter(pause, Duration.between(parts.clock().instant(), alarm.get()));
        }
        return pause.isNegative() ? Duration.ZERO : pause;
    }

    private static Duration shorter(Duration one, Duration other) {
        return one.compareTo(other) < 0 ? one : other;
    }

    /** How long to wait before the next attempt: twice as long each time. */
    private Duration attempt() {
        return shorter(BETWEEN_ATTEMPTS.multipliedBy(1L << Math.clamp(troubles - 1, 0, 10)), LONGEST_ATTEMPT);
    }

    private void waitFor(String reason) {
        waits = "waits: " + reason;
        parts.waiting().add(this);
    }

    private void proceed() {
        waits = "";
        parts.waiting().remove(this);
    }

    // --- Trials
    // ---------------------------------------------------------------------------------------------------------

    /** Takes up trials whose jobs have ended. */
    private void settle() {
        for (JobId job = ended.poll(); job != null; job = ended.poll()) {
            Optional<TrialLife> trial = ledger.trial(job);
            if (trial.filter(jobs::lost).isPresent() && ledger.active() && ledger.closing() == null) {
                jobs.repeat(trial.orElseThrow(), this);
                continue;
            }
            Optional<SearchEvent.TrialEnded> end = trial.flatMap(jobs::outcome);
            if (end.isPresent()) {
                if (earlyStops != null) {
                    earlyStops.listen(trial.orElseThrow());
                }
                over(end.get());
            }
        }
    }

    private void over(SearchEvent.TrialEnded end) {
        TrialLife trial = ledger.look(life -> life.trial(end.number()));
        if (ledger.record(end)) {
            parts.unfollow(trial.job);
            jobs.forget(trial.job);
            if (earlyStops != null) {
                earlyStops.over(trial);
            }
            proposer.tell(trial.over(ledger.spec()));
        }
    }

    /** Submits recorded trials; false when they have to wait. */
    private boolean send() {
        Optional<String> trouble = jobs.send((trial, reason) ->
                over(new SearchEvent.TrialEnded(trial.number, new TrialResult.Failed(reason), null)));
        trouble.ifPresent(this::waitFor);
        troubles = trouble.isPresent() ? troubles + 1 : 0;
        return trouble.isEmpty();
    }

    /** Whether a trial may be asked for. */
    private static boolean room(SearchLife life) {
        return life.active() && life.closing == null && life.openCount() < life.spec.parallel() && !life.full();
    }

    /** Asks for trials until enough are under way. */
    private void fill() {
        while (ledger.look(SearchRun::room)) {
            try {
                parts.jobs().checkQuota(ledger.creator());
            } catch (ConcertinaException quota) {
                waitFor(SearchEnd.told(quota));
                return;
            }
            long number = ledger.look(SearchLife::count);
            Point enqueued = ledger.<@Nullable Point>look(life -> life.line.peek());
            Suggestion suggestion = enqueued == null
                    ? proposer.ask(number)
                    : new Suggestion(
                            enqueued,
                            BuiltInSamplers.wholeResource(ledger.spec()),
                            OptionalLong.empty(),
                            "enqueued by the user");
            if (suggestion == null) {
                interrupted = !proposer.ready();
                return;
            }
            if (!begin(number, suggestion, enqueued != null)) {
                interrupted = true;
                proposer.untried();
                return;
            }
            if (!send()) {
                return;
            }
        }
    }

    private boolean begin(long number, Suggestion suggestion, boolean enqueued) {
        OptionalDouble resource = suggestion.resource();
        OptionalLong parent = suggestion.parent();
        SearchEvent.TrialAsked asked = new SearchEvent.TrialAsked(
                number,
                suggestion.point(),
                resource.isPresent() ? (Double) resource.getAsDouble() : null,
                parent.isPresent() ? (Long) parent.getAsLong() : null,
                parts.jobs().nextId(),
                enqueued,
                suggestion.reason());
        String saved = enqueued ? null : proposer.saved();
        List<SearchEvent> events = saved == null ? List.of(asked) : List.of(asked, new SearchEvent.SamplerSaved(saved));
        if (!ledger.recordIf(events, SearchRun::room)) {
            return false;
        }
        TrialLife trial = ledger.look(life -> life.trial(number));
        parts.follow(trial.job, this);
        proposer.tell(trial.running());
        jobs.add(trial);
        return true;
    }

    // --- The end
    // --------------------------------------------------------------------------------------------------------

    private void closeWhenTimeIsOver() {
        Optional<Instant> deadline = ledger.deadline();
        if (deadline.isPresent() && !parts.clock().instant().isBefore(deadline.get())) {
            ledger.record(new SearchEvent.Closing(
                    true, false, "its time of " + ledger.spec().maxMinutes() + " minutes was over"));
        }
    }

    /** Otherwise a search without a limit whose script cannot work would go on for ever. */
    private void closeWhenAllFail() {
        int most = Math.max(MOST_FAILED_IN_A_ROW, 2 * ledger.spec().parallel());
        int failed = ledger.look(life -> life.best == null ? life.failedInARow : 0);
        if (failed >= most && ledger.closing() == null) {
            ledger.record(new SearchEvent.Closing(false, false, failed + " trials in a row failed"));
        }
    }

    private void closeWhenConverged() {
        Optional<String> reason = ledger.closing() == null ? proposer.converged() : Optional.empty();
        reason.ifPresent(why -> ledger.record(new SearchEvent.Closing(false, false, "it has converged: " + why)));
    }

    private void windDown(SearchEvent.Closing closing) {
        proceed();
        for (TrialLife trial = jobs.abandon(); trial != null; trial = jobs.abandon()) {
            jobs.removeUnsent(trial);
            over(new SearchEvent.TrialEnded(trial.number, new TrialResult.Killed(closing.reason()), null));
        }
        if (closing.stopTrials()) {
            jobs.stop();
            settle();
        }
        for (TrialLife trial : ledger.open()) {
            if (trial.stopped && !jobs.running(trial)) {
                over(new SearchEvent.TrialEnded(trial.number, new TrialResult.Killed(closing.reason()), null));
            }
        }
    }

    /** Ends the search when no trial is under way and none will come. */
    private void end() {
        boolean waiting = !waits.isEmpty() || !jobs.allSent();
        boolean exhausted = proposer.exhausted();
        SearchEvent.Ended end =
                waiting ? null : ledger.<SearchEvent.@Nullable Ended>look(life -> SearchEnd.of(life, exhausted));
        // Meanwhile it may have been stopped, or a point put in line.
        if (end != null && ledger.recordIf(end, life -> SearchEnd.of(life, exhausted) != null)) {
            LOG.info("search {} ended: {}", ledger.name(), end.reason());
        }
    }
}
