package concertina.api.wmla;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import concertina.model.ConcertinaException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class PythonLiteralTest {
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "{\"a\": [1, 2.5, -3e-2], \"b\": null, \"c\": true} | {\"a\":[1,2.5,-0.03],\"b\":null,\"c\":true}",
                "{'a': (1, 2,), 'b': None, 'c': False,} | {\"a\":[1,2],\"b\":null,\"c\":false}",
                "{'it\\'s': \"say \\\"so\\\"\"} | {\"it's\":\"say \\\"so\\\"\"}",
                "['one ' 'text', u'two'] | [\"one text\",\"two\"]",
                "'\\x41\\u00e9\\U0001F600' | \"Aé😀\"",
                "[.5, 5., +2, 1e-05] | [0.5,5.0,2,1.0E-5]",
                "{} | {}",
                "[9223372036854775807, -9223372036854775808] | [9223372036854775807,-9223372036854775808]",
                "[9223372036854775808, 1234567890123456789] | [9223372036854775808,1234567890123456789]",
                "[9007199254740993.0, 0e-9999] | [9007199254740993.0,0.0]",
                "'''a\"b''' | \"a\\\"b\"",
            })
    void whatPythonPrintsIsRead(String text, String json) {
        assertThat(PythonLiteral.read(text).toString()).isEqualTo(json);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "{'a': open('x')} | data has 'open('x')}' at character 7",
                "{a: 1} | accepted: a name in quotes",
                "{'a' 1} | accepted: ':'",
                "[1 2] | accepted: ',' or ']'",
                "[1, | data ends at character 4",
                "'never closed | accepted: a quote that is closed",
                "{'a': 1} trailing | accepted: the end",
                "1.2.3 | accepted: a number",
                "[1+2] | accepted: a number",
                "lambda | accepted: a dict",
                "1e9999 | accepted: 0, or a number of a size from 4.9E-324 to",
                "[-1e-9999] | has '-1e-9999]' at character 2, accepted: 0, or a number",
                "1e999999999 | accepted: a number",
                "{'a': '\\ud83dx'} | character 7, accepted: whole characters",
                "'\\xZZ' | accepted: 2 hexadecimal digits",
            })
    void nothingElseIs(String text, String message) {
        assertThatThrownBy(() -> PythonLiteral.read(text))
                .isInstanceOf(ConcertinaException.class)
                .hasMessageContaining(message);
    }

    @Test
    void depthIsBounded() {
        String deep = "[".repeat(100_000) + "]".repeat(100_000);
        assertThatThrownBy(() -> PythonLiteral.read(deep)).hasMessageContaining("at most 50 levels");
    }
}
