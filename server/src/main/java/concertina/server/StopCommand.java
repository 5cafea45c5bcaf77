package concertina.server;

import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;

/** Ends jobs; one that has ended stays as it is. */
@Command(
        name = "stop",
        aliases = "cancel",
        description = "End jobs; an elastic one can be resumed.",
        mixinStandardHelpOptions = true)
final class StopCommand implements Callable<Integer> {
    @Mixin
    private DataOption data = new DataOption();

    @Parameters(paramLabel = "JOB", arity = "1..*", description = "Ids of the jobs.")
    private List<String> jobs = List.of();

    @Override
    public Integer call() throws InterruptedException {
        try (ServerClient client = data.client()) {
            for (String job : jobs) {
                client.stop(job);
                System.out.println(job + " stopped");
            }
        }
        return 0;
    }
}
