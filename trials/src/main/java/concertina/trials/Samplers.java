package concertina.trials;

import concertina.search.Sampler;
import org.jspecify.annotations.Nullable;

/** Where the algorithm of a search comes from. Thread-safe. */
public interface Samplers {
    /**
     * A sampler that has been told nothing yet; the same for the same specification in every process.
     *
     * @param saved what a {@link SavingSampler} saved last for this search; null for a new search
     *
     * @throws concertina.model.ConcertinaException INVALID_ARGUMENT naming an algorithm or a setting that is not known
     */
    Sampler create(SearchSpec spec, @Nullable String saved);
}
