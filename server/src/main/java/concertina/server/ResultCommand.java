package concertina.server;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Fetches what a job left in its model folder. */
@Command(name = "result", description = "Fetch a job's model and unpack it.", mixinStandardHelpOptions = true)
final class ResultCommand implements Callable<Integer> {
    @Mixin
    private DataOption data = new DataOption();

    @Option(
            names = {"-o", "--output"},
            paramLabel = "FOLDER",
            description = "Where to; a folder named like the job unless given.")
    private @Nullable Path output;

    @Parameters(paramLabel = "JOB", description = "Id of the job.")
    private String job = "";

    @Override
    public Integer call() throws InterruptedException, IOException {
        Path folder = output == null ? Path.of(job) : output;
        try (ServerClient client = data.client()) {
            for (Path file : fetch(client, job, folder)) {
                System.out.println(file);
            }
        }
        return 0;
    }

    /** Fetches and unpacks a result; returns the files written. */
    static java.util.List<Path> fetch(ServerClient client, String job, Path folder)
            throws InterruptedException, IOException {
        Path zip = Files.createTempFile("concertina-", ".zip");
        try {
            client.result(job, zip);
            return ResultArchive.unpack(zip, folder);
        } finally {
            Files.delete(zip);
        }
    }
}
