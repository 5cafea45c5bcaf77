package concertina.trials;

import org.jspecify.annotations.Nullable;

/** Says how and why a search comes to its end. Pure. */
final class SearchEnd {
    private SearchEnd() {}

    /**
     * How the search ends now; null while trials are under way or points are in line.
     *
     * @param exhausted whether the algorithm has proposed every point it has
     */
    static SearchEvent.@Nullable Ended of(SearchLife life, boolean exhausted) {
        SearchEvent.Closing closing = life.closing;
        boolean pointsLeft = closing == null && !life.full() && !life.line.isEmpty();
        if (!life.active() || life.openCount() > 0 || pointsLeft) {
            return null;
        }
        String why = closing != null
                ? closing.reason()
                : life.full()
                        ? "all " + life.count() + " trials were tried"
                        : exhausted
                                ? "every point that the algorithm proposes was tried"
                                : "the algorithm proposes no further point";
        boolean algorithmFailed = closing != null && closing.failed();
        return new SearchEvent.Ended(
                algorithmFailed || life.best == null,
                life.best == null && !algorithmFailed
                        ? why + ", and none gave a value" + lastFailure(life)
                        : life.bestViolates() ? why + ", and none met all constraints" : why);
    }

    private static String lastFailure(SearchLife life) {
        for (TrialLife trial : life.trials().reversed()) {
            if (trial.result instanceof TrialResult.Failed(String reason)) {
                return "; trial " + trial.number + ": " + oneLine(reason);
            }
            if (trial.result instanceof TrialResult.Killed(String reason)) {
                return "; trial " + trial.number + ": " + oneLine(reason);
            }
        }
        return "";
    }

    /** A failure as users read it. */
    static String told(Throwable failure) {
        String message = oneLine(failure.getMessage());
        String name = failure.getClass().getSimpleName();
        return message.isEmpty() ? name : failure instanceof Error ? name + ": " + message : message;
    }

    private static String oneLine(@Nullable String text) {
        String line = text == null ? "" : text.replaceAll("\\p{Cntrl}+", " ").strip();
        return line.length() > 500 ? line.substring(0, 500) + "…" : line;
    }
}
