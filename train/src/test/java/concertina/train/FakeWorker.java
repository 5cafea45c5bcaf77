package concertina.train;

import concertina.model.AgentCommand;
import concertina.model.AgentReport;
import concertina.model.SlotId;
import concertina.model.WorkerId;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * A worker's process: by itself it starts and ends; when its job is elastic it obeys generations as the runtime does. Training
 * itself, which takes several workers, is {@link FakeTraining}'s.
 */
final class FakeWorker {
    /** A generation as the worker heard of it. */
    record Heard(int number, List<String> members, int source, List<Integer> receivers, boolean immediate) {}

    final WorkerId id;
    final FakeAgent agent;
    final List<SlotId> slots;
    final Map<String, String> environment;
    private final FakeCluster cluster;
    private final Map<String, AgentReport> last = new LinkedHashMap<>();
    private final List<AgentReport> ends = new ArrayList<>();
    final List<String> notices = new ArrayList<>();
    boolean alive = true;
    boolean prepared;
    long completed = -1;

    @Nullable
    Heard pending;

    boolean committed;
    boolean formed;

    @Nullable
    Heard current;

    int brokenUpTo;
    private int highestHeard;

    /** Whether it got TERM and has not exited yet. */
    boolean stopping;

    /** Whether its process was stopped: it says and hears nothing until it is woken or killed. */
    boolean silent;

    private final List<Map<String, Object>> unheard = new ArrayList<>();

    /** What its watch says of its time per micro-batch. */
    double microMillis = 20;

    /** Whether it keeps quiet when told to stop training. */
    boolean hung;

    FakeWorker(FakeCluster cluster, FakeAgent agent, AgentCommand.Start start) {
        this.cluster = cluster;
        this.agent = agent;
        id = start.worker();
        slots = start.slots();
        environment = start.environment();
    }

    void begin() {
        report("Started", new AgentReport.Started(id, 1000 + id.ordinal()));
    }

    private void report(String key, AgentReport report) {
        last.remove(key);
        last.put(key, report);
        agent.tell(report);
    }

    List<AgentReport> history() {
        List<AgentReport> reports = new ArrayList<>(last.values());
        reports.addAll(ends);
        return reports;
    }

    void say(String type, Map<String, Object> fields) {
        Map<String, Object> message = new LinkedHashMap<>(fields);
        message.put("type", type);
        report(type, new AgentReport.Message(id, message));
    }

    void exit(int code, int signal) {
        exit(code, signal, "");
    }

    void exit(int code, int signal, String message) {
        alive = false;
        current = null;
        ends.add(new AgentReport.Exited(id, code, signal, message));
        ends.add(new AgentReport.Shipped(id));
        ends.forEach(agent::tell);
    }

    /** As {@link #exit}, but the files are still on their way. */
    void exitUnshipped(int code) {
        alive = false;
        current = null;
        ends.add(new AgentReport.Exited(id, code, 0, ""));
        ends.forEach(agent::tell);
    }

    void ship() {
        AgentReport shipped = new AgentReport.Shipped(id);
        ends.add(shipped);
        agent.tell(shipped);
    }

    void prepare(int logicalWorkers, long steps) {
        prepared = true;
        say(
                "prepared",
                Map.of(
                        "address",
                        agent.id + ":" + (30000 + id.ordinal()),
                        "logicalWorkers",
                        logicalWorkers,
                        "stepsPerEpoch",
                        steps,
                        "epochs",
                        1));
    }

    void wake() {
        silent = false;
        List<Map<String, Object>> messages = List.copyOf(unheard);
        unheard.clear();
        messages.forEach(this::hear);
    }

    @SuppressWarnings("unchecked")
    void hear(Map<String, Object> message) {
        if (silent) {
            unheard.add(message);
            return;
        }
        if ("notice".equals(message.get("type"))) {
            notices.add((String) message.get("text"));
            return;
        }
        int number = (Integer) message.get("generation");
        switch ((String) message.get("type")) {
            case "generation" -> {
                List<String> members = ((List<Map<String, Object>>) message.get("members"))
                        .stream().map(member -> (String) member.get("worker")).toList();
                Heard heard = new Heard(
                        number,
                        members,
                        (Integer) message.get("source"),
                        (List<Integer>) message.get("receivers"),
                        (Boolean) message.get("immediate"));
                cluster.training(id.job()).announced(heard);
                if (number > highestHeard && number > brokenUpTo) {
                    highestHeard = number;
                    pending = heard;
                    committed = false;
                    formed = false;
                }
            }
            case "commit" -> {
                if (pending != null && pending.number() == number) {
                    committed = true;
                }
            }
            case "abandon" -> {
                if (pending != null && pending.number() == number) {
                    if (committed) {
                        throw new AssertionError("generation " + number + " was abandoned after its commit");
                    }
                    pending = null;
                }
            }
            case "break" -> {
                brokenUpTo = Math.max(brokenUpTo, number);
                if (pending != null && pending.number() <= number) {
                    pending = null;
                }
                if (current != null && current.number() <= number) {
                    current = null;
                }
                if (!hung) {
                    say("broken", Map.of("generation", number, "step", completed, "error", "told to stop"));
                }
            }
            default -> throw new AssertionError("unknown message " + message);
        }
    }

    boolean memberOf(Heard generation) {
        return generation.members().contains(id.toString());
    }

    /** Stops in the present generation because a peer is gone. */
    void breakOff() {
        if (current != null) {
            int number = current.number();
            current = null;
            say("broken", Map.of("generation", number, "step", completed, "error", "peer gone"));
        }
    }
}
