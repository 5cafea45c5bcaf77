package concertina.train;

import concertina.schedule.ClusterView;
import concertina.schedule.Demand;
import concertina.schedule.Plan;
import concertina.schedule.Policy;
import java.time.Instant;
import java.util.List;

/** Decides who gets which slot. Pure: the same arguments give the same plan. */
@FunctionalInterface
public interface Planning {
    Plan plan(ClusterView view, List<Demand> demands, Policy policy, Instant now);
}
