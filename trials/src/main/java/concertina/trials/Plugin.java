package concertina.trials;

import concertina.model.UserName;
import java.nio.file.Path;
import java.time.Instant;

/**
 * A search algorithm that a user installed.
 *
 * @param folder where it lies, {@code optimizer.py} at its top
 * @param condaHome folder of the Python to run it with; empty for the server's own
 * @param condaEnvironment name of an environment below {@code condaHome}; empty for that one itself
 * @param logLevel from which level on it logs
 */
public record Plugin(
        String name,
        Path folder,
        String condaHome,
        String condaEnvironment,
        String logLevel,
        UserName creator,
        Instant createdAt) {}
