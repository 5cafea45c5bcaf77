@NullMarked
package concertina.agent;

import org.jspecify.annotations.NullMarked;
