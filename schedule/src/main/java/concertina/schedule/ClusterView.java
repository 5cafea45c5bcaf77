package concertina.schedule;

import concertina.model.AgentId;
import concertina.model.Slot;
import concertina.model.SlotId;
import java.util.List;

/** The slots a plan may use, in a fixed order. A slot of an agent that is not connected is not listed. */
public record ClusterView(List<SlotView> slots) {
    public ClusterView {
        slots = List.copyOf(slots);
    }

    /**
     * A slot.
     *
     * @param free whether nobody holds it; slots of workers that are leaving are not free until their process is gone
     */
    public record SlotView(SlotId slot, AgentId agent, Slot.Kind kind, boolean free) {}
}
