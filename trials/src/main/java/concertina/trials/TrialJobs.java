package concertina.trials;

import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import concertina.model.JobId;
import concertina.model.JobSpec;
import concertina.model.JobState;
import concertina.train.JobView;
import java.io.IOException;
import java.nio.file.FileSystemException;
import java.time.Instant;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.SequencedSet;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The jobs of one search's trials: submits what was recorded, stops and resumes, and reads what came of it. Belongs to the search's
 * thread. What it keeps is found again from the ledger and the jobs themselves.
 */
final class TrialJobs {
    /** What to do with a trial whose job could not be submitted. */
    interface Refused {
        void failed(TrialLife trial, String reason);
    }

    private static final Logger LOG = LoggerFactory.getLogger(TrialJobs.class);
    /** A trial that takes its agents with it must not go through all of them. */
    private static final int MOST_LOSSES = 3;

    private static final String CHECKPOINTS = "checkpoint/step-*.state";

    private final Searcher.Parts parts;
    private final SearchLedger ledger;

    /** Recorded and not submitted yet, each once. */
    private final SequencedSet<TrialLife> unsent = new LinkedHashSet<>();

    private final Set<JobId> toldToStop = new HashSet<>();

    TrialJobs(Searcher.Parts parts, SearchLedger ledger) {
        this.parts = parts;
        this.ledger = ledger;
    }

    /** Whether every recorded trial has been submitted. */
    boolean allSent() {
        return unsent.isEmpty();
    }

    /** A trial was recorded and is to be submitted. */
    void add(TrialLife trial) {
        unsent.add(trial);
    }

    /** The next trial that was never submitted and never will be; null when there is none. */
    @Nullable
    TrialLife abandon() {
        return unsent.isEmpty() ? null : unsent.removeFirst();
    }

    /** Removes what was laid down for a trial whose job was never submitted. */
    void removeUnsent(TrialLife trial) {
        if (ledger.spec().code() != null && parts.jobs().find(trial.job).isEmpty()) {
            parts.leftovers().removed(trial.job, ledger.creator());
        }
    }

    void forget(JobId job) {
        toldToStop.remove(job);
    }

    /** Where a trial under way stands, as after a restart of the server: true when its job may have ended meanwhile. */
    boolean survey(TrialLife trial) {
        Optional<JobView> job = parts.jobs().find(trial.job);
        if (trial.verdict != null) {
            return job.isEmpty() || job.get().state().finalState();
        }
        boolean toGoOn = job.isPresent() && awaitsResumption(trial, job.get());
        if (toGoOn || job.isEmpty() && !trial.stopped) {
            unsent.add(trial);
            return false;
        }
        return job.isEmpty() || job.get().state().finalState();
    }

    void resurvey() {
        unsent.clear();
    }

    /** What came of a trial whose job is said to have ended; empty while that is open. */
    Optional<SearchEvent.TrialEnded> outcome(TrialLife trial) {
        Optional<JobView> found = parts.jobs().find(trial.job);
        SearchEvent.TrialStopped verdict = trial.verdict;
        if (found.isEmpty()) {
            if (verdict != null) {
                return Optional.of(new SearchEvent.TrialEnded(
                        trial.number, stopped(trial, verdict, new TrialResult.Failed("its job was deleted")), null));
            }
            return trial.stopped
                    ? Optional.empty()
                    : Optional.of(new SearchEvent.TrialEnded(
                            trial.number, new TrialResult.Failed("its job was deleted"), null));
        }
        JobView job = found.get();
        return switch (job.state()) {
            case PENDING, STARTING, RUNNING -> Optional.empty();
            case FINISHED -> ended(trial, job, measured(job));
            case ERROR ->
                trial.stopped && job.lostWithAgent()
                        ? Optional.empty()
                        : ended(trial, job, new TrialResult.Failed(job.reason()));
            case KILLED ->
                verdict != null
                        ? ended(trial, job, stopped(trial, verdict, measured(job)))
                        : trial.stopped || awaitsResumption(trial, job)
                                ? Optional.empty()
                                : ended(trial, job, new TrialResult.Killed(job.reason()));
        };
    }

    private static Optional<SearchEvent.TrialEnded> ended(TrialLife trial, JobView job, TrialResult result) {
        return Optional.of(new SearchEvent.TrialEnded(trial.number, result, job.startedAt()));
    }

    /** With what it wrote so far, or else what it reported. */
    private TrialResult stopped(TrialLife trial, SearchEvent.TrialStopped verdict, TrialResult written) {
        if (written instanceof TrialResult.Measured(List<MetricSummary> metrics)) {
            return new TrialResult.Stopped(verdict.step(), metrics, verdict.reason());
        }
        MetricSummary reported = trial.reported;
        String metric = ledger.spec().objective().metric();
        return new TrialResult.Stopped(
                verdict.step(),
                List.of(
                        reported == null
                                ? new MetricSummary(metric, verdict.value(), verdict.value(), verdict.value())
                                : reported),
                verdict.reason());
    }

    private TrialResult measured(JobView job) {
        try {
            return TrialMetrics.read(ledger.spec(), parts.files().find(job.id(), job.creator(), TrialMetrics.FILE));
        } catch (IOException unreadable) {
            return new TrialResult.Failed(TrialMetrics.FILE + " cannot be read: " + unreadable.getMessage());
        }
    }

