package concertina.api;

import concertina.model.AgentHello;
import concertina.model.AgentId;
import concertina.model.AgentReport;
import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import concertina.train.Agents;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/** Remembers what it was told; answers polls from a list, or waits out the time when the list is empty. */
public final class FakeAgents implements Agents {
    public final List<AgentHello> joined = new ArrayList<>();
    public final List<AgentReport> reports = new ArrayList<>();
    public final List<NumberedCommand> commands = new ArrayList<>();
    public List<Integer> ports = List.of();

    @Override
    public synchronized void join(AgentHello hello) {
        joined.add(hello);
    }

    @Override
    public synchronized List<NumberedCommand> poll(
            AgentId agent, String session, long acknowledged, List<Integer> freePorts, Duration atMost)
            throws InterruptedException {
        check(session);
        ports = freePorts;
        if (commands.isEmpty()) {
            Thread.sleep(atMost);
        }
        return commands.stream()
                .filter(command -> command.sequence() > acknowledged)
                .toList();
    }

    @Override
    public synchronized void report(AgentId agent, String session, List<AgentReport> received) {
        check(session);
        reports.addAll(received);
    }

    private void check(String session) {
        if (joined.stream().noneMatch(hello -> hello.session().equals(session))) {
            throw new ConcertinaException(ErrorCode.CONFLICT, "unknown session");
        }
    }
}
