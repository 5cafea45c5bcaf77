package concertina.train;

import concertina.model.JobId;
import concertina.train.FakeWorker.Heard;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * What the workers of one elastic job do together: connect, switch, step, notice each other's death. Fails the test when a
 * finished step is computed again, when members of a generation start from different steps, or when a generation's number is
 * used twice.
 */
final class FakeTraining {
    final JobId job;
    final FakeCluster cluster;
    final Map<Integer, Heard> announced = new TreeMap<>();
    private final Set<Integer> begun = new HashSet<>();
    private final Map<Integer, Set<FakeWorker>> entered = new HashMap<>();
    private final Set<Long> finished = new HashSet<>();
    long steps;
    int logicalWorkers;
    long checkpoint;
    boolean trains = true;

    /** Steps that were begun more than once. */
    int repeated;

    private final Map<Long, Integer> computed = new HashMap<>();

    FakeTraining(FakeCluster cluster, JobId job, int logicalWorkers, long steps) {
        this.cluster = cluster;
        this.job = job;
        this.logicalWorkers = logicalWorkers;
        this.steps = steps;
    }

    void announced(Heard generation) {
        Heard former = announced.putIfAbsent(generation.number(), generation);
        if (former != null && !former.equals(generation)) {
            throw new AssertionError("generation number used twice: " + former + " and " + generation);
        }
        if (former == null && announced.keySet().stream().anyMatch(number -> number > generation.number())) {
            throw new AssertionError("generation " + generation.number() + " after " + announced.keySet());
        }
    }

    List<FakeWorker> living() {
        return cluster.livingWorkers(job);
    }

    private @Nullable FakeWorker find(String worker) {
        return living().stream()
                .filter(candidate -> candidate.id.toString().equals(worker))
                .findFirst()
                .orElse(null);
    }

    /** Everybody does what can be done without a step. */
    void settle() {
        for (FakeWorker worker : living()) {
            if (!worker.silent && worker.pending != null && worker.memberOf(worker.pending) && !worker.formed) {
                form(worker, worker.pending);
            }
        }
        for (FakeWorker worker : living()) {
            Heard pending = worker.pending;
            if (pending != null
                    && !worker.silent
                    && pending.immediate()
                    && worker.formed
                    && worker.current == null
                    && pending.number() > worker.brokenUpTo) {
                enter(worker, pending);
            }
        }
        for (FakeWorker worker : living()) {
            if (!worker.silent && worker.current != null && !intact(worker.current)) {
                worker.breakOff();
            }
        }
    }

    private void form(FakeWorker worker, Heard pending) {
        boolean all = true;
        for (String member : pending.members()) {
            FakeWorker other = find(member);
            if (other == null) {
                worker.say(
                        "unformed", Map.of("generation", pending.number(), "error", "connection refused by " + member));
                worker.pending = null;
                return;
            }
            all &= !other.silent
                    && (other.pending != null && other.pending.number() == pending.number()
                            || other.current != null && other.current.number() == pending.number());
        }
        if (all) {
            worker.formed = true;
            worker.say("formed", Map.of("generation", pending.number()));
        }
    }

    private void enter(FakeWorker worker, Heard generation) {
        worker.current = generation;
        worker.pending = null;
        worker.committed = false;
        entered.computeIfAbsent(generation.number(), number -> new HashSet<>()).add(worker);
    }

    /** Whether no member is known to be gone from it. */
    private boolean intact(Heard generation) {
        Set<FakeWorker> inside = entered.getOrDefault(generation.number(), Set.of());
        for (String member : generation.members()) {
            FakeWorker worker = find(member);
            if (worker == null || (inside.contains(worker) && worker.current == null)) {
                return false;
            }
        }
        return true;
    }

    /**
     * The generation that can do a step. One that has been superseded, of workers cut off from the server, is not looked at: what
     * they do is thrown away.
     */
    private @Nullable Heard trainable() {
        Heard best = null;
        for (FakeWorker worker : living()) {
            Heard current = worker.current;
            if (current != null && (best == null || current.number() > best.number())) {
                best = current;
            }
        }
        if (best == null || !intact(best)) {
            return null;
        }
        int running = best.number();
        if (begun.stream().anyMatch(number -> number > running)) {
            return null;
        }
        for (String member : best.members()) {
            FakeWorker worker = find(member);
            if (worker == null || worker.silent || worker.current == null || worker.current.number() != best.number()) {
                return null;
            }
        }
        return best;
    }

    private List<FakeWorker> members(Heard generation) {
        List<FakeWorker> members = new ArrayList<>();
        for (String member : generation.members()) {
            FakeWorker worker = find(member);
            if (worker != null) {
                members.add(worker);
            }
        }
        return members;
    }

