package concertina.train;

import concertina.schedule.Demand;
import java.time.Instant;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * Soft state of one job: what workers said last and what waits for an answer. Lost with the server and told again by the agents
 * when they join. Not thread-safe; guarded by the trainer's lock.
 */
final class JobPulse {
    /** When this server began to listen: no answer can be late before. */
    final Instant since;

    String reason;

    /** Members of the pending generation whose connections stand. */
    final Set<Integer> formed = new HashSet<>();

    /** Completed steps of those who answered the present break. */
    final Map<Integer, Long> stepsAtBreak = new HashMap<>();

    /** Pauses in milliseconds, by generation and worker; those of past generations are dropped. */
    private final SortedMap<Integer, Map<Integer, Double>> pauses = new TreeMap<>();

    /** Workers that were told to stop in their agent's present session. */
    final Set<Integer> stopSent = new HashSet<>();

    /** Last error line of each worker whose script raised. */
    final Map<Integer, String> errors = new HashMap<>();

    /** What each worker's watch said last, and when that was heard. */
    final Map<Integer, Heartbeat> beats = new HashMap<>();

    /** Which workers are slower than the others, and since when. */
    final Map<Integer, Lag> lags = new HashMap<>();

    /** After generations that could not form: not before this moment again. */
    Instant retryAt;

    /** Where it stands among the jobs of its group; null while nobody said. */
    Demand.@Nullable Standing standing;

    int unformed;
    long epoch;
    long step = -1;
    long steps;

    @Nullable
    Double loss;

    @Nullable
    Double accuracy;

    JobPulse(Instant since, String reason) {
        this.since = since;
        this.reason = reason;
        retryAt = since;
    }

    record Heartbeat(WorkerMessage.Beat beat, Instant at) {}

    /**
     * A worker is slower than the others.
     *
     * @param since when that was noticed first
     * @param step its completed steps by then
     * @param farSince since when it is so slow that it should be replaced, null when it is not
     */
    record Lag(Instant since, long step, @Nullable Instant farSince) {}

    void paused(int generation, int ordinal, double pauseMillis) {
        pauses.computeIfAbsent(generation, number -> new HashMap<>()).merge(ordinal, pauseMillis, Math::max);
    }

    Map<Integer, Double> pauses(int generation) {
        return pauses.getOrDefault(generation, Map.of());
    }

    double longestPause(int generation) {
        return pauses(generation).values().stream()
                .mapToDouble(Double::doubleValue)
                .max()
                .orElse(0);
    }

    /** Forgets what an event has made meaningless. */
    void follow(JobEvent event, Instant at) {
        switch (event) {
            case JobEvent.GenerationProposed ignored -> {
                formed.clear();
                stepsAtBreak.clear();
            }
            case JobEvent.GenerationActivated active -> {
                formed.clear();
                pauses.headMap(active.generation()).clear();
                unformed = 0;
                step = Math.max(step, active.step());
            }
            case JobEvent.GenerationsBroken ignored -> {
                formed.clear();
                stepsAtBreak.clear();
            }
            case JobEvent.GenerationsDissolved ignored -> {
                stepsAtBreak.clear();
                step = -1;
                epoch = 0;
            }
            case JobEvent.Progressed progressed -> {
                epoch = progressed.epoch();
                step = Math.max(step, progressed.step());
                steps = progressed.steps();
                loss = progressed.loss();
                accuracy = progressed.accuracy();
            }
            case JobEvent.GenerationAbandoned ignored -> {
                formed.clear();
                retryAt = at.plusSeconds((1L << Math.min(unformed, 5)) - 1);
                unformed++;
            }
            case JobEvent.Resumed ignored -> {
                formed.clear();
                stepsAtBreak.clear();
                stopSent.clear();
                errors.clear();
                retryAt = at;
                unformed = 0;
                step = -1;
                epoch = 0;
            }
            case JobEvent.Submitted ignored -> {}
            case JobEvent.SecretChosen ignored -> {}
            case JobEvent.WorkerAssigned ignored -> {}
            case JobEvent.WorkerStarted ignored -> {}
            case JobEvent.WorkerPrepared ignored -> {}
            case JobEvent.WorkerLeaving ignored -> {}
            case JobEvent.WorkerLeft ignored -> {}
            case JobEvent.WorkerHung ignored -> {}
            case JobEvent.WorkersWanted ignored -> {}
            case JobEvent.WorkerSlow ignored -> {}
            case JobEvent.WorkerEnded ended -> {
                beats.remove(ended.ordinal());
                lags.remove(ended.ordinal());
            }
            case JobEvent.WorkerShipped ignored -> {}
            case JobEvent.GenerationCommitted ignored -> {}
            case JobEvent.SwitchMeasured ignored -> {}
            case JobEvent.WorkerDone ignored -> {}
            case JobEvent.Ending ignored -> {}
            case JobEvent.Ended ignored -> {}
        }
    }
}
