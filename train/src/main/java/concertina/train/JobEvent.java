package concertina.train;

import concertina.model.AgentId;
import concertina.model.JobSpec;
import concertina.model.JobState;
import concertina.model.SlotId;
import concertina.model.UserName;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Something that happened to a job and must survive a restart of the server. Workers are named by their ordinals. What is
 * not here (heartbeats, progress between switches, answers being collected) is told again by the agents when they join.
 */
public sealed interface JobEvent {
    /** The job was accepted. */
    record Submitted(UserName creator, JobSpec spec, boolean hasCode) implements JobEvent {}

    /** The secret by which the job's workers know each other. */
    record SecretChosen(String secret) implements JobEvent {
        @Override
        public String toString() {
            return "SecretChosen[]";
        }
    }

    /**
     * A worker got its slots.
     *
     * @param environment what only this worker gets: the variables of a gang
     */
    record WorkerAssigned(
            int ordinal,
            AgentId agent,
            String host,
            List<SlotId> slots,
            String logFolder,
            Map<String, String> environment)
            implements JobEvent {
        public WorkerAssigned {
            slots = List.copyOf(slots);
            environment = Map.copyOf(environment);
        }
    }

    /** The worker's process runs. */
    record WorkerStarted(int ordinal, long processId) implements JobEvent {}

    /**
     * The worker reached {@code train} and may be counted in.
     *
     * @param steps steps the whole job has
     */
    record WorkerPrepared(int ordinal, String address, int logicalWorkers, long steps) implements JobEvent {}

    /** The worker is to give its slots back. */
    record WorkerLeaving(int ordinal) implements JobEvent {}

    /** The worker said that it is in no generation any more and is about to exit. */
    record WorkerLeft(int ordinal) implements JobEvent {}

    /**
     * The worker is taken for hung, or has no memory for the job's state, and is being killed.
     *
     * @param loading whether it never came to train
     * @param reason how that showed, as the end of a sentence that begins with the worker
     */
    record WorkerHung(int ordinal, boolean loading, String reason) implements JobEvent {}

    /**
     * The worker is much slower than the others.
     *
     * @param replaced whether it is to go, for another to come
     * @param reason by how much, as the end of a sentence that begins with the worker
     */
    record WorkerSlow(int ordinal, boolean replaced, String reason) implements JobEvent {}

    /** So many workers the script asks for from now on. */
    record WorkersWanted(int workers) implements JobEvent {}

    /**
     * The worker's process is gone; its slots are free.
     *
     * @param lost whether it vanished with its agent, exit code and signal unknown
     * @param counted whether this counts among the deaths that fail a job
     * @param step most completed steps known of at that moment
     */
    record WorkerEnded(int ordinal, int exitCode, int signal, boolean lost, String message, boolean counted, long step)
            implements JobEvent {}

    /**
     * No more files will come from the worker.
     *
     * @param complete false when its agent was lost before all of them had arrived
     */
    record WorkerShipped(int ordinal, boolean complete) implements JobEvent {}

    /**
     * A generation got its number; recorded before any worker hears of it, so that no number is used twice.
     *
     * @param members ordinals in rank order
     * @param source rank that hands out the state
     * @param receivers ranks that receive it
     * @param step completed steps it starts from, or -1 when not known
     */
    record GenerationProposed(
            int generation,
            List<Integer> members,
            int source,
            List<Integer> receivers,
            boolean immediate,
            long step,
            String reason)
            implements JobEvent {
        public GenerationProposed {
            members = List.copyOf(members);
            receivers = List.copyOf(receivers);
        }
    }

    /** All members have formed; from now on workers may switch to it. */
    record GenerationCommitted(int generation) implements JobEvent {}

    /** The generation will never train. */
    record GenerationAbandoned(int generation, String reason) implements JobEvent {}

    /** The generation trains; step is the number of steps completed before it. */
    record GenerationActivated(int generation, long step) implements JobEvent {}

    /** The longest pause any member saw when the generation began. */
    record SwitchMeasured(int generation, double pauseMillis) implements JobEvent {}

    /**
     * Training stopped: every generation up to this number is void, and the named workers are asked where they stand.
     *
     * @param step most completed steps known of at that moment
     */
    record GenerationsBroken(int upTo, List<Integer> members, String reason, long step) implements JobEvent {
        public GenerationsBroken {
            members = List.copyOf(members);
        }
    }

    /** Nobody was left to go on; the next generation starts from the checkpoint. */
    record GenerationsDissolved(int upTo) implements JobEvent {}

    /** How far training was; kept at switches and at the end only. */
    record Progressed(
            long epoch,
            long step,
            long steps,
            @Nullable Double loss,
            @Nullable Double accuracy) implements JobEvent {}

    /** A worker wrote the final files. */
    record WorkerDone(
            int ordinal,
            long step,
            @Nullable Double testLoss,
            @Nullable Double testAccuracy,
            String weightsSha256,
            String model)
            implements JobEvent {}

    /** It is decided how the job ends; its workers are being stopped. */
    record Ending(JobState state, String reason) implements JobEvent {}

    /** A job that had ended is to go on from its newest checkpoint, with new workers. */
    record Resumed(UserName by) implements JobEvent {}

    /** The job has ended; it holds no slot. */
    record Ended(JobState state, String reason) implements JobEvent {}
}
