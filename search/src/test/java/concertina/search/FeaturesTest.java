package concertina.search;

import static org.assertj.core.api.Assertions.assertThat;

import concertina.search.Parameter.Scale;
import concertina.search.Parameter.Whole;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class FeaturesTest {
    @ParameterizedTest
    @EnumSource(Scale.class)
    void everyValueOfAFewIsInTheMiddleOfItsCell(Scale scale) {
        Whole parameter = new Whole("n", 1, 8, scale, 1, null);
        Features features = new Features(new Space(List.of(parameter)));

        assertThat(IntStream.range(0, features.values(0))
                        .mapToObj(cell -> Space.decode(parameter, features.middle(0, cell))))
                .extracting(value -> ((Value.Whole) value).value())
                .containsExactly(1L, 2L, 3L, 4L, 5L, 6L, 7L, 8L);
    }
}
