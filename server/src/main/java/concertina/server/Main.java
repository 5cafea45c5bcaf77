package concertina.server;

import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.UncheckedIOException;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.ParameterException;

/**
 * The command line behind the {@code concertina} script. Exit codes: 0 done, 1 failed, 2 wrongly used. Every failure is one
 * line on standard error.
 */
@Command(
        name = "concertina",
        description = "Elastic deep learning on shared GPUs.",
        mixinStandardHelpOptions = true,
        version = "0.1.0",
        subcommands = {
            ServeCommand.class,
            UpCommand.class,
            DownCommand.class,
            StatusCommand.class,
            SubmitCommand.class,
            LogsCommand.class,
            ResultCommand.class,
            StopCommand.class,
            ResumeCommand.class,
            JobsCommand.class,
            SearchCommand.class,
            UsersCommand.class,
            DemoCommand.class
        })
public final class Main {
    private Main() {}

    public static void main(String[] arguments) {
        System.exit(commandLine().execute(arguments));
    }

    static CommandLine commandLine() {
        CommandLine line = new CommandLine(new Main());
        line.setParameterExceptionHandler(Main::wronglyUsed);
        line.setExecutionExceptionHandler((failure, command, parsed) -> failed(failure, command.getErr()));
        othersOptionsBehind(Objects.requireNonNull(line.getSubcommands().get("submit")));
        CommandLine search = Objects.requireNonNull(line.getSubcommands().get("search"));
        othersOptionsBehind(Objects.requireNonNull(search.getSubcommands().get("run")));
        return line;
    }

    /** From the framework on, words are the exec API's and the script's, even where they look like ours. */
    private static void othersOptionsBehind(CommandLine command) {
        command.setStopAtPositional(true).setUnmatchedOptionsArePositionalParams(true);
    }

    private static int wronglyUsed(ParameterException fault, String[] arguments) {
        CommandLine command = fault.getCommandLine();
        say(
                command.getErr(),
                fault.getMessage() + "; '" + command.getCommandSpec().qualifiedName() + " --help' says more");
        return 2;
    }

    /** One line about a failure, and the exit code it stands for. */
    static int failed(Exception failure, PrintWriter errors) {
        return switch (failure) {
            case ConcertinaException known -> {
                say(errors, known.getMessage());
                yield known.code() == ErrorCode.INVALID_ARGUMENT ? 2 : 1;
            }
            case InterruptedException _ -> 130;
            case UncheckedIOException broken -> {
                say(errors, describe(broken.getCause()));
                yield 1;
            }
            case IOException broken -> {
                say(errors, describe(broken));
                yield 1;
            }
            default -> {
                say(errors, "a fault of Concertina itself: " + failure);
                if (System.getenv("CONCERTINA_TRACE") != null) {
                    failure.printStackTrace(errors);
                }
                yield 1;
            }
        };
    }

    private static String describe(@Nullable Throwable failed) {
        if (failed == null) {
            return "not said why";
        }
        return failed.getClass().getSimpleName().replaceFirst("Exception$", "") + ": " + failed.getMessage();
    }

    private static void say(PrintWriter errors, @Nullable String text) {
        errors.println("concertina: " + String.valueOf(text).replaceAll("\\R+", " "));
        errors.flush();
    }
}
