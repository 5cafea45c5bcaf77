package concertina.trials;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import concertina.model.ConcertinaException;
import concertina.model.Framework;
import concertina.search.Parameter;
import concertina.search.Point;
import concertina.search.Sampler;
import concertina.search.Suggestion;
import concertina.search.Trial;
import concertina.search.Value;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

class BuiltInSamplersTest {
    private final BuiltInSamplers samplers = new BuiltInSamplers();

    private static SearchSpec spec(String algorithm, Map<String, String> settings) {
        Point point = new Point(Map.of("n", new Value.Whole(3)));
        return new SearchSpec(
                algorithm,
                settings,
                List.of(new Parameter.Real("x", 0, 1), new Parameter.Whole("n", 1, 8)),
                BuiltInSamplers.takesList(algorithm) ? List.of(new GivenPoint(1, point)) : List.of(),
                BuiltInSamplers.resource(algorithm, settings),
                List.of(new Objective("loss", false)),
                List.of(),
                Map.of(),
                4,
                2,
                -1,
                7,
                null,
                null,
                SearchScene.job(Framework.PYTORCH),
                null,
                "{}");
    }

    private static Map<String, String> needed(String algorithm) {
        Map<String, String> settings = new HashMap<>();
        if (List.of("Hyperband", "ASHA", "BOHB").contains(algorithm)) {
            settings.put("resourcename", "epochs");
            settings.put("ResourceValue", "27");
            settings.put("Eta", "3");
        }
        if (algorithm.equals("PBT")) {
            settings.put("ResourceName", "epochs");
        }
        if (algorithm.equals("Grid")) {
            settings.put("Resolution", "5");
        }
        return settings;
    }

