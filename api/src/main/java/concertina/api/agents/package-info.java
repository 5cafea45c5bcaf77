/** What agents call. */
@NullMarked
package concertina.api.agents;

import org.jspecify.annotations.NullMarked;
