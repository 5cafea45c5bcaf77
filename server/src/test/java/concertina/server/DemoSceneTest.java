package concertina.server;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

class DemoSceneTest {
    private static final List<String> SLOTS = List.of("node1/0", "node1/1", "node1/2", "node1/3");

    private static JobRow job(
            String id, String state, List<String> slots, int generation, long step, @Nullable Double loss) {
        return new JobRow(
                id,
                "admin",
                "edtPyTorch",
                state,
                "runs",
                slots,
                generation,
                step,
                200,
                loss,
                loss == null ? null : 87.55,
                null,
                "",
                "");
    }

    private static DemoScene scene(long millis, JobRow... jobs) {
        return new DemoScene(Duration.ofMillis(millis), SLOTS, List.of(jobs), "concertina-1 holds 2 of 4 slots");
    }

    private static final JobRow FIRST = job("concertina-1", "RUNNING", SLOTS.subList(0, 2), 3, 100, 0.123456);
    private static final JobRow SECOND = job("concertina-2", "RUNNING", SLOTS.subList(2, 3), 1, 0, null);

    @Test
    void the_table_shows_every_job_and_who_holds_each_slot() {
        assertThat(scene(12_345, FIRST, SECOND).table(200, false))
                .containsExactly(
                        " 12.3 s  concertina-1 holds 2 of 4 slots",
                        "",
                        "JOB           STATE    SLOTS  GENERATION  STEP     LOSS    ACCURACY  PROGRESS",
                        "concertina-1  RUNNING  2      3           100/200  0.1235  87.6 %    ████████████░░░░░░░░░░░░  50 %",
                        "concertina-2  RUNNING  1      1           0/200    -       -         ░░░░░░░░░░░░░░░░░░░░░░░░   0 %",
                        "",
                        "slots  [ job 1 ] [ job 1 ] [ job 2 ] [ free  ]");
    }

    @Test
    void colours_change_nothing_but_escape_sequences() {
        List<String> plain = scene(1000, FIRST, SECOND).table(200, false);
        List<String> coloured = scene(1000, FIRST, SECOND).table(200, true);
        assertThat(coloured).isNotEqualTo(plain);
        assertThat(coloured.stream()
                        .map(line -> line.replaceAll("\u001b\\[[0-9;]*m", ""))
                        .toList())
                .isEqualTo(plain);
    }

    @Test
    void a_narrow_terminal_gets_shorter_lines_not_wrapped_ones() {
        assertThat(scene(1000, FIRST, SECOND).table(50, false))
                .allSatisfy(line -> assertThat(line).hasSizeLessThanOrEqualTo(50));
    }

    @Test
    void a_job_whose_length_is_not_known_yet_has_an_empty_bar() {
        JobRow fresh = new JobRow(
                "concertina-1", "admin", "edtPyTorch", "PENDING", "", List.of(), 0, 0, 0, null, null, null, "", "");
        assertThat(scene(0, fresh).table(200, false))
                .anySatisfy(line -> assertThat(line)
                        .startsWith("concertina-1  PENDING  0      0           -")
                        .endsWith("░   0 %"));
    }

    @Test
    void without_a_terminal_a_line_appears_when_something_changed() {
        DemoScene before = scene(1000, FIRST);
        JobRow shrunk = job("concertina-1", "RUNNING", SLOTS.subList(0, 1), 4, 101, 0.1);
        assertThat(before.changesSince(Optional.empty())).hasSize(1);
        assertThat(scene(1200, FIRST).changesSince(Optional.of(before))).isEmpty();
        assertThat(scene(1200, shrunk, SECOND).changesSince(Optional.of(before)))
                .satisfiesExactly(
                        line -> assertThat(line)
                                .contains("concertina-1")
                                .contains("slots 2 -> 1")
                                .contains("generation 4"),
                        line -> assertThat(line).isEqualTo("         concertina-1: runs"),
                        line -> assertThat(line).contains("concertina-2").contains("slots 1 "));
    }

    @Test
    void without_a_terminal_every_tenth_of_the_way_is_told() {
        JobRow later = job("concertina-1", "RUNNING", SLOTS.subList(0, 2), 3, 121, 0.1);
        assertThat(scene(1200, later).changesSince(Optional.of(scene(1000, FIRST))))
                .hasSize(1);
    }
}
