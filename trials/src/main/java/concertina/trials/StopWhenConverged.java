package concertina.trials;

import concertina.search.Convergence;

/**
 * When a search asks for no further trial although it might.
 *
 * @param patience so many measured trials in a row that are no improvement, at least 1
 * @param tolerance what counts as an improvement, as a share of the best value's magnitude; at least 0
 */
public record StopWhenConverged(int patience, double tolerance) {
    Convergence convergence() {
        return new Convergence(patience, tolerance);
    }
}
