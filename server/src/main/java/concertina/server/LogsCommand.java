package concertina.server;

import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Prints one of a job's logs, once or as it grows. */
@Command(name = "logs", description = "Print a job's log.", mixinStandardHelpOptions = true)
final class LogsCommand implements Callable<Integer> {
    @Mixin
    private DataOption data = new DataOption();

    @Option(
            names = {"-f", "--follow"},
            description = "Go on until the job has ended.")
    private boolean follow;

    @Option(
            names = "--stream",
            paramLabel = "WHICH",
            description = "training (the default), stdout, stderr or launcher.")
    private LogStream stream = LogStream.TRAINING;

    @Parameters(paramLabel = "JOB", description = "Id of the job.")
    private String job = "";

    @Override
    public Integer call() throws InterruptedException {
        try (ServerClient client = data.client()) {
            if (follow) {
                return follow(client, job, stream);
            }
            client.log(job, stream.label(), false, System.out);
            return 0;
        }
    }

    /** Prints until the job has ended; 0 when it finished, 1 when it was stopped or failed. */
    static int follow(ServerClient client, String job, LogStream stream) throws InterruptedException {
        client.log(job, stream.label(), true, System.out);
        JobRow row = JobRow.read(client, job);
        if (!row.state().equals("FINISHED")) {
            System.err.println("concertina: " + job + " is " + row.state() + ": " + row.reason());
            return 1;
        }
        return 0;
    }
}
