package concertina.search;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class StandingsTest {
    private final Standings standings = new Standings();

    /** Losses at steps 1, 2, 3, … */
    private void report(long trial, double... losses) {
        for (int i = 0; i < losses.length; i++) {
            standings.report(trial, i + 1, losses[i]);
        }
    }

    @Test
    void aYoungerOneLeadsWhereItWasBetterAtTheSameStep() {
        report(0, 1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3);
        report(1, 1, 0.8);

        assertThat(standings.order()).containsExactly(1L, 0L);
    }

    @Test
    void betweenTwoPowersOfTwoNothingChanges() {
        report(0, 1, 0.5);
        report(1, 1, 0.6);
        standings.report(1, 3, 0.1);
        assertThat(standings.order()).containsExactly(0L, 1L);

        standings.report(0, 4, 0.4);
        standings.report(1, 4, 0.3);
        assertThat(standings.order()).containsExactly(1L, 0L);
    }

    @Test
    void theLeastLossSoFarCounts() {
        report(0, 0.2, 0.9);
        report(1, 0.5, 0.5);

        assertThat(standings.order()).containsExactly(0L, 1L);
    }

    @Test
    void whoCannotBeComparedKeepsTheOrderOfNumbersAndWhoReportedNothingIsNotListed() {
        standings.report(3, 2, 0.9);
        standings.report(2, 4, 0.1);
        standings.report(5, 0, 0.1);
        standings.report(6, 1, Double.NaN);

        assertThat(standings.order()).containsExactly(2L, 3L);
    }

    @Test
    void fractionsOfAStepHaveMagnitudesTooAndInfiniteLossesAreWorst() {
        standings.report(0, 0.25, Double.POSITIVE_INFINITY);
        standings.report(1, 0.25, 3);

        assertThat(standings.order()).containsExactly(1L, 0L);
    }

    @Test
    void whoEndedCountsNoMore() {
        report(0, 0.1);
        report(1, 0.2);
        report(2, 0.3);
        standings.remove(0);

        assertThat(standings.order()).containsExactly(1L, 2L);
    }
}
