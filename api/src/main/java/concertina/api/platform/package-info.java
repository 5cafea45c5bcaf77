/** Our own API: jobs in full, cluster, users, health, metrics. */
@NullMarked
package concertina.api.platform;

import org.jspecify.annotations.NullMarked;
