/** End-to-end tests: the real server and agents as processes, real Python workers, nothing in between but HTTPS. */
@NullMarked
package concertina.it;

import org.jspecify.annotations.NullMarked;
