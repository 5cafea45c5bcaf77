package concertina.trials;

import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import concertina.model.JobId;
import concertina.model.JobState;
import concertina.model.UserName;
import concertina.search.Point;
import concertina.search.Sampler;
import concertina.search.Suggestion;
import concertina.train.JobView;
import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashSet;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import java.util.Queue;
import java.util.Set;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Leads one search, on a thread of its own while there is anything to do: takes up trials whose jobs have ended, asks the sampler for
 * further ones, submits their jobs. The sampler is touched by that thread alone, so a slow one delays nobody else. Whatever happens
 * becomes an event that is stored before it counts; what is kept here beside {@link SearchLife} is found again from it and from the
 * jobs themselves.
 *
 * <p>Locks: jobs may be asked while this search's lock is held, never the other way round; {@link #ended} therefore takes no lock.
 */
final class SearchRun {
    private static final Logger LOG = LoggerFactory.getLogger(SearchRun.class);
    private static final Duration LONGEST_PAUSE = Duration.ofHours(1);
    private static final Duration BETWEEN_ATTEMPTS = Duration.ofSeconds(1);
    private static final String CHECKPOINTS = "checkpoint/step-*.state";

    private final Searcher.Parts parts;
    private final SearchLife life;

    /** Jobs of trials that are said to have ended. */
    private final Queue<JobId> ended = new ConcurrentLinkedQueue<>();

    private final Semaphore wake = new Semaphore(0);

    /** Guards life and the fields below it that say so. */
    private final ReentrantLock lock = new ReentrantLock();

    /** Guarded by lock: whether the thread runs. */
    private boolean working;

    /** Guarded by lock: who deleted the search. */
    private @Nullable UserName forgottenBy;

    private volatile String waits = "";
    private volatile boolean closed;

    // The fields below belong to the thread.
    private @Nullable Sampler sampler;
    private boolean exhausted;
    private final Deque<TrialLife> unsent = new ArrayDeque<>();
    private final Set<JobId> toldToStop = new HashSet<>();

    SearchRun(Searcher.Parts parts, SearchLife life) {
        this.parts = parts;
        this.life = life;
    }

    String name() {
        return life.name;
    }

    UserName creator() {
        return life.creator;
    }

    /** Applies a stored event; only before the thread starts. */
    void replay(SearchEvent event, Instant at) {
        life.apply(event, at);
    }

    // --- Asked from outside
    // ---------------------------------------------------------------------------------------------

    /** Starts the thread if there is anything to do. */
    void start() {
        lock.lock();
        try {
            if (!working && forgottenBy == null && (life.active() || life.openCount() > 0)) {
                working = true;
                Thread.ofVirtual().name("search-" + life.name).start(this::work);
            }
        } finally {
            lock.unlock();
        }
        wake.release();
    }

    /** Begins no further step; what is under way goes on by itself and is taken up by the next server. */
    void close() {
        closed = true;
        wake.release();
    }

    /** A job of this search has ended. Returns at once. */
    void ended(JobId job) {
        ended.add(job);
        wake.release();
    }

    /** The quota that it waited for may have become free. Returns at once. */
    void wake() {
        wake.release();
    }

    boolean active() {
        lock.lock();
        try {
            return life.active();
        } finally {
            lock.unlock();
        }
    }

    SearchView view() {
        lock.lock();
        try {
            return SearchViews.of(life, parts.jobs(), waits, parts.clock().instant());
        } finally {
            lock.unlock();
        }
    }

    void stop(UserName by) {
        lock.lock();
        try {
            if (!life.active()) {
                throw new ConcertinaException(
                        ErrorCode.CONFLICT, "search '" + life.name + "' is not active, accepted: one that is");
            }
            record(new SearchEvent.Stopped(by));
        } finally {
            lock.unlock();
        }
        wake.release();
    }

