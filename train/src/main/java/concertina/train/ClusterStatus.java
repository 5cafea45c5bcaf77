package concertina.train;

import concertina.model.AgentId;
import concertina.model.JobId;
import concertina.model.Slot;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Agents and slots at one moment. */
public record ClusterStatus(List<AgentStatus> agents) {
    /** An agent; connected while it polls. */
    public record AgentStatus(AgentId agent, String host, boolean connected, List<SlotStatus> slots) {}

    /** A slot and who holds it; job and since are absent when it is free. */
    public record SlotStatus(
            Slot slot, @Nullable JobId job, @Nullable Integer worker) {}
}
