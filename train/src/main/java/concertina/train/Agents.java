package concertina.train;

import concertina.model.AgentCommand;
import concertina.model.AgentHello;
import concertina.model.AgentId;
import concertina.model.AgentReport;
import java.time.Duration;
import java.util.List;

/** What the HTTP layer may do on behalf of an agent; docs/protocol.md says what each call means. Thread-safe. */
public interface Agents {
    void join(AgentHello hello);

    /**
     * Waits until there are commands above the acknowledged sequence or the time is over. Throws CONFLICT for an unknown
     * session.
     *
     * @param ports free TCP ports of the node
     */
    List<NumberedCommand> poll(AgentId agent, String session, long acknowledged, List<Integer> ports, Duration atMost)
            throws InterruptedException;

    /** Takes reports in order; durable where it matters when the call returns. Throws CONFLICT for an unknown session. */
    void report(AgentId agent, String session, List<AgentReport> reports);

    /** A command with its place in this session's order, counting from 1. */
    record NumberedCommand(long sequence, AgentCommand command) {}
}