    void restart(UserName by) {
        lock.lock();
        try {
            boolean failed = life.ended != null && life.ended.failed();
            if (life.stoppedBy == null && !failed) {
                throw new ConcertinaException(
                        ErrorCode.CONFLICT,
                        "search '" + life.name + "' is " + (life.active() ? "active" : "finished")
                                + ", accepted: one that was stopped or has failed");
            }
            record(new SearchEvent.Restarted(by));
        } finally {
            lock.unlock();
        }
        start();
    }

    /** Removes what was recorded and records nothing any more; jobs of trials under way are stopped. */
    void forget(UserName by) {
        lock.lock();
        try {
            parts.journal().forget(life.name);
            forgottenBy = by;
        } finally {
            lock.unlock();
        }
        wake.release();
    }

    void enqueue(Point point) {
        lock.lock();
        try {
            if (life.ended != null) {
                throw new ConcertinaException(
                        ErrorCode.CONFLICT,
                        "search '" + life.name + "' has ended, accepted: one that runs or was stopped");
            }
            if (!life.spec.given().isEmpty()) {
                throw new ConcertinaException(
                        ErrorCode.CONFLICT,
                        "search '" + life.name + "' tries a list of points, accepted: a search that proposes them");
            }
            life.spec.space().check(point);
            record(new SearchEvent.PointEnqueued(point));
        } finally {
            lock.unlock();
        }
        wake.release();
    }

    // --- The thread
    // -----------------------------------------------------------------------------------------------------

    private void work() {
        boolean prepared = false;
        while (!closed) {
            Duration pause;
            try {
                if (!prepared) {
                    survey();
                    prepared = true;
                }
                pause = step();
            } catch (RuntimeException failure) {
                LOG.error("search {}: a step failed, it is tried again", life.name, failure);
                pause = BETWEEN_ATTEMPTS;
            }
            if (over()) {
                return;
            }
            try {
                if (wake.tryAcquire(pause.toNanos(), TimeUnit.NANOSECONDS)) {
                    wake.drainPermits();
                }
            } catch (InterruptedException interrupted) {
                Thread.currentThread().interrupt();
                return;
            }
        }
    }

    /** Whether nothing is left to do; then the thread is as good as gone. */
    private boolean over() {
        lock.lock();
        try {
            boolean jobsLeft = life.open().stream()
                    .anyMatch(trial -> parts.jobs()
                            .find(trial.job)
                            .filter(job -> !job.state().finalState())
                            .isPresent());
            working = forgottenBy == null && life.active() || jobsLeft;
            if (!working) {
                proceed();
                sampler = null;
                toldToStop.clear();
            }
            return !working;
        } finally {
            lock.unlock();
        }
    }

    /** Finds out where every trial under way stands, as after a restart of the server. */
    private void survey() {
        unsent.clear();
        for (TrialLife trial : open()) {
            parts.follow(trial.job, this);
            Optional<JobView> job = parts.jobs().find(trial.job);
            boolean toGoOn = job.isPresent() && awaitsResumption(trial, job.get());
            if (toGoOn || job.isEmpty() && !trial.stopped) {
                unsent.add(trial);
            } else if (job.isEmpty() || job.get().state().finalState()) {
                ended.add(trial.job);
            }
        }
    }

    /** Whether it was decided that the trial's job goes on, and nobody has told the job yet. */
    private static boolean awaitsResumption(TrialLife trial, JobView job) {
        return trial.retriedAt != null
                && !trial.stopped
                && job.state() == JobState.KILLED
                && job.endedAt() != null
                && job.endedAt().isBefore(trial.retriedAt);
    }

    /** Does all that can be done now. Returns how long nothing will be to do unless something happens. */
    private Duration step() {
        settle();
        boolean active;
        lock.lock();
        try {
            active = life.active() && forgottenBy == null;
        } finally {
            lock.unlock();
        }
        if (!active) {
            stopJobs();
            return LONGEST_PAUSE;
        }
        closeWhenTimeIsOver();
        if (closing() == null) {
            proceed();
            prepareSampler();
            retry();
            if (closing() == null && send()) {
                fill();
            }
        }
        SearchEvent.Closing closing = closing();
        if (closing != null && closing.stopTrials()) {
            abandonUnsent(closing.reason());
            stopJobs();
            settle();
        }
        end();
        return pause();
    }

