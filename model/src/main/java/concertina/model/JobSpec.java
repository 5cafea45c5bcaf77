package concertina.model;

import java.util.List;
import java.util.Map;

/**
 * What a user asked for, parsed and checked, never changed after submission.
 *
 * @param framework how the script is run
 * @param applicationName display name, the framework's unless the user gave one
 * @param arguments the submitted command line, exactly as it came
 * @param modelMain script to run, relative to the code folder or absolute; empty when userCommand is given
 * @param modelDirectory name of the code's top folder; empty when code lies at the top
 * @param userCommand whole command to run instead of a script; empty for a script
 * @param scriptArguments what the script receives after its name, in order
 * @param workers number of workers; for an elastic job the maximum
 * @param slotsPerWorker slots each worker holds, all on one agent, at least 1
 * @param gpu whether workers want GPUs ({@code --workerDeviceType gpu}); false lets a worker run on any slot with no
 *     GPU visible
 * @param priority higher goes first; 5000 unless given
 * @param environment extra environment variables of every worker
 * @param dataPath path below the data folder, empty for the folder itself
 * @param condaEnvironment name of the Python environment asked for; empty for the agent's own
 * @param consumer path of the consumer that pays; empty for the default
 * @param pendingTimeoutSeconds the job ends in ERROR when it waited longer for its first slot; 0 waits for ever
 */
public record JobSpec(
        Framework framework,
        String applicationName,
        String arguments,
        String modelMain,
        String modelDirectory,
        List<String> userCommand,
        List<String> scriptArguments,
        int workers,
        int slotsPerWorker,
        boolean gpu,
        int priority,
        Map<String, String> environment,
        String dataPath,
        String condaEnvironment,
        String consumer,
        int pendingTimeoutSeconds) {
    public JobSpec {
        userCommand = List.copyOf(userCommand);
        scriptArguments = List.copyOf(scriptArguments);
        environment = Map.copyOf(environment);
    }
}
