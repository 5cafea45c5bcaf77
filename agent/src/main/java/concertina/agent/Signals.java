package concertina.agent;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Signals to process groups, which the JDK's own process API does not know. Thread-safe. */
final class Signals {
    private static final Logger log = LoggerFactory.getLogger(Signals.class);
    private static final int KILL = 9;
    private static final MethodHandle SEND = Linker.nativeLinker()
            .downcallHandle(
                    Linker.nativeLinker().defaultLookup().findOrThrow("kill"),
                    FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.JAVA_INT, ValueLayout.JAVA_INT));

    private Signals() {}

    /** Kills what is left of a process group whose supervisor has died; no effect when there is nothing. */
    static void killGroup(long leader) {
        if (leader <= 1) {
            return;
        }
        try {
            int failed = (int) SEND.invokeExact((int) -leader, KILL);
            log.debug("kill of group {}: {}", leader, failed);
        } catch (Throwable e) {
            log.warn("process group {} could not be killed: {}", leader, e.toString());
        }
    }
}