    private Duration pause() {
        Duration pause = waits.isEmpty() ? LONGEST_PAUSE : BETWEEN_ATTEMPTS;
        Optional<Instant> deadline = deadline();
        if (deadline.isPresent()) {
            Duration left = Duration.between(parts.clock().instant(), deadline.get());
            pause = left.compareTo(pause) < 0 ? left : pause;
        }
        return pause.isNegative() ? Duration.ZERO : pause;
    }

    private void waitFor(ConcertinaException quota) {
        waits = "waits: " + quota.getMessage();
        parts.waiting().add(this);
    }

    private void proceed() {
        waits = "";
        parts.waiting().remove(this);
    }

    private void prepareSampler() {
        if (sampler != null) {
            return;
        }
        try {
            Sampler created = parts.samplers().create(life.spec);
            life.retell(created);
            sampler = created;
            exhausted = false;
        } catch (RuntimeException failure) {
            algorithmFailed(failure);
        }
    }

    private void algorithmFailed(RuntimeException failure) {
        LOG.warn("search {}: algorithm {} failed", life.name, life.spec.algorithm(), failure);
        sampler = null;
        record(new SearchEvent.Closing(
                false, true, "algorithm " + life.spec.algorithm() + " failed: " + oneLine(failure.getMessage())));
    }

    /** Takes up trials whose jobs have ended. */
    private void settle() {
        JobId job = ended.poll();
        while (job != null) {
            settle(job);
            job = ended.poll();
        }
    }

    private void settle(JobId id) {
        TrialLife trial = trial(id);
        if (trial == null) {
            return;
        }
        Optional<JobView> found = parts.jobs().find(id);
        if (found.isEmpty()) {
            if (!trial.stopped) {
                over(trial, new TrialResult.Failed("its job was deleted"), null);
            }
            return;
        }
        JobView job = found.get();
        switch (job.state()) {
            case PENDING, STARTING, RUNNING -> {}
            case FINISHED -> over(trial, measured(job), job.startedAt());
            case ERROR -> over(trial, new TrialResult.Failed(job.reason()), job.startedAt());
            case KILLED -> {
                if (!trial.stopped && !awaitsResumption(trial, job)) {
                    over(trial, new TrialResult.Killed(job.reason()), job.startedAt());
                }
            }
        }
    }

    private TrialResult measured(JobView job) {
        try {
            return TrialMetrics.read(life.spec, parts.files().find(job.id(), job.creator(), TrialMetrics.FILE));
        } catch (IOException unreadable) {
            return new TrialResult.Failed(TrialMetrics.FILE + " cannot be read: " + unreadable.getMessage());
        }
    }

    private void over(TrialLife trial, TrialResult result, @Nullable Instant startedAt) {
        JobId job = trial.job;
        if (record(new SearchEvent.TrialEnded(trial.number, result, startedAt))) {
            parts.unfollow(job);
            toldToStop.remove(job);
            tell(trial.over(life.spec.objectives()));
        }
    }

    private void tell(concertina.search.Trial trial) {
        Sampler told = sampler;
        if (told != null) {
            try {
                told.tell(trial);
            } catch (RuntimeException failure) {
                algorithmFailed(failure);
            }
        }
    }

    /** Runs again what was under way when the search was stopped, as soon as its old job has come to rest. */
    private void retry() {
        for (TrialLife trial : open()) {
            if (!trial.stopped) {
                continue;
            }
            Optional<JobView> old = parts.jobs().find(trial.job);
            if (old.isPresent() && old.get().state() != JobState.KILLED) {
                continue;
            }
            boolean goesOn = old.isPresent() && canGoOn(old.get());
            JobId before = trial.job;
            JobId job = goesOn ? before : parts.jobs().nextId();
            if (record(new SearchEvent.TrialRetried(trial.number, job))) {
                parts.unfollow(before);
                parts.follow(job, this);
                toldToStop.remove(before);
                unsent.add(trial);
            }
        }
    }

