package concertina.search;

import java.util.Optional;

/**
 * A method that proposes points. Used by one thread; never waits, never looks at a clock.
 *
 * <p>A sampler is a function of its space, its settings, its seed and the calls of {@link #tell} so far: an instance built afresh and
 * told the same in the same order suggests the same, in another process as well. That is how a search survives a restart. Therefore
 * {@link #ask} must not leave a trace that a later suggestion depends on; what was asked comes back through {@code tell} as a running
 * trial.
 */
public interface Sampler {
    /**
     * The point for trial {@code number}. Whoever asks tells it as a running trial at once, before any other call.
     *
     * @return empty when the space is exhausted, or when nothing can be suggested before a running trial ends;
     *     {@link #exhausted} tells which
     */
    Optional<Suggestion> ask(long number);

    /**
     * Takes notice of a trial: first as running, then once with its outcome. Trials of earlier searches, and points that a user
     * enqueued, are told like own ones; numbers may come in any order.
     */
    void tell(Trial trial);

    /** Whether no further point will ever be suggested, whatever is told. */
    default boolean exhausted() {
        return false;
    }
}
