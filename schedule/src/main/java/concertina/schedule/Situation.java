package concertina.schedule;

import concertina.model.JobId;
import concertina.model.SlotId;
import concertina.schedule.Demand.Holding;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** A cluster and its demands at one moment, and what they look like just after a plan was carried out. Immutable. */
record Situation(ClusterView view, List<Demand> demands) {
    Situation {
        demands = List.copyOf(demands);
    }

    /** Workers to start hold their slots, workers to take back are leaving, neither is through yet. */
    Situation after(Plan plan, Instant now) {
        Map<JobId, Plan.Assignment> assignments = new HashMap<>();
        Set<SlotId> started = new HashSet<>();
        for (Plan.Assignment assignment : plan.assignments()) {
            assignments.put(assignment.job(), assignment);
            assignment.starts().forEach(started::addAll);
        }
        List<Demand> next = new ArrayList<>(demands.size());
        for (Demand demand : demands) {
            Plan.Assignment assignment = assignments.get(demand.job());
            next.add(assignment == null || assignment.idle() ? demand : after(demand, assignment, now));
        }
        return new Situation(
                new ClusterView(view.slots().stream()
                        .map(slot -> started.contains(slot.slot())
                                ? new ClusterView.SlotView(slot.slot(), slot.agent(), slot.kind(), false)
                                : slot)
                        .toList()),
                next);
    }

    private static Demand after(Demand demand, Plan.Assignment assignment, Instant now) {
        List<Holding> held = new ArrayList<>();
        int ordinal = 0;
        for (Holding holding : demand.held()) {
            ordinal = Math.max(ordinal, holding.ordinal());
            boolean leaving = holding.leaving() || assignment.leaves().contains(holding.ordinal());
            held.add(new Holding(holding.ordinal(), holding.slots(), leaving));
        }
        for (List<SlotId> slots : assignment.starts()) {
            held.add(new Holding(++ordinal, slots, false));
        }
        return demand.holding(held, now);
    }
}
