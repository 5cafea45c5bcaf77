/** The exec API of the second WMLA generation. */
@NullMarked
package concertina.api.wmla;

import org.jspecify.annotations.NullMarked;
