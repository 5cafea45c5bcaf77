package concertina.server;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.HashMap;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class SearchTableTest {
    private static final JsonNode SEARCH = json("""
            {"name": "first", "creator": "bob", "state": "RUNNING", "reason": "1 trial is under way", "seconds": 12.3,
             "algorithm": "TPE", "objectives": [{"metric": "score", "maximize": true}], "maxTrials": 4, "running": 1,
             "complete": 2, "failed": 1, "best": {"trial": 0, "value": 0.98765432, "values": {"score": 0.98765432}, "parameters": {"rate": 0.00001, "opt": "sgd"}},
             "parameters": [{"name": "rate"}, {"name": "opt"}],
             "trials": [
               {"trial": 0, "job": "concertina-1", "state": "FINISHED", "value": 0.98765432, "values": {"score": 0.98765432},
                "parameters": {"rate": 0.00001, "opt": "sgd"}, "resource": null, "reason": "drawn"},
               {"trial": 1, "job": "concertina-2", "state": "FAILED", "value": null,
                "parameters": {"rate": 0.1, "opt": "adam"}, "resource": null, "reason": "exit \\u001b[31mcode 1"},
               {"trial": 2, "job": "concertina-3", "state": "RUNNING", "value": null,
                "parameters": {"rate": 0.5, "opt": "adam"}, "resource": null, "reason": "model"}]}
            """);

    private static JsonNode json(String text) {
        return JsonMapper.shared().readTree(text);
    }

    @Test
    void the_table_marks_the_best_and_lets_no_text_steer_the_terminal() {
        assertThat(SearchTable.trials(SEARCH))
                .containsExactly(
                        "   TRIAL  JOB           STATE     score    rate     opt   WHY",
                        "*  0      concertina-1  FINISHED  0.98765  0.00001  sgd   drawn",
                        "   1      concertina-2  FAILED             0.1      adam  exit  [31mcode 1",
                        "   2      concertina-3  RUNNING            0.5      adam  model");
        assertThat(SearchTable.head(SEARCH))
                .containsExactly(
                        "first  RUNNING  2/4 trials, 1 under way, 1 failed, 12 s  TPE maximizes score",
                        "1 trial is under way",
                        "best is trial 0 with score 0.98765: rate 0.00001, opt sgd");
    }

    private static final JsonNode SEVERAL = json("""
            {"name": "two", "state": "FINISHED", "reason": "", "seconds": 1, "algorithm": "Auto", "maxTrials": 2, "complete": 2,
             "objectives": [{"metric": "loss", "maximize": false}, {"metric": "speed", "maximize": true}],
             "constraints": [{"metric": "memory", "atMost": 16.0}, {"metric": "accuracy", "atLeast": 0.5}],
             "best": {"trial": 1, "value": 2, "values": {"loss": 2, "speed": 5}, "violations": {"memory": 0.5}, "parameters": {"x": 1}},
             "parameters": [{"name": "x"}],
             "trials": [
               {"trial": 0, "job": "a", "state": "FINISHED", "value": 1, "values": {"loss": 1, "speed": 9},
                "violations": {"memory": 4, "accuracy": 0.25}, "parameters": {"x": 3}, "reason": "drawn"},
               {"trial": 1, "job": "b", "state": "FINISHED", "value": 2, "values": {"loss": 2, "speed": 5},
                "violations": {"memory": 0.5}, "parameters": {"x": 1}, "reason": "drawn"}]}
            """);

    @Test
    void several_objectives_and_what_constraints_are_missed_are_shown() {
        assertThat(SearchTable.trials(SEVERAL))
                .containsExactly(
                        "   TRIAL  JOB  STATE     loss  speed  MISSES                         x  WHY",
                        "   0      a    FINISHED  1     9      memory by 4, accuracy by 0.25  3  drawn",
                        "*  1      b    FINISHED  2     5      memory by 0.5                  1  drawn");
        assertThat(SearchTable.head(SEVERAL))
                .containsExactly(
                        "two  FINISHED  2/2 trials, 1 s  Auto minimizes loss, maximizes speed with memory at most 16, accuracy at least 0.5",
                        "",
                        "best is trial 1 with loss 2, speed 5, which misses memory by 0.5: x 1");
    }

    @Test
    void only_changes_are_told_and_each_once() {
        Map<Long, String> known = new HashMap<>(Map.of(2L, "RUNNING"));
        assertThat(SearchTable.changes(SEARCH, known))
                .containsExactly(
                        "trial 0  concertina-1  FINISHED  score 0.98765 (best)  rate 0.00001, opt sgd  drawn",
                        "trial 1  concertina-2  FAILED  rate 0.1, opt adam  exit  [31mcode 1");
        assertThat(SearchTable.changes(SEARCH, known)).isEmpty();
    }

    @Test
    void shares_are_bars_and_the_rest_is_due_to_interactions() {
        assertThat(SearchTable.importance(json("""
                        {"metric": "score", "trials": 7,
                         "importance": [{"parameter": "rate", "share": 0.75}, {"parameter": "opt", "share": 0.05}]}""")))
                .containsExactly(
                        "PARAMETER       SHARE    OF THE VARIANCE OF score",
                        "rate             75.0 %  " + "█".repeat(30) + "░".repeat(10),
                        "opt               5.0 %  " + "█".repeat(2) + "░".repeat(38),
                        "(interactions)   20.0 %  " + "█".repeat(8) + "░".repeat(32),
                        "from 7 trials");
    }

    @Test
    void searches_are_listed_with_their_best() {
        assertThat(SearchTable.list(json("[" + SEARCH + "]")))
                .containsExactly(
                        "SEARCH  USER  STATE    TRIALS  BEST           ALGORITHM  WHY",
                        "first   bob   RUNNING  2/4     score 0.98765  TPE        1 trial is under way");
        assertThat(SearchTable.list(json("[]"))).containsExactly("no searches");
    }

    @ParameterizedTest
    @CsvSource({
        "0.1, 0.1",
        "12345678.9, 12346000",
        "1e-9, 1E-9",
        "1.5e20, 1.5E+20",
        "7, 7",
        "0.0, 0",
        "-3.14159265, -3.1416"
    })
    void numbers_have_five_digits(String number, String shown) {
        assertThat(SearchTable.shown(json(number))).isEqualTo(shown);
    }
}
