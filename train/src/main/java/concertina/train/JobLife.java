package concertina.train;

import concertina.model.Framework;
import concertina.model.JobId;
import concertina.model.JobSpec;
import concertina.model.JobState;
import concertina.model.UserName;
import concertina.model.WorkerId;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * The durable state of one job: what its events add up to. {@link #apply} is the only way it changes, whether an event has just
 * been stored or is being replayed. Not thread-safe; guarded by the trainer's lock. Never does I/O, never reads a clock.
 */
final class JobLife {
    /** Training has stopped; the named workers are asked where they stand. */
    record Break(int upTo, List<Integer> members, String reason, Instant at) {}

    final JobId id;
    final UserName creator;
    final JobSpec spec;
    final boolean hasCode;
    final Instant submittedAt;
    final SortedMap<Integer, Worker> workers = new TreeMap<>();
    String secret = "";
    int logicalWorkers;
    long steps;

    /** Highest generation number ever used. */
    int highest;

    /** Number of the generation that trained last, 0 before the first. */
    int activated;

    @Nullable
    Generation current;

    @Nullable
    Generation pending;

    @Nullable
    Break breaking;

    /** Members of the generation that trained last. */
    List<Integer> lastMembers = List.of();

    int abandoned;
    /** Whether it was resumed and has not trained since. */
    boolean resumed;

    /** Workers the script asks for, 0 when it does not say. */
    int wanted;

    /** Workers in a row that did not load in time, or had no memory for the state. */
    int lateLoads;

    /** How the last of them showed that, as a sentence. */
    String lastLateLoad = "";

    int deaths;
    long stepAtDeath = -1;

    /** How the last counted death came about, as a sentence. */
    String lastDeath = "";

    final List<JobView.Switch> switches = new ArrayList<>();

    JobEvent.@Nullable Progressed progressed;

    JobEvent.@Nullable WorkerDone done;

    JobEvent.@Nullable Ending ending;

    @Nullable
    Instant endingAt;

    JobEvent.@Nullable Ended ended;

    @Nullable
    Instant startedAt;

    @Nullable
    Instant endedAt;

    /** When the number of workers last changed. */
    Instant resizedAt;

    JobLife(JobId id, JobEvent.Submitted submitted, Instant at) {
        this.id = id;
        creator = submitted.creator();
        spec = submitted.spec();
        hasCode = submitted.hasCode();
        submittedAt = at;
        resizedAt = at;
        logicalWorkers = spec.workers();
    }

    void apply(JobEvent event, Instant at) {
        switch (event) {
            case JobEvent.Submitted ignored -> throw new IllegalStateException(id + " was submitted twice");
            case JobEvent.SecretChosen chosen -> secret = chosen.secret();
            case JobEvent.WorkerAssigned assigned -> {
                workers.put(assigned.ordinal(), new Worker(new WorkerId(id, assigned.ordinal()), assigned));
                resizedAt = at;
            }
            case JobEvent.WorkerStarted started -> {
                Worker worker = worker(started.ordinal());
                worker.processId = started.processId();
                worker.startedAt = at;
                startedAt = startedAt == null ? at : startedAt;
            }
            case JobEvent.WorkerPrepared prepared -> {
                Worker worker = worker(prepared.ordinal());
                worker.preparedAt = at;
                worker.address = prepared.address();
                logicalWorkers = prepared.logicalWorkers();
                steps = prepared.steps();
            }
            case JobEvent.WorkersWanted asked -> wanted = asked.workers();
            case JobEvent.WorkerHung found -> {
                Worker worker = worker(found.ordinal());
                worker.hung = found.reason();
                if (found.loading()) {
                    lateLoads++;
                    lastLateLoad = "worker " + worker.id + " " + found.reason();
                }
            }
            case JobEvent.WorkerSlow found -> {
                Worker worker = worker(found.ordinal());
                worker.slow = found.reason();
                if (found.replaced()) {
                    worker.replacedAsSlow = true;
                    worker.leaving = true;
                    resizedAt = at;
                }
            }
            case JobEvent.WorkerLeaving leaving -> {
                worker(leaving.ordinal()).leaving = true;
                resizedAt = at;
            }
            case JobEvent.WorkerLeft left -> worker(left.ordinal()).leftAt = at;
            case JobEvent.WorkerEnded end -> {
                Worker worker = worker(end.ordinal());
                worker.endedAt = at;
                worker.exitCode = end.exitCode();
                worker.signal = end.signal();
                worker.lost = end.lost();
                worker.endMessage = end.message();
                if (end.lost() && done != null && done.ordinal() == end.ordinal()) {
                    done = null;
                }
                // Its slots and its memory are free: whoever comes now may do better.
                lateLoads = lastMembers.contains(end.ordinal()) ? 0 : lateLoads;
                if (end.counted()) {
                    countDeath(end.step(), "worker " + worker.id + " " + worker.ending());
                }
            }
            case JobEvent.WorkerShipped shipped -> {
                worker(shipped.ordinal()).shipped = true;
                worker(shipped.ordinal()).filesLost = !shipped.complete();
            }
            case JobEvent.GenerationProposed proposed -> {
                highest = proposed.generation();
                breaking = null;
                pending = new Generation(
                        proposed.generation(),
                        proposed.members(),
                        proposed.source(),
                        proposed.receivers(),
                        proposed.immediate(),
                        false,
                        proposed.reason(),
                        at);
            }
            case JobEvent.GenerationCommitted ignored ->
                pending = Objects.requireNonNull(pending).withCommitted();
            case JobEvent.GenerationAbandoned gone -> {
                abandoned = gone.generation();
                pending = null;
            }
            case JobEvent.GenerationActivated active -> activate(active, at);
            case JobEvent.SwitchMeasured measured -> measure(measured);
            case JobEvent.GenerationsBroken broken -> {
                breaking = new Break(broken.upTo(), broken.members(), broken.reason(), at);
                current = null;
                pending = null;
                countDeath(broken.step(), broken.reason());
            }
            case JobEvent.GenerationsDissolved ignored -> breaking = null;
            case JobEvent.Progressed now -> progressed = now;
            case JobEvent.WorkerDone result -> done = result;
            case JobEvent.Ending decided -> {
                ending = decided;
                endingAt = at;
            }
            case JobEvent.Resumed ignored -> {
                ended = null;
                endedAt = null;
                ending = null;
                endingAt = null;
                deaths = 0;
                lastDeath = "";
                lateLoads = 0;
                resumed = true;
                // Whatever had not arrived was given up when the job ended.
                workers.values().forEach(worker -> worker.shipped = true);
                resizedAt = at;
            }
            case JobEvent.Ended end -> {
                ended = end;
                endedAt = at;
                current = null;
                pending = null;
                breaking = null;
            }
        }
    }

    private void activate(JobEvent.GenerationActivated active, Instant at) {
        Generation next = Objects.requireNonNull(pending);
        for (int ordinal : lastMembers) {
            if (!next.members().contains(ordinal)) {
                worker(ordinal).outSince = at;
            }
        }
        if (!lastMembers.containsAll(next.members())) {
            lateLoads = 0;
        }
        resumed = false;
        current = next.activated(at);
        pending = null;
        activated = next.number();
        lastMembers = next.members();
        lastMembers.forEach(ordinal -> worker(ordinal).companions = next.members());
        switches.add(
                new JobView.Switch(next.number(), active.step(), next.members().size(), 0, next.reason(), at));
    }

    private void measure(JobEvent.SwitchMeasured measured) {
        for (int i = 0; i < switches.size(); i++) {
            JobView.Switch old = switches.get(i);
            if (old.generation() == measured.generation()) {
                switches.set(
                        i,
                        new JobView.Switch(
                                old.generation(),
                                old.step(),
                                old.members(),
                                measured.pauseMillis(),
                                old.reason(),
                                old.at()));
            }
        }
    }

    private void countDeath(long step, String how) {
        lastDeath = how;
        deaths = step > stepAtDeath ? 1 : deaths + 1;
        stepAtDeath = Math.max(stepAtDeath, step);
    }

    Worker worker(int ordinal) {
        return Objects.requireNonNull(workers.get(ordinal), () -> id + " has no worker " + ordinal);
    }

    boolean elastic() {
        return spec.framework().mode() == Framework.Mode.ELASTIC;
    }

    boolean trained() {
        return activated > 0;
    }

    int nextOrdinal() {
        return workers.isEmpty() ? 1 : workers.lastKey() + 1;
    }

    /** Living workers in rank order: members of the running generation, of the pending one, then the others. */
    List<Worker> living() {
        Set<Integer> seen = new HashSet<>();
        List<Worker> ordered = new ArrayList<>();
        if (current != null) {
            addLiving(current.members(), seen, ordered);
        }
        if (pending != null) {
            addLiving(pending.members(), seen, ordered);
        }
        if (breaking != null) {
            addLiving(breaking.members(), seen, ordered);
        }
        addLiving(workers.keySet(), seen, ordered);
        return ordered;
    }

    private void addLiving(Iterable<Integer> ordinals, Set<Integer> seen, List<Worker> ordered) {
        for (int ordinal : ordinals) {
            if (worker(ordinal).living() && seen.add(ordinal)) {
                ordered.add(worker(ordinal));
            }
        }
    }

    long stragglersReplaced() {
        return workers.values().stream().filter(worker -> worker.replacedAsSlow).count();
    }

    /** Who was replaced for being slow on one of this worker's slots. */
    Optional<Worker> slowBefore(Worker worker) {
        return workers.values().stream()
                .filter(former -> former.replacedAsSlow
                        && former != worker
                        && former.slots.stream().anyMatch(worker.slots::contains))
                .findFirst();
    }

    boolean anyLiving() {
        return workers.values().stream().anyMatch(Worker::living);
    }

    /** Whether some of those that trained last live, so that whoever starts now joins them. */
    boolean goesOn() {
        return lastMembers.stream().anyMatch(ordinal -> worker(ordinal).living());
    }

    /** Whether a worker takes part in training now or is about to. */
    boolean inGeneration(Worker worker) {
        return (current != null && current.members().contains(worker.ordinal()))
                || (pending != null && pending.members().contains(worker.ordinal()))
                || (breaking != null && breaking.members().contains(worker.ordinal()));
    }

    /** Whether the end of this worker would matter to the job. */
    boolean wanted(Worker worker) {
        if (ended != null || ending != null || worker.leftAt != null) {
            return false;
        }
        if (done != null && done.ordinal() != worker.ordinal() && !lastMembers.contains(worker.ordinal())) {
            return false;
        }
        return !worker.leaving || inGeneration(worker);
    }

    /** Some workers have ended in good order: the rest will follow, and nobody is to be added. */
    boolean windingDown() {
        return done != null || workers.values().stream().anyMatch(Worker::completed);
    }

    /** Whether all processes have done their work; files may still be on their way. */
    boolean completed() {
        if (workers.isEmpty() || anyLiving()) {
            return false;
        }
        return switch (spec.framework().mode()) {
            case SINGLE, GANG -> workers.values().stream().allMatch(Worker::completed);
            case ELASTIC ->
                done != null
                        || (trained()
                                ? lastMembers.stream()
                                        .allMatch(ordinal -> worker(ordinal).completed())
                                : workers.values().stream().anyMatch(Worker::completed));
        };
    }

    /** Whether the job's result is among this worker's files. */
    boolean bearsResult(Worker worker) {
        return done == null ? worker.completed() : done.ordinal() == worker.ordinal();
    }

    JobState state() {
        if (ended != null) {
            return ended.state();
        }
        boolean living = false;
        for (Worker worker : workers.values()) {
            if (worker.living()) {
                living = true;
                if (worker.startedAt != null) {
                    return JobState.RUNNING;
                }
            }
        }
        if (living) {
            return JobState.STARTING;
        }
        return startedAt != null && (ending != null || completed()) ? JobState.RUNNING : JobState.PENDING;
    }
}
