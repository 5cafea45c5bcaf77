package concertina.server;

import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

/** Ends this machine's agent and server; jobs that have not ended go on at the next start. */
@Command(name = "down", description = "Stop server and agent of this machine.", mixinStandardHelpOptions = true)
final class DownCommand implements Callable<Integer> {
    @Mixin
    private DataOption data = new DataOption();

    @Override
    public Integer call() throws InterruptedException {
        List<String> ended = new Installation(data.folder()).stop();
        System.out.println(ended.isEmpty() ? "Concertina was not running" : "Stopped " + String.join(" and ", ended));
        return 0;
    }
}
