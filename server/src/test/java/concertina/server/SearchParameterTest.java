package concertina.server;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import concertina.model.ConcertinaException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.JsonNodeFactory;

class SearchParameterTest {
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "rate=0.001..0.1 | {'name':'rate','type':'Range','dataType':'DOUBLE','minDbVal':0.001,'maxDbVal':0.1}",
                "rate=1e-5..0.1:log | {'name':'rate','type':'Range','scale':'log','dataType':'DOUBLE','minDbVal':0.000010,'maxDbVal':0.1}",
                "shift=-1..1:step=0.25 | {'name':'shift','type':'Range','step':0.25,'dataType':'DOUBLE','minDbVal':-1,'maxDbVal':1}",
                "layers=1..4:int | {'name':'layers','type':'Range','dataType':'INT','minIntVal':1,'maxIntVal':4}",
                "width=8..512:int:log | {'name':'width','type':'Range','scale':'log','dataType':'INT','minIntVal':8,'maxIntVal':512}",
                "opt=sgd,adam | {'name':'opt','type':'Discrete','dataType':'STR','discreateStrVal':['sgd','adam']}",
                "batch=16,32 | {'name':'batch','type':'Discrete','dataType':'INT','discreteIntVal':[16,32]}",
                "drop=0,0.5 | {'name':'drop','type':'Discrete','dataType':'DOUBLE','discreteDbVal':[0,0.5]}",
                "file=../a=b.csv | {'name':'file','type':'Discrete','dataType':'STR','discreateStrVal':['../a=b.csv']}",
            })
    void a_parameter_becomes_what_the_search_api_takes(String text, String json) {
        assertThat(tools.jackson.databind.json.JsonMapper.shared()
                        .readTree(SearchParameter.read(text).toString()))
                .isEqualTo(tools.jackson.databind.json.JsonMapper.shared().readTree(json.replace('\'', '"')));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "rate",
                "rate=",
                "=1..2",
                "rate=1..",
                "rate=1..x",
                "rate=1..2:lin",
                "rate=1..2:step=x",
                "opt=a,,b",
                "layers=1.5..4:int",
                "rate=2..1"
            })
    void anything_else_is_refused_in_one_line(String text) {
        assertThatThrownBy(() -> SearchParameter.read(text))
                .isInstanceOf(ConcertinaException.class)
                .hasMessageStartingWith("--param is '" + text + "', accepted: ");
    }

    @Test
    void a_condition_becomes_part_of_its_parameter() {
        ArrayNode space = JsonNodeFactory.instance.arrayNode();
        space.add(SearchParameter.read("opt=sgd,adam")).add(SearchParameter.read("net:momentum=0..1"));
        SearchParameter.condition("net:momentum:opt=sgd, adam", space);
        assertThat(space.get(1).get("when").toString()).isEqualTo("{\"name\":\"opt\",\"values\":[\"sgd\",\"adam\"]}");
        assertThat(space.get(0).has("when")).isFalse();
    }
}
