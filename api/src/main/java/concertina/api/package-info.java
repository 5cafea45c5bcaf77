@NullMarked
package concertina.api;

import org.jspecify.annotations.NullMarked;
