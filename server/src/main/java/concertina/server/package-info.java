@NullMarked
package concertina.server;

import org.jspecify.annotations.NullMarked;
