package concertina.server;

import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

/** Lists jobs, oldest first. */
@Command(name = "jobs", description = "List jobs.", mixinStandardHelpOptions = true)
final class JobsCommand implements Callable<Integer> {
    @Mixin
    private DataOption data = new DataOption();

    @Override
    public Integer call() throws InterruptedException {
        try (ServerClient client = data.client()) {
            table(JobRow.list(client)).forEach(System.out::println);
        }
        return 0;
    }

    /** The jobs as lines of text. */
    static List<String> table(List<JobRow> jobs) {
        if (jobs.isEmpty()) {
            return List.of("no jobs");
        }
        return TextTable.lines(
                List.of("JOB", "USER", "FRAMEWORK", "STATE", "SLOTS", "STEP", "LOSS", "ACCURACY", "WHY"),
                jobs.stream()
                        .map(job -> List.of(
                                job.id(),
                                job.creator(),
                                job.framework(),
                                job.state(),
                                Integer.toString(job.slots().size()),
                                job.steps() == 0 ? "" : job.step() + "/" + job.steps(),
                                number("%.4f", job.loss()),
                                number("%.1f %%", job.testAccuracy() != null ? job.testAccuracy() : job.accuracy()),
                                job.reason()))
                        .toList());
    }

    static String number(String format, @Nullable Double value) {
        return value == null ? "" : String.format(Locale.ROOT, format, value);
    }
}
