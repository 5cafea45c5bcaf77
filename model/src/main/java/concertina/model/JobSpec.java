package concertina.model;

import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

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
 * @param trial which trial of which search the job is; null for a job of its own
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
        int pendingTimeoutSeconds,
        @Nullable Trial trial) {
    /**
     * What makes a job a trial of a search.
     *
     * @param search name of the search
     * @param number counts from 0 within the search
     * @param configuration text of {@code config.json}, which the script finds in its current directory
     * @param code under which id the search keeps its code, the same bytes for all its trials; null when it uploaded none
     * @param parent job of the trial whose results this one finds and goes on from; null for a fresh start
     */
    public record Trial(
            String search,
            long number,
            String configuration,
            @Nullable JobId code,
            @Nullable JobId parent) {}

    /** A job that is no trial. */
    public JobSpec(
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
        this(
                framework,
                applicationName,
                arguments,
                modelMain,
                modelDirectory,
                userCommand,
                scriptArguments,
                workers,
                slotsPerWorker,
                gpu,
                priority,
                environment,
                dataPath,
                condaEnvironment,
                consumer,
                pendingTimeoutSeconds,
                null);
    }

    public JobSpec {
        userCommand = List.copyOf(userCommand);
        scriptArguments = List.copyOf(scriptArguments);
        environment = Map.copyOf(environment);
    }
    /** The same job as a trial. */
    public JobSpec asTrial(Trial of) {
        return new JobSpec(
                framework,
                applicationName,
                arguments,
                modelMain,
                modelDirectory,
                userCommand,
                scriptArguments,
                workers,
                slotsPerWorker,
                gpu,
                priority,
                environment,
                dataPath,
                condaEnvironment,
                consumer,
                pendingTimeoutSeconds,
                of);
    }
}
