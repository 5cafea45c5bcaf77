@NullMarked
package concertina.identity;

import org.jspecify.annotations.NullMarked;
