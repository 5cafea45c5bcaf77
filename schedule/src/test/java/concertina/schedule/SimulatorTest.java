package concertina.schedule;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import concertina.model.JobId;
import concertina.model.UserName;
import concertina.schedule.Demand.Shape;
import concertina.schedule.Simulator.Arrival;
import concertina.schedule.Simulator.Outcome;
import concertina.schedule.Simulator.Trace;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class SimulatorTest {
    private final ClusterView fourSlots = Scene.of("node1: 4 cpu").view();

    @Test
    void aJobAloneRunsAtFullSpeed() {
        Outcome outcome = play(Policy.DEFAULT, arrival("a", 0, new Shape.Elastic(4), 40));
        assertThat(outcome.jobs().getFirst().turnaround()).isEqualTo(Duration.ofSeconds(10));
        assertThat(outcome.utilisation()).isEqualTo(1.0, within(1e-6));
    }

    @Test
    void aSecondJobGetsHalfAndTheFirstGetsItBack() {
        List<String> sizes = new ArrayList<>();
        Trace trace = new Trace(
                fourSlots,
                List.of(arrival("a", 0, new Shape.Elastic(4), 60), arrival("b", 5, new Shape.Elastic(4), 10)),
                List.of(),
                Duration.ofSeconds(1));
        Outcome outcome = Simulator.play(trace, Policy.DEFAULT, moment -> {
            String size = moment.plan().assignments().stream()
                    .map(assignment -> assignment.job() + "=" + assignment.target())
                    .reduce("", (all, one) -> all + " " + one);
            if (sizes.isEmpty() || !sizes.getLast().equals(size)) {
                sizes.add(size);
            }
        });
        assertThat(sizes).containsExactly(" a=4", " a=2 b=2", " a=4", "");
        Simulator.JobOutcome second = outcome.jobs().getFirst();
        assertThat(second.job()).isEqualTo(new JobId("b"));
        assertThat(second.waited()).isEqualTo(Duration.ofSeconds(1));
        assertThat(second.turnaround()).isEqualTo(Duration.ofSeconds(6));
    }

    @Test
    void aLongSettlingTimeCostsUtilisation() {
        Arrival[] arrivals = {arrival("a", 0, new Shape.Rigid(2), 10), arrival("b", 0, new Shape.Elastic(4), 200)};
        assertThat(play(new Policy(Duration.ofSeconds(60)), arrivals).utilisation())
                .isLessThan(play(Policy.DEFAULT, arrivals).utilisation());
    }

    @Test
    void whatCanNeverStartIsListedAsUnfinished() {
        Outcome outcome = play(Policy.DEFAULT, arrival("a", 0, new Shape.Rigid(5), 10));
        assertThat(outcome.jobs()).isEmpty();
        assertThat(outcome.unfinished()).containsExactly(new JobId("a"));
    }

    private Outcome play(Policy policy, Arrival... arrivals) {
        return Simulator.play(new Trace(fourSlots, List.of(arrivals), List.of(), Duration.ofSeconds(1)), policy);
    }

    private static Arrival arrival(String job, int second, Shape shape, int workSeconds) {
        return new Arrival(
                new JobId(job),
                new UserName("user"),
                5000,
                Scene.START.plusSeconds(second),
                false,
                1,
                shape,
                Duration.ofSeconds(workSeconds));
    }
}
