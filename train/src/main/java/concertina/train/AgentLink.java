package concertina.train;

import concertina.model.AgentHello;
import concertina.model.AgentId;
import concertina.model.Slot;
import concertina.model.SlotId;
import concertina.model.WorkerId;
import java.time.Instant;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Soft state of one agent: its present session, what it said of itself, when it was last heard. Lost with the server; the agent
 * joins again. Guarded by the trainer's lock; the command queue has its own.
 */
final class AgentLink {
    final AgentId agent;
    final String session;
    final String host;
    final int processors;
    final List<Slot> slots;
    final CommandQueue queue = new CommandQueue();

    /**
     * Workers that the agent still has though nobody wants them, with the slots they sit on until they are gone; no slots
     * when those are not known any more, which blocks every slot of the agent.
     */
    final Map<WorkerId, List<SlotId>> squatters = new HashMap<>();

    Instant lastSeen;
    List<Integer> ports = List.of();
    boolean connected = true;

    AgentLink(AgentHello hello, Instant now) {
        agent = hello.agent();
        session = hello.session();
        host = hello.host();
        processors = hello.processors();
        slots = hello.slots();
        lastSeen = now;
    }

    boolean squatted(SlotId slot) {
        return squatters.values().stream().anyMatch(slots -> slots.isEmpty() || slots.contains(slot));
    }
}
