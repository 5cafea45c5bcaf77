package concertina.server;

import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;

/** Lets jobs that were stopped or failed go on from their newest checkpoint. */
@Command(name = "resume", description = "Let stopped jobs go on.", mixinStandardHelpOptions = true)
final class ResumeCommand implements Callable<Integer> {
    @Mixin
    private DataOption data = new DataOption();

    @Parameters(paramLabel = "JOB", arity = "1..*", description = "Ids of the jobs.")
    private List<String> jobs = List.of();

    @Override
    public Integer call() throws InterruptedException {
        try (ServerClient client = data.client()) {
            for (String job : jobs) {
                client.resume(job);
                System.out.println(job + " resumed");
            }
        }
        return 0;
    }
}
