package concertina.schedule;

import concertina.model.JobId;
import concertina.model.SlotId;
import concertina.model.UserName;
import java.time.Instant;
import java.util.List;

/**
 * What one unfinished job wants and holds.
 *
 * @param consumer path of the consumer that pays, empty for the default
 * @param priority higher goes first
 * @param gpu whether only GPU slots will do
 * @param slotsPerWorker slots of each worker, all on one agent
 * @param held its workers in rank order
 */
public record Demand(
        JobId job,
        UserName creator,
        String consumer,
        int priority,
        Instant submittedAt,
        boolean gpu,
        int slotsPerWorker,
        Shape shape,
        List<Holding> held) {
    public Demand {
        held = List.copyOf(held);
    }

    /** How many workers a job can use. */
    public sealed interface Shape {
        /** Exactly this many, started together or not at all, never taken back. */
        record Rigid(int workers) implements Shape {}

        /** Any number from 1 to this; only those that lower ceil(V/W) make it faster. */
        record Elastic(int logicalWorkers) implements Shape {}
    }

    /**
     * A living worker and the slots it holds.
     *
     * @param leaving already told to go; its slots come back by themselves
     */
    public record Holding(int ordinal, List<SlotId> slots, boolean leaving) {
        public Holding {
            slots = List.copyOf(slots);
        }
    }
}
