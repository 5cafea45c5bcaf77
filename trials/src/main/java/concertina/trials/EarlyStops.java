package concertina.trials;

import concertina.model.JobId;
import concertina.search.Standings;
import concertina.search.Stopper;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Hears what the trials of one search report as they run, decides which are stopped, and has those that lead grow first into the slots of
 * the others. Belongs to the search's thread. Reports are recorded before the stopper hears them, so that one built anew after a restart
 * of the server decides the same.
 */
final class EarlyStops {
    private static final Logger LOG = LoggerFactory.getLogger(EarlyStops.class);

    private final Searcher.Parts parts;
    private final SearchLedger ledger;
    private final EarlyStopping rule;
    private final Map<JobId, TrialReports> readers = new HashMap<>();

    /** Trials that are to be stopped; what they report further counts no more. */
    private final Set<Long> condemned = new HashSet<>();

    private @Nullable Stopper stopper;

    private Standings standings = new Standings();

    /** The order of jobs that was told last. */
    private List<JobId> told = List.of();

    EarlyStops(Searcher.Parts parts, SearchLedger ledger, EarlyStopping rule) {
        this.parts = parts;
        this.ledger = ledger;
        this.rule = rule;
    }

    /** Takes up new reports of all trials under way, and records which of them are to be stopped. */
    void listen() {
        List<TrialLife> running = ledger.open().stream()
                .filter(trial -> !trial.stopped && trial.verdict == null)
                .toList();
        hear(running, true);
        rank();
    }

    /** Takes up the last reports of a trial whose job has ended. */
    void listen(TrialLife trial) {
        hear(List.of(trial), false);
        readers.remove(trial.job);
    }

    /** A trial's end was recorded. */
    void over(TrialLife trial) {
        readers.remove(trial.job);
        condemned.remove(trial.number);
        standings.remove(trial.number);
        if (stopper != null) {
            stopper.tell(trial.over(ledger.spec()));
        }
    }

    /** Forgets all that can be found again. */
    void dismiss() {
        readers.clear();
        condemned.clear();
        stopper = null;
        standings = new Standings();
        told = List.of();
    }

    /** Tells in which order the trials under way are to grow, where it has changed. */
    private void rank() {
        Map<Long, JobId> running = new HashMap<>();
        for (TrialLife trial : ledger.open()) {
            if (!trial.stopped && trial.verdict == null) {
                running.put(trial.number, trial.job);
            }
        }
        List<JobId> order = standings.order().stream()
                .filter(running::containsKey)
                .map(running::get)
                .toList();
        if (order.size() > 1 && !order.equals(told)) {
            parts.jobs().rank("search " + ledger.name(), order);
            told = order;
        }
    }

    private void hear(List<TrialLife> trials, boolean running) {
        try {
            Stopper judge = prepared();
            List<TrialReport> news = new ArrayList<>();
            for (TrialLife trial : trials) {
                news.addAll(read(trial, !running));
            }
            if (!news.isEmpty() && ledger.record(new SearchEvent.Reported(news))) {
                news.forEach(report -> judge(judge, report, running));
            }
        } catch (RuntimeException failure) {
            // What was read but not recorded is read again.
            dismiss();
            throw failure;
        }
    }

    private List<TrialReport> read(TrialLife trial, boolean last) {
        try {
            return readers.computeIfAbsent(
                            trial.job,
                            job -> new TrialReports(
                                    parts.files(),
                                    ledger.creator(),
                                    trial,
                                    ledger.spec().objective()))
                    .read(last);
        } catch (IOException unreadable) {
            LOG.debug("reports of trial {} are read later: {}", trial.number, unreadable.toString());
            return List.of();
        }
    }

    /** Built anew it hears all again, and comes to what it had decided when the server died before that was recorded. */
    private Stopper prepared() {
        if (stopper == null) {
            Stopper created = rule.stopper();
            condemned.clear();
            standings = new Standings();
            ledger.replay(event -> {
                if (event instanceof SearchEvent.Reported reported) {
                    reported.reports().forEach(report -> judge(created, report, true));
                } else if (event instanceof SearchEvent.TrialEnded end) {
                    condemned.remove(end.number());
                    standings.remove(end.number());
                    created.tell(ledger.trial(end.number()).over(ledger.spec()));
                }
            });
            stopper = created;
        }
        return stopper;
    }

    /** @param running whether the trial may still be stopped, as far as is known */
    private void judge(Stopper judge, TrialReport report, boolean running) {
        if (condemned.contains(report.number())) {
            return;
        }
        Objective objective = ledger.spec().objective();
        double loss = objective.loss(report.value());
        standings.report(report.number(), report.step(), loss);
        Stopper.Verdict verdict = judge.report(report.number(), report.step(), loss);
        if (verdict.stop()) {
            condemned.add(report.number());
            if (!running) {
                return;
            }
            String reason = objective.maximize()
                    ? verdict.reason() + " (loss is " + objective.metric() + " with its sign changed)"
                    : verdict.reason();
            ledger.recordIf(
                    new SearchEvent.TrialStopped(report.number(), report.step(), report.value(), reason),
                    life -> life.mayStop(report.number()));
        }
    }
}
