package concertina.train;

import concertina.model.AgentId;
import concertina.model.JobId;
import concertina.model.JobSpec;
import concertina.model.JobState;
import concertina.model.SlotId;
import concertina.model.UserName;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A job as it looked at one moment.
 *
 * @param reason the scheduler's or the engine's latest sentence about this job: why it waits, holds what it holds, or ended
 * @param logicalWorkers micro-batches per step; the submitted maximum until the script said less
 * @param generation number of the running generation, 0 before the first
 * @param steps steps the whole job has, 0 when unknown
 * @param model path of the final model below RESULT_DIR, empty before
 * @param weightsSha256 digest of the final weights, empty before
 */
public record JobView(
        JobId id,
        UserName creator,
        JobSpec spec,
        boolean hasCode,
        JobState state,
        String reason,
        Instant submittedAt,
        @Nullable Instant startedAt,
        @Nullable Instant endedAt,
        List<WorkerView> workers,
        int logicalWorkers,
        int slotsHeld,
        int generation,
        long epoch,
        long step,
        long steps,
        @Nullable Double loss,
        @Nullable Double accuracy,
        @Nullable Double testLoss,
        @Nullable Double testAccuracy,
        String model,
        String weightsSha256,
        List<Switch> switches) {

    /** The same job, described with these of its workers and switches alone. */
    public JobView with(List<WorkerView> some, List<Switch> latest) {
        return new JobView(
                id,
                creator,
                spec,
                hasCode,
                state,
                reason,
                submittedAt,
                startedAt,
                endedAt,
                some,
                logicalWorkers,
                slotsHeld,
                generation,
                epoch,
                step,
                steps,
                loss,
                accuracy,
                testLoss,
                testAccuracy,
                model,
                weightsSha256,
                latest);
    }

    /** Whether it failed, or may have, because an agent was lost with one of its workers; elastic jobs go on without such a worker. */
    public boolean lostWithAgent() {
        return state == JobState.ERROR
                && !spec.framework().elastic()
                && workers.stream().anyMatch(WorkerView::lost);
    }

    /** The workers that live, and so many of those that are gone as came last, in their order. */
    public List<WorkerView> livingAndLatest(int gone) {
        long older = workers.stream().filter(worker -> !worker.alive()).count() - gone;
        List<WorkerView> shown = new ArrayList<>();
        for (WorkerView worker : workers) {
            if (worker.alive() || older-- <= 0) {
                shown.add(worker);
            }
        }
        return shown;
    }

    /**
     * A worker, living or gone, in order of ordinal.
     *
     * @param microMillis recent time per micro-batch, null when not known
     * @param slow by how much it is slower than the others, as the end of a sentence that begins with the worker; empty when it is not
     */
    public record WorkerView(
            int ordinal,
            AgentId agent,
            String host,
            List<SlotId> slots,
            String logFolder,
            boolean alive,
            long processId,
            @Nullable Instant startedAt,
            @Nullable Instant endedAt,
            @Nullable Integer exitCode,
            @Nullable Integer signal,
            @Nullable Double microMillis,
            String slow) {
        /** Whether it is gone with its agent, so that nobody knows how it ended. */
        public boolean lost() {
            return !alive && exitCode == null && signal == null;
        }
    }

    /**
     * One activated generation.
     *
     * @param step steps completed before it
     * @param pauseMillis longest pause a member reported, from the end of the last step before to the start of the first
     *     after
     */
    public record Switch(int generation, long step, int members, double pauseMillis, String reason, Instant at) {}
}