    private boolean canGoOn(JobView job) {
        try {
            return job.spec().framework().elastic()
                    && !parts.files().find(job.id(), job.creator(), CHECKPOINTS).isEmpty();
        } catch (IOException unreadable) {
            return false;
        }
    }

    /** Submits recorded trials; false when the user's quota is used up. */
    private boolean send() {
        while (!unsent.isEmpty()) {
            TrialLife trial = unsent.getFirst();
            try {
                send(trial);
            } catch (ConcertinaException refused) {
                if (refused.code() == ErrorCode.QUOTA_EXCEEDED) {
                    waitFor(refused);
                    return false;
                }
                over(trial, new TrialResult.Failed("its job was refused: " + refused.getMessage()), null);
            } catch (IOException failure) {
                over(trial, new TrialResult.Failed("its code could not be laid down: " + failure.getMessage()), null);
            }
            unsent.removeFirst();
        }
        return true;
    }

    private void send(TrialLife trial) throws IOException {
        SearchSpec spec = life.spec;
        if (parts.jobs().find(trial.job).isPresent()) {
            parts.jobs().resume(trial.job, life.creator);
            return;
        }
        if (spec.code() != null) {
            parts.files().shareCode(spec.code(), trial.job, life.creator);
        }
        parts.jobs()
                .submit(
                        trial.job,
                        life.creator,
                        spec.job()
                                .asTrial(new concertina.model.JobSpec.Trial(
                                        life.name,
                                        trial.number,
                                        TrialConfiguration.text(trial.point, spec.resource(), trial.resource),
                                        spec.code())),
                        spec.code() != null);
    }

    /** Asks for trials until enough are under way. */
    private void fill() {
        while (true) {
            Point enqueued;
            long number;
            lock.lock();
            try {
                if (!life.active() || life.closing != null || life.openCount() >= life.spec.parallel() || full()) {
                    return;
                }
                enqueued = life.line.peek();
                number = life.count();
            } finally {
                lock.unlock();
            }
            try {
                parts.jobs().checkQuota(life.creator);
            } catch (ConcertinaException full) {
                waitFor(full);
                return;
            }
            Suggestion suggestion = enqueued == null ? ask(number) : new Suggestion(enqueued, "enqueued by the user");
            if (suggestion == null || !ask(number, suggestion, enqueued != null) || !send()) {
                return;
            }
        }
    }

    private @Nullable Suggestion ask(long number) {
        Sampler asked = sampler;
        if (asked == null) {
            return null;
        }
        try {
            Optional<Suggestion> suggestion = asked.ask(number);
            exhausted = suggestion.isEmpty() && asked.exhausted();
            return suggestion.orElse(null);
        } catch (RuntimeException failure) {
            algorithmFailed(failure);
            return null;
        }
    }

    private boolean ask(long number, Suggestion suggestion, boolean enqueued) {
        JobId job = parts.jobs().nextId();
        OptionalDouble resource = suggestion.resource();
        OptionalLong parent = suggestion.parent();
        SearchEvent.TrialAsked asked = new SearchEvent.TrialAsked(
                number,
                suggestion.point(),
                resource.isPresent() ? (Double) resource.getAsDouble() : null,
                parent.isPresent() ? (Long) parent.getAsLong() : null,
                job,
                enqueued,
                suggestion.reason());
        TrialLife trial;
        lock.lock();
        try {
            if (!life.active() || !record(asked)) {
                return false;
            }
            trial = life.trial(number);
        } finally {
            lock.unlock();
        }
        parts.follow(job, this);
        tell(trial.running());
        unsent.add(trial);
        return true;
    }

    private boolean full() {
        return life.spec.maxTrials() >= 0 && life.count() >= life.spec.maxTrials();
    }

    private void closeWhenTimeIsOver() {
        Optional<Instant> deadline = deadline();
        if (deadline.isPresent() && !parts.clock().instant().isBefore(deadline.get())) {
            record(new SearchEvent.Closing(true, false, "its time of " + life.spec.maxMinutes() + " minutes was over"));
        }
    }

