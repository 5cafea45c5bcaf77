package concertina.server;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import picocli.CommandLine;

class MainTest {
    private record Outcome(int code, String errors, String output) {}

    private static Outcome run(String... arguments) {
        StringWriter errors = new StringWriter();
        StringWriter output = new StringWriter();
        CommandLine line = Main.commandLine();
        line.setErr(new PrintWriter(errors));
        line.setOut(new PrintWriter(output));
        int code = line.execute(arguments);
        return new Outcome(code, errors.toString(), output.toString());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "rise | Unmatched argument at index 0: 'rise'",
                "up --slots many | Invalid value for option '--slots': 'many' is not an int",
                "up --slots 0 | --slots is '0', accepted: 1 to 1024",
                "logs | Missing required parameter: 'JOB'",
                "logs --stream loud concertina-1 | Invalid value for option '--stream'",
                "stop | Missing required parameter: 'JOB'",
                "users | users needs one of list, add, password",
                "search | search needs one of run, list, show, try, stop, restart, delete, importance, front, export",
                "search run PyTorch | --param is '', accepted: at least one; or instead of FRAMEWORK a file",
                "search run --param a=1..2 --objective loss:least PyTorch | --objective is 'loss:least', accepted: METRIC",
                "search run --param a=1..2 --objective loss --metric x PyTorch | --objective is 'loss', accepted: either --objective or",
                "search run --param a=1..2 --constraint memory<16 PyTorch | --constraint is 'memory<16', accepted: METRIC<=NUMBER",
                "search run --param a=1..2 --when b:a=1 PyTorch | --when is 'b:a=1', accepted: NAME:OTHER=VALUE",
                "search run --param a=1..2 --when a=1 PyTorch | --when is 'a=1', accepted: NAME:OTHER=VALUE",
                "search run --param rate=1..2 | Missing required parameter: 'FRAMEWORK'",
                "search run --param rate=1 --trials 0 PyTorch | --trials is '0', accepted: 1 or more, or -1 for no limit",
                "search run --param rate=1..x PyTorch | --param is 'rate=1..x', accepted: NAME=LOW..HIGH",
                "search show | Missing required parameter: 'SEARCH'",
                "search export first --format xls | Invalid value for option '--format'",
                "submit | Missing required parameter: 'FRAMEWORK'",
                "serve --config /nowhere.yaml | configuration file /nowhere.yaml cannot be read",
            })
    void wrong_use_is_answered_with_one_line_and_code_2(String line, String message) {
        Outcome outcome = run(line.split(" "));
        assertThat(outcome.code()).isEqualTo(2);
        assertThat(outcome.errors()).startsWith("concertina: " + message).hasLineCount(1);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "jobs",
                "status",
                "stop concertina-1",
                "logs concertina-1",
                "result concertina-1",
                "users list",
                "search list",
                "search show first",
                "search stop first",
                "search importance first",
                "search front first",
                "search try first rate=0.1",
                "search export first --format json"
            })
    void commands_that_need_a_server_say_how_to_start_one(String line, @TempDir Path folder) {
        String[] words = (line + " --data " + folder).split(" ");
        Outcome outcome = run(words);
        assertThat(outcome.code()).isEqualTo(1);
        assertThat(outcome.errors())
                .startsWith("concertina: no server is known: start one with './concertina up'")
                .hasLineCount(1);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "up", "down", "status", "submit", "logs", "result", "jobs", "stop", "cancel", "resume", "users", "demo",
                "serve", "search"
            })
    void every_command_explains_itself(String command) {
        Outcome outcome = run(command, "--help");
        assertThat(outcome.code()).isZero();
        assertThat(outcome.output()).startsWith("Usage: concertina ");
    }

    @Test
    void a_script_keeps_options_that_look_like_those_of_submit(@TempDir Path folder) {
        CommandLine.ParseResult parsed = Main.commandLine()
                .parseArgs(
                        "submit", "--data", folder.toString(), "PyTorch", "--follow", "--data", "x", "-f", "--", "y");
        assertThat(parsed.subcommand().matchedPositional(1).<java.util.List<String>>getValue())
                .containsExactly("--follow", "--data", "x", "-f", "--", "y");
    }

    @ParameterizedTest
    @ValueSource(strings = {"run", "list", "show", "try", "stop", "restart", "delete", "importance", "front", "export"})
    void every_command_of_search_explains_itself(String command) {
        Outcome outcome = run("search", command, "--help");
        assertThat(outcome.code()).isZero();
        assertThat(outcome.output()).startsWith("Usage: concertina search " + command);
    }

    @Test
    void a_script_keeps_options_that_look_like_those_of_search_run() {
        CommandLine.ParseResult parsed = Main.commandLine()
                .parseArgs("search", "run", "--param", "a=1..2", "PyTorch", "--param", "x", "--trials", "many");
        assertThat(parsed.subcommand().subcommand().matchedPositional(1).<java.util.List<String>>getValue())
                .containsExactly("--param", "x", "--trials", "many");
    }

    @Test
    void an_unexpected_fault_is_one_line_without_a_stack_trace() {
        StringWriter errors = new StringWriter();
        int code = Main.failed(new IllegalStateException("two\nlines"), new PrintWriter(errors));
        assertThat(code).isEqualTo(1);
        assertThat(errors.toString()).hasLineCount(1).contains("two lines").doesNotContain("at concertina");
    }
}
