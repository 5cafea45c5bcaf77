package concertina.train;

import concertina.model.AgentCommand;
import java.util.List;

/**
 * What to record, and what to tell agents once that is stored.
 *
 * @param commands each goes to the agent of its worker; {@code Forget} to every agent the job had a worker on
 */
record Decision(List<JobEvent> events, List<AgentCommand> commands) {
    static final Decision NONE = new Decision(List.of(), List.of());

    Decision {
        events = List.copyOf(events);
        commands = List.copyOf(commands);
    }

    static Decision record(JobEvent... events) {
        return new Decision(List.of(events), List.of());
    }

    static Decision tell(List<AgentCommand> commands) {
        return new Decision(List.of(), commands);
    }

    boolean nothing() {
        return events.isEmpty() && commands.isEmpty();
    }
}
