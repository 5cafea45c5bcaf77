package concertina.train;

import java.time.Instant;
import java.util.List;

/**
 * One membership of a job.
 *
 * @param members ordinals in rank order
 * @param source rank that hands out the state
 * @param receivers ranks that receive it
 * @param immediate nobody is training while it forms
 * @param committed workers may switch to it
 * @param at when it was proposed, or activated once it trains
 */
record Generation(
        int number,
        List<Integer> members,
        int source,
        List<Integer> receivers,
        boolean immediate,
        boolean committed,
        String reason,
        Instant at) {
    Generation withCommitted() {
        return new Generation(number, members, source, receivers, immediate, true, reason, at);
    }

    Generation activated(Instant since) {
        return new Generation(number, members, source, receivers, immediate, true, reason, since);
    }
}
