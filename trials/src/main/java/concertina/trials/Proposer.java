package concertina.trials;

import concertina.search.Convergence;
import concertina.search.Sampler;
import concertina.search.Suggestion;
import concertina.search.Trial;
import java.util.Optional;
import java.util.function.BooleanSupplier;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The algorithm of one search, built when it is needed and told what came of every trial. Belongs to the search's thread. When the
 * algorithm fails, whatever it throws, the search is closed as failed.
 */
final class Proposer {
    private static final Logger LOG = LoggerFactory.getLogger(Proposer.class);

    private final Searcher.Parts parts;
    private final SearchLedger ledger;
    private final BooleanSupplier closing;

    /** Changed by the search's thread alone. */
    private volatile @Nullable Sampler sampler;

    /** Whether the algorithm was told that nobody wants its answer, so that it has not failed. */
    private volatile boolean cancelled;

    private @Nullable Convergence convergence;
    private boolean exhausted;

    /** @param closing whether the server is closing, which is no failure of an algorithm whose process has ended */
    Proposer(Searcher.Parts parts, SearchLedger ledger, BooleanSupplier closing) {
        this.parts = parts;
        this.ledger = ledger;
        this.closing = closing;
    }

    /** Builds the algorithm unless it is there, and tells it all that happened. */
    void prepare() {
        if (sampler != null) {
            return;
        }
        try {
            SearchLedger.Past past = ledger.past();
            Sampler created = parts.samplers().create(ledger.spec(), past.saved());
            StopWhenConverged rule = ledger.spec().convergence();
            convergence = rule == null ? null : rule.convergence();
            for (Trial told : past.told()) {
                created.tell(told);
                if (convergence != null && told.number() >= 0) {
                    convergence.tell(told);
                }
            }
            cancelled = false;
            sampler = created;
            exhausted = false;
        } catch (RuntimeException | Error failure) {
            failed(failure);
        }
    }

    /** The search was stopped or deleted: an algorithm that thinks need not think on. Comes from any thread. */
    void cancel() {
        if (sampler instanceof SavingSampler saving) {
            cancelled = true;
            saving.cancel();
        }
    }

    /** Whether the algorithm can be asked. */
    boolean ready() {
        return sampler != null;
    }

    /** Forgets the algorithm; the next one is built from what was recorded. */
    void dismiss() {
        if (sampler instanceof SavingSampler saving) {
            saving.close();
        }
        sampler = null;
    }

    private void failed(Throwable failure) {
        if (closing.getAsBoolean()) {
            dismiss();
            throw new IllegalStateException("the server is closing", failure);
        }
        if (cancelled) {
            LOG.debug("search {}: its algorithm was interrupted", ledger.name(), failure);
            cancelled = false;
            dismiss();
            return;
        }
        LOG.warn("search {}: algorithm {} failed", ledger.name(), ledger.spec().algorithm(), failure);
        dismiss();
        ledger.record(new SearchEvent.Closing(
                false, true, "algorithm " + ledger.spec().algorithm() + " failed: " + SearchEnd.told(failure)));
    }

    void tell(Trial trial) {
        if (convergence != null) {
            convergence.tell(trial);
        }
        Sampler told = sampler;
        if (told != null) {
            try {
                told.tell(trial);
            } catch (RuntimeException | Error failure) {
                failed(failure);
            }
        }
    }

    /** A point for this trial; null when there is none at present, or the algorithm is not ready any more. */
    @Nullable
    Suggestion ask(long number) {
        Sampler asked = sampler;
        if (asked == null) {
            return null;
        }
        try {
            Optional<Suggestion> suggestion = asked.ask(number);
            exhausted = suggestion.isEmpty() && asked.exhausted();
            return suggestion.orElse(null);
        } catch (RuntimeException | Error failure) {
            failed(failure);
            return null;
        }
    }

    /** What is to be recorded together with the trial just asked for; null for an algorithm that needs nothing. */
    @Nullable
    String saved() {
        return sampler instanceof SavingSampler saving ? saving.saved() : null;
    }

    /** The point asked for last is not tried: an algorithm that has gone on from it begins again with what was recorded. */
    void untried() {
        if (sampler instanceof SavingSampler) {
            dismiss();
        }
    }

    /** Whether every point was tried that the algorithm has. */
    boolean exhausted() {
        return exhausted;
    }

    /** Why the search need not go on; empty while it must. */
    Optional<String> converged() {
        Convergence watched = convergence;
        return watched != null && watched.converged() ? Optional.of(watched.reason()) : Optional.empty();
    }
}
