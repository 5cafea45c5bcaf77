@NullMarked
package concertina.wire;

import org.jspecify.annotations.NullMarked;