    /** Whether it was decided that the trial's job goes on, and nobody has told the job yet. */
    private static boolean awaitsResumption(TrialLife trial, JobView job) {
        // The same end, not an earlier one: a clock may have been set back meanwhile.
        return trial.endBefore != null
                && !trial.stopped
                && job.state() == JobState.KILLED
                && trial.endBefore.equals(job.endedAt());
    }

    /** Runs again what was under way when the search was stopped, as soon as its old job has come to rest. */
    void retry(SearchRun run) {
        for (TrialLife trial : ledger.open()) {
            if (!trial.stopped) {
                continue;
            }
            // A search that goes on at once may not have come to stopping its jobs.
            stop(trial);
            Optional<JobView> old = parts.jobs().find(trial.job);
            if (old.isPresent()
                    && old.get().state() != JobState.KILLED
                    && !old.get().lostWithAgent()) {
                continue;
            }
            if (old.isEmpty()) {
                removeUnsent(trial);
            }
            Instant end = old.map(JobView::endedAt).orElse(null);
            boolean goesOn = old.isPresent() && end != null && canGoOn(old.get());
            again(trial, goesOn ? trial.job : parts.jobs().nextId(), goesOn ? end : null, run);
        }
    }

    /** Whether the trial's job was lost with an agent, which says nothing about the trial. */
    boolean lost(TrialLife trial) {
        return !trial.stopped
                && trial.verdict == null
                && trial.losses < MOST_LOSSES
                && parts.jobs().find(trial.job).filter(JobView::lostWithAgent).isPresent();
    }

    /** Runs such a trial again. */
    void repeat(TrialLife trial, SearchRun run) {
        LOG.info(
                "search {}: trial {} runs again, an agent was lost with job {}",
                ledger.name(),
                trial.number,
                trial.job);
        again(trial, parts.jobs().nextId(), null, run);
    }

    private void again(TrialLife trial, JobId job, @Nullable Instant end, SearchRun run) {
        JobId before = trial.job;
        // One that was stopped again meanwhile keeps its mark: whoever restarts it must know what was under way.
        if (ledger.recordIf(new SearchEvent.TrialRetried(trial.number, job, end), SearchLife::active)) {
            parts.unfollow(before);
            parts.follow(job, run);
            toldToStop.remove(before);
            unsent.add(trial);
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

    /**
     * Submits recorded trials; a trial fails only for what its user can mend.
     *
     * @return why the rest has to wait; empty when all were submitted
     */
    Optional<String> send(Refused refused) {
        while (!unsent.isEmpty()) {
            TrialLife trial = unsent.getFirst();
            try {
                send(trial);
            } catch (ConcertinaException refusal) {
                if (refusal.code().kind() != ErrorCode.Kind.USER) {
                    return Optional.of(SearchEnd.told(refusal));
                }
                removeUnsent(trial);
                refused.failed(trial, "its job was refused: " + refusal.getMessage());
            } catch (IOException failure) {
                return Optional.of("the code of trial " + trial.number + " cannot be laid down: " + why(failure));
            }
            unsent.removeFirst();
        }
        return Optional.empty();
    }

    /** Without the paths, which are the server's. */
    private static String why(IOException failure) {
        return failure instanceof FileSystemException inFiles && inFiles.getReason() != null
                ? inFiles.getReason()
                : String.valueOf(failure.getMessage());
    }

    private void send(TrialLife trial) throws IOException {
        SearchSpec spec = ledger.spec();
        if (parts.jobs().find(trial.job).isPresent()) {
            parts.jobs().resume(trial.job, ledger.creator());
            return;
        }
        if (spec.code() != null) {
            parts.files().shareCode(spec.code(), trial.job, ledger.creator());
        }
        JobSpec job = spec.job()
                .asTrial(new JobSpec.Trial(
                        ledger.name(),
                        trial.number,
                        TrialConfiguration.text(trial.point, spec.resource(), trial.resource),
                        spec.code(),
                        parent(trial)));
        parts.jobs().submit(trial.job, ledger.creator(), job, spec.code() != null);
    }

    /** The job whose results the trial is handed; null where it begins afresh or the user did not ask for that. */
    private @Nullable JobId parent(TrialLife trial) {
        Long parent = trial.parent;
        return parent == null || !BuiltInSamplers.goesOn(ledger.spec())
                ? null
                : ledger.<JobId>look(life -> life.trial(parent).job);
    }

    /** Stops the jobs of trials under way, each once; what was not submitted stays so. */
    void stop() {
        ledger.open().forEach(this::stop);
        unsent.clear();
    }

    /** Stops the jobs of trials that report worse than others, each once. */
    void stopEarly() {
        ledger.open().stream().filter(trial -> trial.verdict != null).forEach(this::stop);
    }

    private void stop(TrialLife trial) {
        if (running(trial) && toldToStop.add(trial.job)) {
            try {
                parts.jobs().stop(trial.job, ledger.stopper());
            } catch (ConcertinaException failure) {
                if (failure.code() != ErrorCode.UNKNOWN_TASK) {
                    toldToStop.remove(trial.job);
                    throw failure;
                }
                LOG.debug("job {} was deleted meanwhile", trial.job);
            }
        }
    }

    boolean anyRunning() {
        return ledger.open().stream().anyMatch(this::running);
    }

    /** Whether the trial's job has not ended. */
    boolean running(TrialLife trial) {
        return parts.jobs()
                .find(trial.job)
                .filter(job -> !job.state().finalState())
                .isPresent();
    }
}