    @ParameterizedTest
    @MethodSource("concertina.trials.BuiltInSamplers#names")
    void everyListedAlgorithmProposesAndIsTheSameWhenBuiltAnew(String name) {
        SearchSpec spec = spec(name.toUpperCase(Locale.ROOT), needed(name));
        Sampler first = samplers.create(spec, null);
        Suggestion suggestion = first.ask(0).orElseThrow();
        assertThat(suggestion.resource().isPresent()).isEqualTo(!spec.resource().isEmpty());
        assertThat(spec.resource()).isEqualTo(suggestion.resource().isPresent() ? "epochs" : "");

        Trial running =
                new Trial(0, suggestion.point(), suggestion.resource(), suggestion.parent(), new Trial.State.Running());
        Trial complete = new Trial(
                0,
                suggestion.point(),
                suggestion.resource(),
                suggestion.parent(),
                new Trial.State.Complete(new double[] {0.5}, new double[0]));
        Sampler second = samplers.create(spec, null);
        for (Trial told : List.of(running, complete)) {
            first.tell(told);
            second.tell(told);
        }
        Optional<Suggestion> next = first.ask(1);
        assertThat(second.ask(1)).isEqualTo(next);
        assertThat(next.map(Suggestion::resource).orElse(OptionalDouble.empty()).isPresent())
                .isEqualTo(next.isPresent() && !spec.resource().isEmpty());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "Guess | RandomSeed | 1 | algoDef.algorithm is 'Guess', accepted: one of Random, TPE, Bayesian, Hyperband, ExperimentGridSearch",
                "Random | WarmUp | 1 | parameter of algorithm Random is 'WarmUp', accepted: RandomSeed",
                "TPE | WarmUp | 2 | algoParams WarmUp of TPE is '2', accepted: a whole number from 3",
                "TPE | GoodRatio | -1 | algoParams GoodRatio of TPE is '-1', accepted: a number above 0",
                "TPE | EICandidate | 1 | algoParams EICandidate of TPE is '1', accepted: a whole number from 2 to 10000",
                "TPE | GoodMax | 1 | algoParams GoodMax of TPE is '1', accepted: a whole number from 2",
                "TPE | GoodMax | x | algoParams GoodMax of TPE is 'x'",
                "Hyperband | eta | 1 | algoParams eta of Hyperband is '1', accepted: a number above 1",
                "Hyperband | ResourceValue | 0.5 | algoParams ResourceValue is '0.5', accepted: at least 1",
                "Hyperband | ResourceName | n | algoParams ResourceName is 'n', accepted: a name that no hyperparameter has",
                "ASHA | MinResourceValue | 99 | algoParams ResourceValue is '27.0', accepted: at least 99",
                "Bayesian | InitPoints | 0 | algoParams InitPoints of Bayesian is '0', accepted: a whole number from 1",
                "Bayesian | CubeSize | 3 | algoParams CubeSize of Bayesian is '3', accepted: a whole number from 4 to 1000000",
                "Bayesian | Noiseless | maybe | algoParams Noiseless of Bayesian is 'maybe', accepted: true or false",
                "PBT | ResourceName | x | algoParams ResourceName is 'x', accepted: a name that no hyperparameter has",
                "PBT | PopulationSize | 3 | algoParams PopulationSize of PBT is '3', accepted: a whole number from 4 to 1000",
                "PBT | Rounds | 0 | algoParams Rounds of PBT is '0', accepted: a whole number from 1",
                "PBT | RoundResource | 0 | algoParams RoundResource of PBT is '0', accepted: a number above 0",
                "PBT | GoOnFromParent | true | parameter of algorithm PBT is 'GoOnFromParent', accepted: RandomSeed",
                "Grid | Resolution | 0 | algoParams Resolution of Grid is '0', accepted: a whole number from 1",
            })
    void aMistakeIsNamed(String algorithm, String setting, String value, String message) {
        Map<String, String> settings = needed(algorithm);
        settings.keySet().removeIf(setting::equalsIgnoreCase);
        settings.put(setting, value);
        assertThatThrownBy(() -> samplers.create(spec(algorithm, settings), null))
                .isInstanceOf(ConcertinaException.class)
                .hasMessageContaining(message);
    }

    @ParameterizedTest
    @CsvSource({"WarmUp,20", "EICandidate,2", "GoodRatio,1.5", "GoodMax,1000"})
    void whatTheContractAcceptsOfTpeIsAccepted(String setting, String value) {
        assertThat(samplers.create(spec("Tpe", Map.of(setting, value)), null).ask(0))
                .isPresent();
    }

    @ParameterizedTest
    @MethodSource("concertina.trials.BuiltInSamplers#names")
    void aPointOfTheUsersIsGivenTheWholeResource(String name) {
        assertThat(BuiltInSamplers.wholeResource(spec(name, needed(name))))
                .isEqualTo(
                        List.of("Hyperband", "ASHA", "BOHB").contains(name)
                                ? OptionalDouble.of(27)
                                : OptionalDouble.empty());
    }

    @Test
    void aGridNeedsStepsOrAResolution() {
        assertThatThrownBy(() -> samplers.create(spec("grid", Map.of()), null)).hasMessageContaining("step of x is ''");
    }

    @Test
    void aModelOfBohbChoosesOnceItIsAsked() {
        Sampler bohb = samplers.create(spec("BOHB", needed("BOHB")), null);
        for (int number = 0; number < 4; number++) {
            Point point = new Point(Map.of("x", new Value.Real(number / 4.0), "n", new Value.Whole(3)));
            bohb.tell(new Trial(
                    -1 - number,
                    point,
                    OptionalDouble.of(27),
                    OptionalLong.empty(),
                    new Trial.State.Complete(new double[] {number}, new double[0])));
        }
        List<String> learnt = IntStream.range(0, 20)
                .mapToObj(number -> bohb.ask(number).orElseThrow().reason())
                .filter(reason -> reason.contains("learnt from 4 results with 27.0"))
                .toList();
        assertThat(learnt).isNotEmpty().allMatch(reason -> reason.startsWith("most promising"));
    }
}
