/** A search's life: asks a sampler, runs each trial as a job, learns from its result. Decide, record, apply. */
@NullMarked
package concertina.trials;

import org.jspecify.annotations.NullMarked;
