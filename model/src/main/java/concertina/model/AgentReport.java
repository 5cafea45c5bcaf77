package concertina.model;

import java.util.Map;

/** What an agent tells the server about one worker. Reports may arrive twice; the second has no effect. */
public sealed interface AgentReport {
    WorkerId worker();

    /** The process runs. */
    record Started(WorkerId worker, long processId) implements AgentReport {}

    /**
     * The process is gone.
     *
     * @param exitCode exit code, or -1 when it was ended by a signal or never started
     * @param signal number of the signal that ended it, 0 for none
     * @param message why it could not be started, or the last line of the standard error of one that ended with another code than 0;
     *     may be empty
     */
    record Exited(WorkerId worker, int exitCode, int signal, String message) implements AgentReport {}

    /** The process is gone and all of its files and logs have reached the server. */
    record Shipped(WorkerId worker) implements AgentReport {}

    /** Something the worker's runtime said; the fields are those of docs/protocol.md, "type" among them. */
    record Message(WorkerId worker, Map<String, Object> message) implements AgentReport {
        public Message {
            message = Map.copyOf(message);
        }
    }
}
