package concertina.server;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import concertina.model.ConcertinaException;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class SearchGoalTest {
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "loss | {'metric':'loss','objective':'minimize'}",
                "val:speed:maximize | {'metric':'val:speed','objective':'maximize'}",
                " loss : minimize | {'metric':'loss','objective':'minimize'}",
            })
    void an_objective_becomes_what_the_search_api_takes(String text, String json) {
        assertThat(SearchGoal.objective(text).toString().replace('"', '\'')).isEqualTo(json);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "memory<=16 | {'metric':'memory','atMost':16}",
                "val accuracy >= .5 | {'metric':'val accuracy','atLeast':0.5}",
                "gap>=-25.5 | {'metric':'gap','atLeast':-25.5}",
            })
    void a_bound_becomes_what_the_search_api_takes(String text, String json) {
        assertThat(SearchGoal.constraint(text).toString().replace('"', '\'')).isEqualTo(json);
    }

    @ParameterizedTest
    @ValueSource(strings = {"memory", "memory<16", "<=16", "memory<=much", "memory=16", "memory<=1e9999"})
    void what_is_no_bound_is_refused(String text) {
        assertThatThrownBy(() -> SearchGoal.constraint(text))
                .isInstanceOf(ConcertinaException.class)
                .hasMessageContaining("METRIC<=NUMBER or METRIC>=NUMBER");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {"median | {'rule':'median'}", "asha:81 | {'rule':'asha','maxSteps':81}"})
    void a_rule_becomes_what_the_search_api_takes(String text, String json) {
        assertThat(SearchGoal.stopping(text).toString().replace('"', '\'')).isEqualTo(json);
    }

    @ParameterizedTest
    @ValueSource(strings = {"asha", "asha:0", "best", "asha:1.5"})
    void what_is_no_rule_is_refused(String text) {
        assertThatThrownBy(() -> SearchGoal.stopping(text)).hasMessageContaining("median, or asha:STEPS");
    }

    @ParameterizedTest
    @ValueSource(strings = {"", ":maximize", "loss:", "loss:max"})
    void what_is_no_objective_is_refused(String text) {
        assertThatThrownBy(() -> SearchGoal.objective(text)).hasMessageContaining("METRIC:maximize");
    }
}
