package concertina.trials;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class ConstraintTest {
    @Test
    void whatIsMissedIsAlwaysANumber() {
        assertThat(new Constraint("memory", 16, false).violation(18)).isEqualTo(2);
        assertThat(new Constraint("memory", 16, true).violation(18)).isEqualTo(-2);
        assertThat(new Constraint("memory", -1e308, false).violation(1e308)).isEqualTo(Double.MAX_VALUE);
        assertThat(new Constraint("memory", -1e308, true).violation(1e308)).isEqualTo(-Double.MAX_VALUE);
    }
}
