package concertina.schedule;

import concertina.model.JobId;
import concertina.model.SlotId;
import concertina.model.UserName;
import java.time.Instant;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What one unfinished job wants and holds.
 *
 * @param consumer path of the consumer that pays, empty for the default
 * @param priority higher goes first
 * @param gpu whether only GPU slots will do
 * @param slotsPerWorker slots of each worker, all on one agent
 * @param resizedAt when its number of workers last changed; the submission when it never did
 * @param held its workers in rank order
 * @param standing its place among the jobs of one group; null where there is none
 */
public record Demand(
        JobId job,
        UserName creator,
        String consumer,
        int priority,
        Instant submittedAt,
        Instant resizedAt,
        boolean gpu,
        int slotsPerWorker,
        Shape shape,
        List<Holding> held,
        @Nullable Standing standing) {
    public Demand {
        if (slotsPerWorker < 1) {
            throw new IllegalArgumentException(
                    "slotsPerWorker of " + job + " must be at least 1, not " + slotsPerWorker);
        }
        held = List.copyOf(held);
    }

    /** A demand of no group, whose size counts as settled since its submission. */
    public Demand(
            JobId job,
            UserName creator,
            String consumer,
            int priority,
            Instant submittedAt,
            boolean gpu,
            int slotsPerWorker,
            Shape shape,
            List<Holding> held) {
        this(job, creator, consumer, priority, submittedAt, submittedAt, gpu, slotsPerWorker, shape, held, null);
    }

    /**
     * Where a job stands among those of a group, such as the trials of one search. Jobs of a group exchange their turns among each
     * other when slots beyond the first worker are shared; towards all other jobs nothing changes.
     *
     * @param place the least goes first
     */
    public record Standing(String group, int place) {}

    /** The same demand at a moment at which its workers are others. */
    Demand holding(List<Holding> now, Instant resized) {
        return new Demand(
                job, creator, consumer, priority, submittedAt, resized, gpu, slotsPerWorker, shape, now, standing);
    }

    /** How many workers a job can use. */
    public sealed interface Shape {
        /** Exactly this many, started together or not at all, never taken back. */
        record Rigid(int workers) implements Shape {
            public Rigid {
                if (workers < 1) {
                    throw new IllegalArgumentException("workers must be at least 1, not " + workers);
                }
            }
        }

        /**
         * Any number of workers from 1 on; only those that lower ceil(V/W) make it faster.
         *
         * @param logicalWorkers V
         * @param most at most so many are given, whatever V would allow
         * @param bound why that is fewer than V, as a sentence; empty when it is not
         */
        record Elastic(int logicalWorkers, int most, String bound) implements Shape {
            public Elastic(int logicalWorkers) {
                this(logicalWorkers, logicalWorkers, "");
            }

            public Elastic {
                if (logicalWorkers < 1) {
                    throw new IllegalArgumentException("logicalWorkers must be at least 1, not " + logicalWorkers);
                }
                if (most < 1) {
                    throw new IllegalArgumentException("most must be at least 1, not " + most);
                }
            }
        }
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
