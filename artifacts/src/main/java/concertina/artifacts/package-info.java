@NullMarked
package concertina.artifacts;

import org.jspecify.annotations.NullMarked;
