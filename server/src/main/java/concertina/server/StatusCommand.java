package concertina.server;

import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.function.Function;
import java.util.stream.Collectors;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

/** Shows whether the platform is healthy, who holds which slot and why, and every job that has not ended. */
@Command(name = "status", description = "Show health, slots and jobs.", mixinStandardHelpOptions = true)
final class StatusCommand implements Callable<Integer> {
    @Mixin
    private DataOption data = new DataOption();

    @Override
    public Integer call() throws InterruptedException {
        try (ServerClient client = data.client()) {
            boolean healthy = client.healthy();
            System.out.println(
                    client.access().url() + (healthy ? " is healthy" : " does not answer or is not healthy"));
            if (!healthy) {
                return 1;
            }
            List<JobRow> jobs = JobRow.list(client);
            Map<String, JobRow> byId = jobs.stream().collect(Collectors.toMap(JobRow::id, Function.identity()));
            List<List<String>> slots = new ClusterPage(client)
                    .read().stream()
                            .map(slot -> List.of(
                                    slot.slot(),
                                    slot.connected() ? slot.label() : slot.label() + " (agent does not answer)",
                                    slot.job().isEmpty() ? "free" : slot.job(),
                                    byId.containsKey(slot.job())
                                            ? byId.get(slot.job()).reason()
                                            : ""))
                            .toList();
            System.out.println();
            TextTable.lines(List.of("SLOT", "KIND", "HELD BY", "WHY"), slots).forEach(System.out::println);
            List<JobRow> living = jobs.stream().filter(job -> !job.ended()).toList();
            System.out.println();
            JobsCommand.table(living).forEach(System.out::println);
            long ended = jobs.size() - living.size();
            if (ended > 0) {
                System.out.println();
                System.out.println(ended + (ended == 1 ? " job has" : " jobs have") + " ended; 'jobs' lists all");
            }
            return 0;
        }
    }
}
