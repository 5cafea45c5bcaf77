@NullMarked
package concertina.train;

import org.jspecify.annotations.NullMarked;
