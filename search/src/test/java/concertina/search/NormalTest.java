package concertina.search;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import org.junit.jupiter.api.Test;

class NormalTest {
    @Test
    void probabilitiesAreThoseOfTheTables() {
        double[][] known = {
            {0, 0.5},
            {1, 0.8413447460685429},
            {-1.959963984540054, 0.025},
            {-3.01, 0.0013062384487694675},
            {-5, 2.866515718791933e-7},
            {-8.2, 1.2019351542735735e-16},
            {-20, 2.7536241186061556e-89},
            {-37.5, 4.605353009581954e-308}
        };
        for (double[] pair : known) {
            assertThat(Normal.probability(pair[0]) / pair[1]).as("%s", pair[0]).isCloseTo(1, within(1e-12));
        }
        assertThat(Normal.probability(40)).isEqualTo(1);
        assertThat(Normal.probability(-50)).isZero();
        assertThat(Normal.logProbability(-50)).isCloseTo(-1254.8313611394199, within(1e-9));
    }

    @Test
    void probabilityIsTheIntegralOfTheDensity() {
        for (double x = -9; x < 9; x += 0.0137) {
            double step = 1e-4;
            double slope = Normal.between(x - step, x + step) / (2 * step);
            assertThat(slope / Normal.density(x)).as("%s", x).isCloseTo(1, within(1e-6));
        }
    }

    @Test
    void quantileInvertsProbability() {
        for (double p : new double[] {1e-300, 1e-30, 1e-6, 0.01, 0.3, 0.5, 0.7, 0.99}) {
            assertThat(Normal.probability(Normal.quantile(p)) / p).as("%s", p).isCloseTo(1, within(1e-10));
        }
    }
}
