package concertina.train;

import concertina.model.AgentId;
import concertina.model.SlotId;
import concertina.model.WorkerId;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** The durable state of one worker. Changed by {@link JobLife#apply} alone; guarded by the trainer's lock. */
final class Worker {
    final WorkerId id;
    final AgentId agent;
    final String host;
    final List<SlotId> slots;
    final String logFolder;
    final Map<String, String> environment;
    long processId;

    @Nullable
    Instant startedAt;

    @Nullable
    Instant preparedAt;

    String address = "";

    /** How it showed that the worker hangs; empty when it does not. */
    String hung = "";

    /** By how much it is slower than the others; empty when that was never noticed. */
    String slow = "";

    /** Whether it was told to go for being slow. */
    boolean replacedAsSlow;

    boolean leaving;

    /** When it last was a member of a running generation that it is no longer in. */
    @Nullable
    Instant outSince;

    /** Members, itself among them, of the generation it trained in last. */
    List<Integer> companions = List.of();

    @Nullable
    Instant leftAt;

    @Nullable
    Instant endedAt;

    int exitCode;
    int signal;
    boolean lost;
    String endMessage = "";
    boolean shipped;
    boolean filesLost;

    Worker(WorkerId id, JobEvent.WorkerAssigned assigned) {
        this.id = id;
        agent = assigned.agent();
        host = assigned.host();
        slots = assigned.slots();
        logFolder = assigned.logFolder();
        environment = assigned.environment();
    }

    int ordinal() {
        return id.ordinal();
    }

    boolean living() {
        return endedAt == null;
    }

    boolean prepared() {
        return preparedAt != null;
    }

    /** Gone, and not by ending itself in good order. */
    boolean died() {
        return endedAt != null && (lost || signal != 0 || exitCode != 0);
    }

    /** Ended in good order without having been told to leave. */
    boolean completed() {
        return endedAt != null && !lost && signal == 0 && exitCode == 0 && leftAt == null && !leaving;
    }

    /** How it ended, as part of a sentence. */
    String ending() {
        if (lost) {
            return "was lost with agent " + agent;
        }
        if (!hung.isEmpty()) {
            return hung;
        }
        if (signal != 0) {
            return "was ended by signal " + signal;
        }
        if (exitCode < 0) {
            return "could not be started on " + agent + (endMessage.isEmpty() ? "" : ": " + endMessage);
        }
        return "ended with exit code " + exitCode;
    }
}
