package concertina.server;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * One moment of the demo and how it looks. Pure: the same scene always gives the same lines.
 *
 * @param slots ids of all slots, in order
 * @param jobs the demo's jobs, oldest first
 * @param sentence what happens now
 */
record DemoScene(Duration elapsed, List<String> slots, List<JobRow> jobs, String sentence) {
    private static final int BAR = 24;
    private static final String RESET = "\u001b[0m";
    private static final List<String> COLOURS = List.of("\u001b[36m", "\u001b[33m", "\u001b[35m", "\u001b[32m");

    DemoScene {
        slots = List.copyOf(slots);
        jobs = List.copyOf(jobs);
    }

    /** The whole table, no line longer than the width; colours add escape sequences that take no room. */
    List<String> table(int width, boolean colours) {
        List<String> lines = new ArrayList<>();
        lines.add(cut(String.format(Locale.ROOT, "%5.1f s  %s", seconds(), sentence), width));
        lines.add("");
        List<String> text = TextTable.lines(
                List.of("JOB", "STATE", "SLOTS", "GENERATION", "STEP", "LOSS", "ACCURACY", "PROGRESS"),
                jobs.stream().map(this::cells).toList());
        for (int i = 0; i < text.size(); i++) {
            String line = cut(text.get(i), width);
            lines.add(i > 0 && colours ? colour(i - 1) + line + RESET : line);
        }
        lines.add("");
        lines.add(slotLine(colours));
        return lines;
    }

    /** What differs from an earlier scene: a line for each job that changed in state, size or tenth of its way, and why it has that size. */
    List<String> changesSince(Optional<DemoScene> before) {
        List<String> lines = new ArrayList<>();
        for (int i = 0; i < jobs.size(); i++) {
            JobRow job = jobs.get(i);
            JobRow earlier = before.isPresent() && before.get().jobs().size() > i
                    ? before.get().jobs().get(i)
                    : null;
            if (earlier == null
                    || !earlier.state().equals(job.state())
                    || earlier.slots().size() != job.slots().size()
                    || earlier.generation() != job.generation()
                    || tenths(earlier) != tenths(job)) {
                lines.add(String.format(
                        Locale.ROOT,
                        "%5.1f s  %s  %-8s  slots %s  generation %d  step %d/%d  loss %s  accuracy %s  %s",
                        seconds(),
                        job.id(),
                        job.state(),
                        earlier == null || earlier.slots().size() == job.slots().size()
                                ? Integer.toString(job.slots().size())
                                : earlier.slots().size() + " -> " + job.slots().size(),
                        job.generation(),
                        job.step(),
                        job.steps(),
                        shown("%.4f", job.loss()),
                        shown("%.1f %%", job.accuracy()),
                        bar(job)));
                if (earlier != null && earlier.slots().size() != job.slots().size()) {
                    lines.add("         " + job.id() + ": " + job.reason());
                }
            }
        }
        return lines;
    }

    private List<String> cells(JobRow job) {
        return List.of(
                job.id(),
                job.state(),
                Integer.toString(job.slots().size()),
                Integer.toString(job.generation()),
                job.steps() == 0 ? "-" : job.step() + "/" + job.steps(),
                shown("%.4f", job.loss()),
                shown("%.1f %%", job.accuracy()),
                bar(job));
    }

    private static String shown(String format, @Nullable Double value) {
        return value == null ? "-" : JobsCommand.number(format, value);
    }

    private static String bar(JobRow job) {
        double part = job.steps() == 0 ? 0 : Math.min(1.0, (double) job.step() / job.steps());
        int full = (int) Math.floor(part * BAR);
        return "█".repeat(full)
                + "░".repeat(BAR - full)
                + String.format(Locale.ROOT, " %3.0f %%", Math.floor(part * 100));
    }

    private static long tenths(JobRow job) {
        return job.steps() == 0 ? -1 : job.step() * 10 / job.steps();
    }

    private String slotLine(boolean colours) {
        Map<String, Integer> holder = new TreeMap<>();
        for (int i = 0; i < jobs.size(); i++) {
            for (String slot : jobs.get(i).slots()) {
                holder.put(slot, i);
            }
        }
        StringBuilder line = new StringBuilder("slots ");
        for (String slot : slots) {
            Integer job = holder.get(slot);
            String cell = job == null ? "[ free  ]" : "[ job " + (job + 1) + " ]";
            line.append(' ').append(job != null && colours ? colour(job) + cell + RESET : cell);
        }
        return line.toString();
    }

    private static String colour(int job) {
        return COLOURS.get(job % COLOURS.size());
    }

    private double seconds() {
        return elapsed.toMillis() / 1000.0;
    }

    private static String cut(String line, int width) {
        return line.length() <= width ? line : line.substring(0, Math.max(0, width - 1)) + "…";
    }
}
