package concertina.train;

import concertina.model.AgentCommand;
import concertina.model.AgentHello;
import concertina.model.AgentId;
import concertina.model.AgentReport;
import concertina.model.ConcertinaException;
import concertina.model.JobId;
import concertina.model.Slot;
import concertina.model.SlotId;
import concertina.model.WorkerId;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/**
 * An agent as docs/protocol.md describes it, with simulated workers. Acts only when {@link #exchange} is called; a worker told to
 * stop is gone by the next time. Fails the test when a slot would get a second worker.
 */
final class FakeAgent {
    final AgentId id;
    final List<Slot> slots;
    final Map<WorkerId, FakeWorker> workers = new LinkedHashMap<>();
    final List<AgentCommand> executed = new ArrayList<>();
    private final FakeCluster cluster;
    private final List<AgentReport> outbox = new ArrayList<>();
    private int processes;
    private boolean joined;
    private long acknowledged;
    int processors = 4;
    List<Integer> ports = List.of(41001, 41002, 41003);

    /** Whether its machine runs. */
    boolean up = true;

    /** Whether it reaches the server. */
    boolean reachable = true;

    FakeAgent(FakeCluster cluster, String name, int slots) {
        this.cluster = cluster;
        id = new AgentId(name);
        this.slots = IntStream.range(0, slots)
                .mapToObj(index -> new Slot(new SlotId(name + "/" + index), Slot.Kind.CPU, "", "CPU share", 0))
                .toList();
    }

    String session() {
        return id + "-" + processes;
    }

    void tell(AgentReport report) {
        outbox.add(report);
    }

    /** Joins if needed, delivers reports, executes commands. */
    void exchange() {
        if (!up || !reachable || !cluster.serverUp()) {
            return;
        }
        try {
            workers.values().stream()
                    .filter(worker -> worker.alive && worker.stopping)
                    .forEach(worker -> worker.exit(-1, 15));
            if (!joined) {
                cluster.trainer.join(hello());
                joined = true;
                acknowledged = 0;
            }
            while (!outbox.isEmpty()) {
                cluster.trainer.report(id, session(), List.copyOf(outbox));
                outbox.clear();
            }
            for (Agents.NumberedCommand numbered :
                    cluster.trainer.poll(id, session(), acknowledged, ports, Duration.ZERO)) {
                assertAscending(numbered.sequence());
                acknowledged = numbered.sequence();
                execute(numbered.command());
            }
        } catch (ConcertinaException unknownSession) {
            if (!unknownSession.getMessage().equals("unknown session")) {
                throw unknownSession;
            }
            joined = false;
        } catch (InterruptedException interrupted) {
            throw new AssertionError(interrupted);
        }
    }

    private void assertAscending(long sequence) {
        if (sequence != acknowledged + 1) {
            throw new AssertionError("command " + sequence + " after " + acknowledged);
        }
    }

    AgentHello hello() {
        return new AgentHello(
                id,
                session(),
                id + ".example",
                processors,
                slots,
                workers.values().stream()
                        .map(worker -> new AgentHello.KnownWorker(worker.id, worker.history()))
                        .toList());
    }

    private void execute(AgentCommand command) {
        executed.add(command);
        switch (command) {
            case AgentCommand.Start start -> {
                if (!workers.containsKey(start.worker())) {
                    for (FakeWorker other : workers.values()) {
                        if (other.alive && other.slots.stream().anyMatch(start.slots()::contains)) {
                            throw new AssertionError(
                                    start.worker() + " would share a slot of " + start.slots() + " with " + other.id);
                        }
                    }
                    FakeWorker worker = new FakeWorker(cluster, this, start);
                    workers.put(start.worker(), worker);
                    worker.begin();
                }
            }
            case AgentCommand.Stop stop -> {
                FakeWorker worker = workers.get(stop.worker());
                if (worker != null && worker.alive) {
                    worker.stopping = true;
                }
            }
            case AgentCommand.Send send -> {
                FakeWorker worker = workers.get(send.worker());
                if (worker != null && worker.alive) {
                    worker.hear(send.message());
                }
            }
            case AgentCommand.Forget forget -> forget(forget.job());
        }
    }

    private void forget(JobId job) {
        workers.values().removeIf(worker -> {
            if (worker.id.job().equals(job) && worker.alive) {
                throw new AssertionError("told to forget " + worker.id + ", which runs");
            }
            return worker.id.job().equals(job);
        });
    }

    /** The agent's process is killed, and with it every worker; what had not been reported is lost. */
    void kill() {
        workers.values().stream().filter(worker -> worker.alive).forEach(worker -> worker.alive = false);
        workers.clear();
        outbox.clear();
        up = false;
        joined = false;
    }

    void restart() {
        processes++;
        up = true;
    }

    FakeWorker worker(JobId job, int ordinal) {
        FakeWorker worker = workers.get(new WorkerId(job, ordinal));
        if (worker == null) {
            throw new AssertionError(id + " has no worker " + ordinal + " of " + job + ": " + workers.keySet());
        }
        return worker;
    }
}