    private void abandonUnsent(String reason) {
        while (!unsent.isEmpty()) {
            over(unsent.removeFirst(), new TrialResult.Killed(reason), null);
        }
    }

    /** Stops the jobs of trials under way, each once. */
    private void stopJobs() {
        for (TrialLife trial : open()) {
            Optional<JobView> job = parts.jobs().find(trial.job);
            if (job.isPresent() && !job.get().state().finalState() && toldToStop.add(trial.job)) {
                try {
                    parts.jobs().stop(trial.job, stopper());
                } catch (ConcertinaException deletedMeanwhile) {
                    LOG.debug("job {} is gone: {}", trial.job, deletedMeanwhile.getMessage());
                }
            }
        }
        unsent.clear();
    }

    /** Ends the search when no trial is under way and none will come. */
    private void end() {
        lock.lock();
        try {
            SearchEvent.Closing closing = life.closing;
            boolean nothingToWaitFor = life.openCount() == 0 && waits.isEmpty() && unsent.isEmpty();
            if (!life.active() || !nothingToWaitFor || (closing == null && !full() && !life.line.isEmpty())) {
                return;
            }
            String why = closing != null
                    ? closing.reason()
                    : full()
                            ? "all " + life.count() + " trials were tried"
                            : exhausted
                                    ? "every point that the algorithm proposes was tried"
                                    : "the algorithm proposes no further point";
            boolean failed = closing != null && closing.failed() || life.best == null;
            String reason = life.best == null && (closing == null || !closing.failed())
                    ? why + ", and none gave a value" + lastFailure()
                    : why;
            record(new SearchEvent.Ended(failed, reason));
            LOG.info("search {} ended: {}", life.name, reason);
        } finally {
            lock.unlock();
        }
    }

    private String lastFailure() {
        List<TrialLife> trials = life.trials();
        if (trials.isEmpty()) {
            return "";
        }
        TrialLife last = trials.getLast();
        return switch (last.result) {
            case TrialResult.Failed(String reason) -> "; trial " + last.number + ": " + oneLine(reason);
            case TrialResult.Killed(String reason) -> "; trial " + last.number + ": " + oneLine(reason);
            case TrialResult.Measured ignored -> "";
            case null -> "";
        };
    }

    // --- State
    // ----------------------------------------------------------------------------------------------------------

    /** Stores, then applies: the only way the search changes. False when it was deleted meanwhile. */
    private boolean record(SearchEvent event) {
        lock.lock();
        try {
            if (forgottenBy != null) {
                return false;
            }
            Instant now = parts.clock().instant();
            parts.journal().append(List.of(new SearchJournal.Entry(life.name, now, event)));
            life.apply(event, now);
            return true;
        } finally {
            lock.unlock();
        }
    }

    /** When the search's time is over; empty without a limit, and once it is closing. */
    private Optional<Instant> deadline() {
        lock.lock();
        try {
            return life.closing == null ? life.deadline() : Optional.empty();
        } finally {
            lock.unlock();
        }
    }

    /** Who wants jobs of trials stopped: whoever stopped or deleted the search, else its creator for lack of time. */
    private UserName stopper() {
        lock.lock();
        try {
            return forgottenBy != null ? forgottenBy : Objects.requireNonNullElse(life.stoppedBy, life.creator);
        } finally {
            lock.unlock();
        }
    }

    private SearchEvent.@Nullable Closing closing() {
        lock.lock();
        try {
            return life.closing;
        } finally {
            lock.unlock();
        }
    }

    private List<TrialLife> open() {
        lock.lock();
        try {
            return life.open();
        } finally {
            lock.unlock();
        }
    }

    private @Nullable TrialLife trial(JobId job) {
        lock.lock();
        try {
            return life.of(job).orElse(null);
        } finally {
            lock.unlock();
        }
    }

    private static String oneLine(@Nullable String text) {
        String line = text == null ? "" : text.replaceAll("\\p{Cntrl}+", " ").strip();
        return line.length() > 500 ? line.substring(0, 500) + "…" : line;
    }
}
