@NullMarked
package concertina.model;

import org.jspecify.annotations.NullMarked;
