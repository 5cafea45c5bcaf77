@NullMarked
package concertina.store;

import org.jspecify.annotations.NullMarked;
