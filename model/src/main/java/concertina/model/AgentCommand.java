package concertina.model;

import java.util.List;
import java.util.Map;

/** What the server asks of an agent. Commands may arrive twice; the second has no effect. */
public sealed interface AgentCommand {
    /**
     * Start a worker.
     *
     * @param user owner of the job
     * @param spec what to run
     * @param slots slots this worker holds, all of this agent
     * @param logFolder folder of this worker below RESULT_DIR, for example {@code log/task1.node1}
     * @param hasCode whether the job's code is to be fetched from the server
     * @param environment what the server adds for this worker: rank, master address, job secret, logical workers
     */
    record Start(
            WorkerId worker,
            UserName user,
            JobSpec spec,
            List<SlotId> slots,
            String logFolder,
            boolean hasCode,
            Map<String, String> environment)
            implements AgentCommand {
        public Start {
            slots = List.copyOf(slots);
            environment = Map.copyOf(environment);
        }
    }

    /** End a worker: TERM to its process group, KILL after the grace period. */
    record Stop(WorkerId worker, int graceSeconds) implements AgentCommand {}

    /** Hand a message to a worker's runtime; the fields are those of docs/protocol.md. */
    record Send(WorkerId worker, Map<String, Object> message) implements AgentCommand {
        public Send {
            message = Map.copyOf(message);
        }
    }

    /** The job has ended: its local files are no longer needed and its workers may be forgotten. */
    record Forget(JobId job) implements AgentCommand {}
}
