package concertina.wire;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** What the processes of the control plane, server and agent, have in common. */
public final class ControlPlane {
    private static final Path SESSION_WEIGHT = Path.of("/proc/self/autogroup");
    private static final String NICENESS = "5";
    /** Of /proc/self/stat, counted behind the program's name in parentheses. */
    private static final int SESSION_FIELD = 3;

    private ControlPlane() {}

    /**
     * Leaves the processors to training first, on a machine that has no others: Linux weighs sessions against each other, and workers have sessions
     * of their own. The workers of a step wait for each other, so that what is taken from one of them is taken from all. No effect in
     * a session that others began, a terminal's for instance, or where the kernel does not weigh sessions.
     */
    public static void yieldToTraining() {
        try {
            String stat = Files.readString(Path.of("/proc/self/stat"));
            String[] fields = stat.substring(stat.lastIndexOf(')') + 1).strip().split(" ");
            if (fields[SESSION_FIELD].equals(
                    Long.toString(ProcessHandle.current().pid()))) {
                Files.writeString(SESSION_WEIGHT, NICENESS);
            }
        } catch (IOException | IndexOutOfBoundsException notHere) {
            return;
        }
    }
}
