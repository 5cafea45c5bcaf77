/** Proposes points and learns from results. Pure: no I/O, no clock, no jobs; randomness comes from the seed alone. */
@NullMarked
package concertina.search;

import org.jspecify.annotations.NullMarked;
