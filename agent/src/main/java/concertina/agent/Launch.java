package concertina.agent;

import concertina.model.WorkerId;
import java.nio.file.Path;
import java.util.Map;

/**
 * Everything about a process to be started.
 *
 * @param folder working directory
 * @param environment the whole environment; nothing is inherited besides
 * @param stdout file to append standard output to
 * @param stderr file to append standard error to
 * @param threads threads a forked interpreter's framework is to use
 */
record Launch(
        WorkerId worker,
        Program program,
        Path folder,
        Map<String, String> environment,
        Path stdout,
        Path stderr,
        int threads) {
    Launch {
        environment = Map.copyOf(environment);
    }
}
