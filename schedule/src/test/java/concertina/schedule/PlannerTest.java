package concertina.schedule;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

class PlannerTest {
    static Stream<Arguments> scenes() {
        return Stream.of(
                Arguments.of("an elastic job alone takes all it can use", """
                        node1: 4 cpu
                        a elastic 4
                        """, """
                        a 4 +node1/0 +node1/1 +node1/2 +node1/3 | starts with 4 of at most 4 CPU slots: it can use no more
                        """),
                Arguments.of("a running job gives half to a second one", """
                        node1: 4 cpu
                        a elastic 4 holds node1/0 node1/1 node1/2 node1/3
                        b elastic 4
                        """, """
                        a 2 -4 -3 | shrinks from 4 to 2 of at most 4 CPU slots: 4 CPU slots are shared fairly by 2 elastic jobs of priority 5000
                        b 2 | waits for its first CPU slot: 0 free, 2 come back from a
                        """),
                Arguments.of("slots that come back are not started on before they are free", """
                        node1: 4 cpu
                        a elastic 4 holds node1/0 node1/1 node1/2! node1/3!
                        b elastic 4
                        """, """
                        a 2 | holds 2 of at most 4 CPU slots: 4 CPU slots are shared fairly by 2 elastic jobs of priority 5000
                        b 2 | waits for its first CPU slot: 0 free, 2 come back from a
                        """),
                Arguments.of("a script that asks for two workers gets two of four slots", """
                        node1: 4 cpu
                        a elastic 4 asks 2
                        """, """
                        a 2 +node1/0 +node1/1 | starts with 2 of at most 4 CPU slots: it asks for 2
                        """),
                Arguments.of(
                        "a script that asks for three workers gets the two that help, others take the rest", """
                        node1: 4 cpu
                        a elastic 4 asks 3
                        b elastic 4
                        """, """
                        a 2 +node1/0 +node1/2 | starts with 2 of at most 4 CPU slots: it asks for 3
                        b 2 +node1/1 +node1/3 | starts with 2 of at most 4 CPU slots: 4 CPU slots are shared fairly by 2 elastic jobs of priority 5000
                        """),
                Arguments.of("a running job that asks for one gives the others back", """
                        node1: 4 cpu
                        a elastic 4 asks 1 holds node1/0 node1/1 node1/2 node1/3
                        """, """
                        a 1 -4 -3 -2 | shrinks from 4 to 1 of at most 4 CPU slots: it asks for 1
                        """),
                Arguments.of("the remaining job grows when another has ended", """
                        node1: 4 cpu
                        a elastic 4 holds node1/0 node1/1
                        """, """
                        a 4 +node1/2 +node1/3 | grows from 2 to 4 of at most 4 CPU slots: it can use no more
                        """),
                Arguments.of("a job does not grow to a useless size while other slots come back", """
                        node1: 8 cpu 2 busy
                        a elastic 8 holds node1/2 node1/3 node1/4 node1/5
                        """, """
                        a 8 | holds 4 of at most 8 CPU slots, goes to 8 when they are free, 2 free, 2 come back from a job that ended: it can use no more
                        """),
                Arguments.of("a third slot is left alone because it would not make the job faster", """
                        node1: 3 cpu
                        a elastic 4
                        """, """
                        a 2 +node1/0 +node1/1 | starts with 2 of at most 4 CPU slots: worker 3 would not make it faster, 4 logical workers on 3 still take 2 rounds
                        """),
                Arguments.of("left-over slots go where they speed up most", """
                        node1: 3 cpu
                        a elastic 3
                        b elastic 8
                        """, """
                        a 1 +node1/0 | starts with 1 of at most 3 CPU slots: 3 CPU slots are shared fairly by 2 elastic jobs of priority 5000
                        b 2 +node1/1 +node1/2 | starts with 2 of at most 8 CPU slots: 3 CPU slots are shared fairly by 2 elastic jobs of priority 5000
                        """),
                Arguments.of("more elastic jobs than slots: the first ones get one each", """
                        node1: 2 cpu
                        a elastic 4
                        b elastic 4
                        c elastic 4
                        """, """
                        a 1 +node1/0 | starts with 1 of at most 4 CPU slots: 2 CPU slots are shared fairly by 2 elastic jobs of priority 5000
                        b 1 +node1/1 | starts with 1 of at most 4 CPU slots: 2 CPU slots are shared fairly by 2 elastic jobs of priority 5000
                        c 0 | waits: needs 1 CPU slot, 0 of 2 can be had, 2 taken by a and b
                        """),
                Arguments.of("higher priority shrinks lower priority to its first worker, never to nothing", """
                        node1: 4 cpu
                        a elastic 4 holds node1/0 node1/1 node1/2 node1/3
                        b elastic 3 priority 6000
                        """, """
                        b 3 | waits for its first CPU slot: 0 free, 3 come back from a
                        a 1 -4 -3 -2 | shrinks from 4 to 1 of at most 4 CPU slots: 1 CPU slot is left for elastic jobs of priority 5000, the others are taken by b
                        """),
                Arguments.of("a lower priority gets what the higher cannot use", """
                        node1: 4 cpu
                        a elastic 4 priority 4000
                        b elastic 2
                        """, """
                        b 2 +node1/0 +node1/1 | starts with 2 of at most 2 CPU slots: it can use no more
                        a 2 +node1/2 +node1/3 | starts with 2 of at most 4 CPU slots: 2 CPU slots are left for elastic jobs of priority 4000, the others are taken by b
                        """),
                Arguments.of("an elastic job shrinks before a gang queues", """
                        node1: 4 cpu
                        a elastic 4 holds node1/0 node1/1 node1/2 node1/3
                        b rigid 3
                        """, """
                        a 1 -4 -3 -2 | shrinks from 4 to 1 of at most 4 CPU slots: 1 CPU slot is left for elastic jobs of priority 5000, the others are taken by b
                        b 3 | waits: needs 3 CPU slots at once, 0 free, 3 come back from a
                        """),
                Arguments.of("a gang starts only when all of its slots are free", """
                        node1: 4 cpu
                        a elastic 4 holds node1/0 node1/1! node1/2! node1/3
                        b rigid 2
                        """, """
                        a 2 | holds 2 of at most 4 CPU slots: 2 CPU slots are left for elastic jobs of priority 5000, the others are taken by b
                        b 2 | waits: needs 2 CPU slots at once, 0 free, 2 come back from a
                        """),
                Arguments.of("a gang starts whole", """
                        node1: 4 cpu
                        a rigid 4
                        """, """
                        a 4 +node1/0 +node1/1 +node1/2 +node1/3 | starts on 4 CPU slots on node1
                        """),
                Arguments.of("a started rigid job is never taken back, whatever comes", """
                        node1: 4 cpu
                        a rigid 4 priority 1 holds node1/0 node1/1 node1/2 node1/3
                        b elastic 4 priority 9000
                        c rigid 1 priority 9000
                        """, """
                        b 0 | waits: needs 1 CPU slot, 0 of 4 can be had, 4 taken by a
                        c 0 | waits: needs 1 CPU slot, 0 of 4 can be had, 4 taken by a
                        a 4 | holds 4 CPU slots on node1 until it ends
                        """),
                Arguments.of("a gang of which one worker has ended is not filled up again", """
                        node1: 4 cpu
                        a rigid 4 holds node1/0 node1/1 node1/2
                        """, """
                        a 3 | holds 3 CPU slots on node1 until it ends
                        """),
                Arguments.of("a gang that waits is not overtaken by smaller jobs", """
                        node1: 4 cpu
                        a rigid 2 holds node1/0 node1/1
                        b rigid 4
                        c rigid 1
                        d elastic 2
                        """, """
                        a 2 | holds 2 CPU slots on node1 until it ends
                        b 0 | waits: needs 4 CPU slots at once, 2 of 4 can be had, 2 taken by a
                        c 0 | waits: needs 1 CPU slot, 0 of 4 can be had, 2 taken by a, 2 kept for b ahead of it
                        d 0 | waits: needs 1 CPU slot, 0 of 4 can be had, 2 taken by a, 2 kept for b ahead of it
                        """),
                Arguments.of("a small job passes a waiting gang where it cannot delay it", """
                        node1: 4 cpu
                        node2: 2 gpu
                        a rigid 1 holds node2/0
                        b rigid 2 gpu
                        c rigid 1
                        """, """
                        a 1 | holds 1 slot on node2 until it ends
                        b 0 | waits: needs 2 GPU slots at once, 1 of 2 can be had, 1 taken by a
                        c 1 +node1/0 | starts on 1 slot on node1
                        """),
                Arguments.of("elastic jobs use reserved slots and give them back", """
                        node1: 6 cpu
                        a rigid 2 holds node1/0 node1/1
                        e elastic 4 holds node1/2
                        b rigid 5
                        """, """
                        a 2 | holds 2 CPU slots on node1 until it ends
                        e 4 +node1/3 +node1/4 +node1/5 | grows from 1 to 4 of at most 4 CPU slots: it can use no more
                        b 0 | waits: needs 5 CPU slots at once, 3 of 6 can be had, 3 taken by a and e
                        """),
                Arguments.of("a gang gets its turn when the reserved slots are complete", """
                        node1: 6 cpu
                        e elastic 4 holds node1/2 node1/3 node1/4 node1/5
                        b rigid 5
                        """, """
                        e 1 -4 -3 -2 | shrinks from 4 to 1 of at most 4 CPU slots: 1 CPU slot is left for elastic jobs of priority 5000, the others are taken by b
                        b 5 | waits: needs 5 CPU slots at once, 2 free, 3 come back from e
                        """),
                Arguments.of("a worker's slots lie on one agent", """
                        node1: 3 cpu
                        node2: 3 cpu
                        a rigid 2x2
                        b rigid 1x2
                        c rigid 2x1
                        """, """
                        a 2 +node1/0+node1/1 +node2/0+node2/1 | starts on 4 CPU slots on node1 and node2
                        b 0 | waits: needs 2 CPU slots at once, 2 of 6 can be had, 4 taken by a; not where they help: it needs 1 worker of 2 slots on one agent
                        c 0 | waits: needs 2 CPU slots at once, 1 of 6 can be had, 4 taken by a, 1 kept for b ahead of it
                        """),
                Arguments.of("a gang is packed onto few agents, best fit", """
                        node1: 2 cpu
                        node2: 4 cpu
                        node3: 3 cpu
                        a rigid 3
                        b rigid 5
                        """, """
                        a 3 +node3/0 +node3/1 +node3/2 | starts on 3 CPU slots on node3
                        b 5 +node2/0 +node2/1 +node2/2 +node2/3 +node1/0 | starts on 5 CPU slots on node2 and node1
                        """),
                Arguments.of("a whole agent is freed for a wide worker", """
                        node1: 2 cpu
                        node2: 2 cpu
                        a elastic 4 holds node1/0 node2/0 node1/1 node2/1
                        b rigid 1x2
                        """, """
                        a 2 -4 -2 | shrinks from 4 to 2 of at most 4 CPU slots: 2 CPU slots are left for elastic jobs of priority 5000, the others are taken by b
                        b 1 | waits: needs 2 CPU slots at once, 0 free, 2 come back from a
                        """),
                Arguments.of("GPU jobs take GPUs only, others prefer CPU slots", """
                        node1: 2 gpu
                        node2: 2 cpu
                        a rigid 1
                        b rigid 1 gpu
                        c elastic 4
                        """, """
                        a 1 +node2/0 | starts on 1 slot on node2
                        b 1 +node1/0 | starts on 1 GPU slot on node1
                        c 2 +node2/1 +node1/1 | starts with 2 of at most 4 slots: 2 slots are left for elastic jobs of priority 5000, the others are taken by a and b
                        """),
                Arguments.of("what no cluster state can satisfy waits with the reason and reserves nothing", """
                        node1: 2 cpu
                        node2: 2 cpu
                        a rigid 5
                        b rigid 1 gpu
                        c rigid 1x3
                        d elastic 2x4
                        f rigid 1000x2000000000
                        e rigid 2
                        """, """
                        a 0 | cannot start: needs 5 CPU slots at once, the whole cluster has 4
                        b 0 | cannot start: needs a GPU, the cluster has none
                        c 0 | cannot start: needs 1 worker of 3 slots on one agent, the largest agent has 2 and all agents together have room for 0 of these workers
                        d 0 | cannot start: needs 1 worker of 4 slots on one agent, the largest agent has 2 and all agents together have room for 0 of these workers
                        f 0 | cannot start: needs 2000000000000 CPU slots at once, the whole cluster has 4
                        e 2 +node1/0 +node1/1 | starts on 2 CPU slots on node1
                        """),
                Arguments.of("a gang starts now on two agents rather than later on one", """
                        node1: 4 cpu 2 busy
                        node2: 2 cpu
                        a rigid 4
                        b rigid 3
                        """, """
                        a 4 +node1/2 +node1/3 +node2/0 +node2/1 | starts on 4 CPU slots on node1 and node2
                        b 0 | waits: needs 3 CPU slots at once, 2 of 6 can be had, 4 taken by a
                        """),
                Arguments.of("rank 0 stays, and the highest ranks go whatever their ordinals", """
                        node1: 2 cpu
                        a elastic 2 holds node1/1 node1/0
                        b rigid 1
                        """, """
                        a 1 -2 | shrinks from 2 to 1 of at most 2 CPU slots: 1 CPU slot is left for elastic jobs of priority 5000, the others are taken by b
                        b 1 | waits: needs 1 CPU slot, 0 free, 1 comes back from a
                        """),
                Arguments.of("an elastic job of wide workers shares by slots, not by workers", """
                        node1: 8 cpu
                        a elastic 4x2
                        b elastic 8
                        """, """
                        a 2 +node1/0+node1/1 +node1/6+node1/7 | starts with 4 of at most 8 CPU slots: 8 CPU slots are shared fairly by 2 elastic jobs of priority 5000
                        b 4 +node1/2 +node1/3 +node1/4 +node1/5 | starts with 4 of at most 8 CPU slots: 8 CPU slots are shared fairly by 2 elastic jobs of priority 5000
                        """),
                Arguments.of("without agents everything waits", """
                        a elastic 4
                        b rigid 1
                        """, """
                        a 0 | waits: no agent is connected, so there is no slot
                        b 0 | waits: no agent is connected, so there is no slot
                        """),
                Arguments.of("a worker that died is replaced", """
                        node1: 4 cpu
                        a elastic 4 holds node1/0 node1/1 node1/3
                        """, """
                        a 4 +node1/2 | grows from 3 to 4 of at most 4 CPU slots: it can use no more
                        """),
                Arguments.of("a job whose size became useless gives the rest back", """
                        node1: 3 cpu
                        a elastic 4 holds node1/0 node1/1 node1/2
                        """, """
                        a 2 -3 | shrinks from 3 to 2 of at most 4 CPU slots: worker 3 would not make it faster, 4 logical workers on 3 still take 2 rounds
                        """),
                Arguments.of("workers on a lost agent do not count against the slots that are left", """
                        node1: 2 cpu
                        a elastic 4 holds node2/0 node2/1
                        b elastic 2
                        """, """
                        a 2 | holds 2 of at most 4 CPU slots: 4 CPU slots are shared fairly by 2 elastic jobs of priority 5000
                        b 2 +node1/0 +node1/1 | starts with 2 of at most 2 CPU slots: it can use no more
                        """));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("scenes")
    void plans(String sentence, String scene, String expected) {
        assertThat(Scene.text(Scene.of(scene).plan())).isEqualTo(expected.strip());
    }

    @Test
    void aJobGrowsOnlyOnceItsSizeHasSettledButShrinksAtOnce() {
        Policy policy = new Policy(Duration.ofMinutes(5));
        Scene growing = Scene.of("node1: 4 cpu\na elastic 4 holds node1/0");
        Scene shrinking = Scene.of("node1: 2 cpu\na elastic 2 holds node1/0 node1/1\nb elastic 2");
        Instant early = Scene.START.plusSeconds(299);
        Instant late = Scene.START.plusSeconds(300);
        assertThat(Scene.text(Planner.plan(growing.view(), growing.demands(), policy, early)))
                .isEqualTo(
                        "a 4 | holds 1 of at most 4 CPU slots, goes to 4 once its size has settled: it can use no more");
        assertThat(Planner.plan(growing.view(), growing.demands(), policy, late)
                        .assignments()
                        .getFirst()
                        .starts())
                .hasSize(3);
        assertThat(Planner.plan(shrinking.view(), shrinking.demands(), policy, early)
                        .assignments()
                        .getFirst()
                        .leaves())
                .containsExactly(2);
    }

    /** Targets of the jobs in order of submission. */
    private static List<Integer> targets(String scene) {
        return Scene.of(scene).plan().assignments().stream()
                .map(Plan.Assignment::target)
                .toList();
    }

    @Test
    void whatIsLeftOverGoesToTheLeadingJobOfAGroup() {
        assertThat(targets("""
                        node1: 4 cpu
                        a elastic 4 group s 2
                        b elastic 4
                        c elastic 4 group s 1
                        """)).containsExactly(1, 1, 2);
        assertThat(targets("""
                        node1: 4 cpu
                        a elastic 4 group s 2 holds node1/0 node1/3
                        b elastic 4 group s 1 holds node1/1
                        c elastic 4 group s 0 holds node1/2
                        """)).containsExactly(1, 1, 2);
    }

    @Test
    void aGroupTakesNoTurnOfAnotherJobNorMoreThanItsShare() {
        assertThat(targets("""
                        node1: 4 cpu
                        a elastic 4
                        b elastic 4 group s 1
                        c elastic 4 group s 0
                        """)).containsExactly(2, 1, 1);
        assertThat(targets("""
                        node1: 4 cpu
                        a elastic 4 group s 0
                        b elastic 4 group s 1
                        """)).containsExactly(2, 2);
        assertThat(targets("""
                        node1: 3 cpu
                        a elastic 2 group s 0
                        b elastic 2 group t 1
                        c elastic 2 group t 0 priority 4000
                        """)).containsExactly(2, 1, 0);
    }

    @Test
    void theReasonNamesTheGroup() {
        assertThat(Scene.text(
                        Scene.of("node1: 2 cpu\na elastic 4 group s 1 holds node1/0 node1/1\nb elastic 4 group s 0")
                                .plan()))
                .startsWith(
                        "a 1 -2 | shrinks from 2 to 1 of at most 4 CPU slots: 2 CPU slots are shared fairly by 2 elastic"
                                + " jobs of priority 5000, of those of s the leading one grows first");
    }

    @Test
    void equalPlacesKeepTheOrderOfSubmission() {
        assertThat(targets("node1: 3 cpu\na elastic 4 group s 0\nb elastic 4 group s 0"))
                .containsExactly(2, 1);
    }

    @Test
    void theOrderOfTheDemandsGivenDoesNotMatter() {
        Scene scene = Scene.of("node1: 3 cpu\na elastic 4\nb rigid 2\nc elastic 2 priority 6000");
        assertThat(Planner.plan(scene.view(), scene.demands().reversed(), Policy.DEFAULT, Scene.START))
                .isEqualTo(Planner.plan(scene.view(), scene.demands(), Policy.DEFAULT, Scene.START));
    }

    @Test
    void sizesBelowOneAreRefused() {
        assertThatThrownBy(() -> Scene.of("a elastic 0"))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("logicalWorkers must be at least 1, not 0");
        assertThatThrownBy(() -> Scene.of("a rigid -1")).hasMessage("workers must be at least 1, not -1");
        assertThatThrownBy(() -> Scene.of("a rigid 1x0")).hasMessage("slotsPerWorker of a must be at least 1, not 0");
    }
}
