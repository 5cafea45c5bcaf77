@NullMarked
package concertina.schedule;

import org.jspecify.annotations.NullMarked;
