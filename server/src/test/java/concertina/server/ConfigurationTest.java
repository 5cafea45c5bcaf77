package concertina.server;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import concertina.model.ConcertinaException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ConfigurationTest {
    private static Configuration parse(String yaml) {
        return ConfigurationReader.parse(yaml, "file.yaml", Map.of());
    }

    @Test
    void an_empty_file_means_the_defaults() {
        assertThat(parse("")).isEqualTo(Configuration.DEFAULT);
        assertThat(parse("# nothing but a remark\n")).isEqualTo(Configuration.DEFAULT);
        assertThat(parse("https-port:\n")).isEqualTo(Configuration.DEFAULT);
    }

    @Test
    void a_written_key_replaces_its_default() {
        Configuration read = parse("https-port: 8443\nhttp-port: 0\ncertificate-names: [gpu.example, 10.0.0.7]\n"
                + "data-folder: /srv/data\nlog-level: debug\n");
        assertThat(read.httpsPort()).isEqualTo(8443);
        assertThat(read.httpPort()).isZero();
        assertThat(read.certificateNames()).containsExactly("gpu.example", "10.0.0.7");
        assertThat(read.dataFolder()).isEqualTo(Path.of("/srv/data"));
        assertThat(read.logLevel()).isEqualTo("debug");
        assertThat(read.namespace()).isEqualTo("concertina");
    }

    @Test
    void the_environment_wins_over_the_file() {
        Configuration read = ConfigurationReader.parse(
                "https-port: 8443\n",
                "file.yaml",
                Map.of(
                        "CONCERTINA_HTTPS_PORT", "9000",
                        "CONCERTINA_CERTIFICATE_NAMES", "a.example, b.example",
                        "CONCERTINA_PYTHON", "/usr/bin/python3"));
        assertThat(read.httpsPort()).isEqualTo(9000);
        assertThat(read.certificateNames()).containsExactly("a.example", "b.example");
    }

    @Test
    void an_unknown_key_is_named_together_with_those_that_exist() {
        assertThatThrownBy(() -> parse("https_port: 1\n"))
                .isInstanceOf(ConcertinaException.class)
                .hasMessage(
                        "key in file.yaml is 'https_port', accepted: " + String.join(", ", ConfigurationReader.keys()));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "https-port: many | https-port is 'many', accepted: a whole number",
                "https-port: 1.5 | https-port is '1.5', accepted: a whole number",
                "https-port: 99999999999 | https-port is '99999999999', accepted: a whole number",
                "https-port: 65536 | https-port is '65536', accepted: 0 to 65535",
                "https-port: [1, 2] | https-port is '[1,2]', accepted: a whole number",
                "http-port: -1 | http-port is '-1', accepted: 0 to 65535",
                "settle-seconds: -5 | settle-seconds is '-5', accepted: 0 to 86400",
                "heap-megabytes: 64 | heap-megabytes is '64', accepted: 128 to 1048576",
                "data-folder: {a: b} | data-folder is '{\"a\":\"b\"}', accepted: a path",
                "certificate-names: [{a: b}] | certificate-names is '[{\"a\":\"b\"}]', accepted: a list of words",
                "log-level: loud | log-level is 'loud', accepted: error, warn, info, debug",
                "namespace: A_B | namespace is 'A_B', accepted: 1 to 32 lower-case letters, digits and hyphens, a letter first",
                "private-key-file: k.pem | certificate-file is '', accepted: a PEM file, because certificate-file and private-key-file go together",
            })
    void a_wrong_value_is_refused_in_one_line(String yaml, String message) {
        assertThatThrownBy(() -> parse(yaml))
                .isInstanceOf(ConcertinaException.class)
                .hasMessage(message);
    }

    @ParameterizedTest
    @CsvSource({"'just words'", "'- a\n- b\n'", "'a: [1\n'", "'a: b: c\n'", "'\t- a'"})
    void text_that_is_no_map_of_keys_is_refused_in_one_line(String yaml) {
        assertThatThrownBy(() -> parse(yaml))
                .isInstanceOf(ConcertinaException.class)
                .message()
                .startsWith("file.yaml")
                .doesNotContain("\n");
    }

    @Test
    void a_missing_file_is_named() {
        assertThatThrownBy(() -> ConfigurationReader.read(Path.of("/nowhere/concertina.yaml"), Map.of()))
                .isInstanceOf(ConcertinaException.class)
                .hasMessage("configuration file /nowhere/concertina.yaml cannot be read");
    }

    @Test
    void the_documentation_lists_every_key_with_its_default_and_no_other() throws IOException {
        Pattern row = Pattern.compile("^\\| `([a-z-]+)` \\| (?:`([^`]*)`|[^|`]*) \\|.*$", Pattern.MULTILINE);
        Matcher rows = row.matcher(Files.readString(Path.of("..", "docs", "configuration.md")));
        Map<String, String> documented = new LinkedHashMap<>();
        while (rows.find()) {
            documented.put(rows.group(1), rows.group(2) == null ? "" : rows.group(2));
        }
        Map<String, String> actual = new LinkedHashMap<>();
        for (String key : ConfigurationReader.keys()) {
            actual.put(key, ConfigurationReader.written(key, Configuration.DEFAULT));
        }
        assertThat(documented).containsExactlyEntriesOf(actual);
        assertThat(List.copyOf(actual.keySet())).doesNotHaveDuplicates();
    }
}
