package concertina.model;

import java.util.List;

/**
 * What an agent says when it joins: who it is, its slots, and every worker it still knows of with what each last said, so
 * that a restarted server can adopt them.
 *
 * @param session random per agent process; a new one replaces the old
 * @param host address at which other nodes reach this one
 * @param processors processors that all slots of this agent share
 */
public record AgentHello(
        AgentId agent, String session, String host, int processors, List<Slot> slots, List<KnownWorker> workers) {
    public AgentHello {
        slots = List.copyOf(slots);
        workers = List.copyOf(workers);
    }

    /** Threads of a worker that holds so many of an agent's slots. */
    public static int threads(int processors, int slots, int held) {
        return Math.max(1, processors * held / Math.max(1, slots));
    }

    /**
     * A worker the agent knows of.
     *
     * @param reports everything to be told again about it, oldest first: Started, the last message of each type, Exited,
     *     Shipped
     */
    public record KnownWorker(WorkerId worker, List<AgentReport> reports) {
        public KnownWorker {
            reports = List.copyOf(reports);
        }
    }
}