    /**
     * One step of the running generation if there is one that can train.
     *
     * @param dying dies within this step, null for nobody
     * @param reached how many members, in rank order, complete the step before the death
     */
    void step(@Nullable FakeWorker dying, int reached) {
        Heard generation = trainable();
        if (generation == null) {
            if (dying != null) {
                dying.exit(-1, 9);
            }
            return;
        }
        List<FakeWorker> members = members(generation);
        boolean first = begun.add(generation.number());
        if (first) {
            receiveState(generation, members);
        }
        long before = members.getFirst().completed;
        if (before >= steps) {
            finish(members);
            return;
        }
        boolean interrupted = dying != null && members.contains(dying);
        compute(before);
        int count = interrupted ? Math.min(reached, members.size()) : members.size();
        for (int rank = 0; rank < count; rank++) {
            FakeWorker worker = members.get(rank);
            worker.completed = before + 1;
            if (first) {
                worker.say(
                        "switched",
                        Map.of("generation", generation.number(), "step", before, "pauseMillis", 10.0 * (rank + 1)));
            }
            if (rank == 0) {
                worker.say(
                        "progress",
                        Map.of(
                                "generation",
                                generation.number(),
                                "epoch",
                                0,
                                "step",
                                before + 1,
                                "steps",
                                steps,
                                "loss",
                                1.0 / (before + 1),
                                "accuracy",
                                50.0));
            }
        }
        if (dying != null) {
            dying.exit(-1, 9);
        }
        if (interrupted) {
            settle();
            return;
        }
        finished.add(before);
        switchIfAllVote(members);
    }

    /** Every worker's watch speaks; those that train with one that is silent wait for it. */
    void beat() {
        for (FakeWorker worker : living()) {
            if (!worker.prepared || worker.silent) {
                continue;
            }
            Heard current = worker.current;
            List<String> silent = current == null
                    ? List.of()
                    : members(current).stream()
                            .filter(member -> member.silent)
                            .map(member -> member.id.toString())
                            .toList();
            worker.say(
                    "beat",
                    Map.of(
                            "generation",
                            current == null ? 0 : current.number(),
                            "step",
                            worker.completed,
                            "phase",
                            current == null ? "idle" : silent.isEmpty() ? "computing" : "waiting",
                            "seconds",
                            0,
                            "late",
                            !silent.isEmpty(),
                            "for",
                            silent,
                            "microMillis",
                            worker.microMillis));
        }
    }

    private void compute(long step) {
        if (finished.contains(step)) {
            throw new AssertionError("finished step " + step + " of " + job + " is computed again");
        }
        if (computed.merge(step, 1, Integer::sum) > 1) {
            repeated++;
        }
    }

    private void receiveState(Heard generation, List<FakeWorker> members) {
        FakeWorker source = members.get(generation.source());
        boolean anew = source.completed < 0;
        if (anew) {
            if (generation.source() != 0) {
                throw new AssertionError("source " + source.id + " has no state in " + generation);
            }
            if (living().stream().anyMatch(worker -> worker.completed >= 0 && !givenUp(worker))) {
                throw new AssertionError("generation " + generation + " starts anew though somebody holds state");
            }
            source.completed = checkpoint;
            finished.removeIf(step -> step >= checkpoint);
        }
        for (int rank = 0; rank < members.size(); rank++) {
            FakeWorker worker = members.get(rank);
            if (generation.receivers().contains(rank)) {
                if (worker.completed > source.completed
                        || (worker.completed == source.completed && !anew && worker.completed >= 0)) {
                    throw new AssertionError(worker.id + " at step " + worker.completed + " receives step "
                            + source.completed + " in " + generation);
                }
                worker.completed = source.completed;
            } else if (worker.completed != source.completed) {
                throw new AssertionError(worker.id + " at step " + worker.completed + ", source at " + source.completed
                        + " in " + generation);
            }
        }
    }

    /** Whether the server has counted the worker out, because its agent was silent too long. */
    private boolean givenUp(FakeWorker worker) {
        return cluster.journal.events(job).stream()
                .anyMatch(event -> event instanceof JobEvent.WorkerEnded ended
                        && ended.ordinal() == worker.id.ordinal()
                        && ended.lost());
    }

    private void switchIfAllVote(List<FakeWorker> members) {
        Heard next = members.getFirst().pending;
        if (next == null) {
            return;
        }
        for (FakeWorker worker : members) {
            if (worker.pending == null || worker.pending.number() != next.number() || !worker.committed) {
                return;
            }
        }
        for (String member : next.members()) {
            FakeWorker worker = find(member);
            if (worker != null && !worker.formed) {
                throw new AssertionError(worker.id + " has not formed, yet all switch to " + next);
            }
            if (worker != null && worker.pending != null && worker.pending.number() == next.number()) {
                enter(worker, next);
            }
        }
        for (FakeWorker worker : members) {
            if (!worker.memberOf(next)) {
                worker.pending = null;
                worker.say("left", Map.of("generation", next.number(), "step", worker.completed));
                worker.exit(0, 0);
            }
        }
    }

    private void finish(List<FakeWorker> members) {
        members.getFirst()
                .say(
                        "done",
                        Map.of(
                                "step",
                                steps,
                                "testLoss",
                                0.1,
                                "testAccuracy",
                                97.5,
                                "weightsSha256",
                                "ab".repeat(32),
                                "model",
                                "model/weights.pth"));
        members.forEach(worker -> worker.exit(0, 0));
    }
}
