package concertina.api;

import concertina.model.AgentId;
import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import concertina.model.JobId;
import concertina.model.JobSpec;
import concertina.model.JobState;
import concertina.model.Slot;
import concertina.model.SlotId;
import concertina.model.UserName;
import concertina.train.ClusterStatus;
import concertina.train.ClusterStatus.AgentStatus;
import concertina.train.ClusterStatus.SlotStatus;
import concertina.train.JobView;
import concertina.train.JobView.WorkerView;
import concertina.train.Jobs;
import java.time.Instant;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.function.UnaryOperator;

/** Keeps jobs in memory; a test moves them through their states by hand. */
public final class FakeJobs implements Jobs {
    public static final Instant SUBMITTED = Instant.parse("2026-03-08T03:24:40.123Z");

    private final Map<JobId, JobView> views = new LinkedHashMap<>();
    private final List<Consumer<JobId>> listeners = new ArrayList<>();
    private int counter;
    public int quota = 1000;
    public boolean gpus;
    public RuntimeException failNextSubmit;

    @Override
    public synchronized JobId nextId() {
        counter++;
        return new JobId("concertina-" + counter);
    }

    @Override
    public synchronized JobView submit(JobId id, UserName creator, JobSpec spec, boolean hasCode) {
        if (failNextSubmit != null) {
            RuntimeException failure = failNextSubmit;
            failNextSubmit = null;
            throw failure;
        }
        checkQuota(creator);
        JobView view = new JobView(
                id,
                creator,
                spec,
                hasCode,
                JobState.PENDING,
                "waits for a free slot",
                SUBMITTED,
                null,
                null,
                List.of(),
                spec.workers(),
                0,
                0,
                0,
                0,
                0,
                null,
                null,
                null,
                null,
                "",
                "",
                List.of());
        views.put(id, view);
        return view;
    }

    @Override
    public synchronized void checkQuota(UserName creator) {
        if (views.values().stream()
                        .filter(view -> view.creator().equals(creator))
                        .count()
                >= quota) {
            throw new ConcertinaException(ErrorCode.QUOTA_EXCEEDED, "user " + creator + " has " + quota + " jobs");
        }
    }

    @Override
    public synchronized Optional<JobView> find(JobId id) {
        return Optional.ofNullable(views.get(id));
    }

    @Override
    public synchronized List<JobView> list() {
        return new ArrayList<>(views.values());
    }

    @Override
    public synchronized void stop(JobId id, UserName by) {
        change(id.value(), job -> in(job, JobState.KILLED, job.workers()));
    }

    @Override
    public synchronized JobView resume(JobId id, UserName by) {
        JobView job = views.get(id);
        if (job.state() != JobState.KILLED && job.state() != JobState.ERROR) {
            throw new ConcertinaException(ErrorCode.CONFLICT, "job '" + id + "' is " + job.state());
        }
        change(id.value(), old -> in(old, JobState.PENDING, old.workers()));
        return views.get(id);
    }

    @Override
    public synchronized void delete(JobId id, UserName by) {
        views.remove(id);
    }

    @Override
    public synchronized void whenEnded(Consumer<JobId> listener) {
        listeners.add(listener);
    }

    @Override
    public void rank(String group, List<JobId> bestFirst) {}

    @Override
    public ClusterStatus cluster() {
        Slot.Kind kind = gpus ? Slot.Kind.GPU : Slot.Kind.CPU;
        return new ClusterStatus(List.of(new AgentStatus(
                new AgentId("node1"),
                "127.0.0.1",
                true,
                List.of(
                        new SlotStatus(
                                new Slot(new SlotId("node1/0"), kind, "", "share", 0), new JobId("concertina-1"), 1),
                        new SlotStatus(new Slot(new SlotId("node1/1"), kind, "", "share", 0), null, null)))));
    }

    public synchronized void change(String id, UnaryOperator<JobView> change) {
        JobView view = views.get(new JobId(id));
        JobView changed = change.apply(view);
        views.put(view.id(), changed);
        if (changed.state().finalState()) {
            listeners.forEach(listener -> listener.accept(view.id()));
        }
    }

    /** Puts a job into a state, with so many workers on node1. */
    public synchronized void move(String id, JobState state, int workers) {
        change(id, job -> in(job, state, workers(workers, !state.finalState())));
    }

    private static List<WorkerView> workers(int count, boolean alive) {
        List<WorkerView> workers = new ArrayList<>();
        for (int ordinal = 1; ordinal <= count; ordinal++) {
            workers.add(new WorkerView(
                    ordinal,
                    new AgentId("node1"),
                    "127.0.0.1",
                    List.of(new SlotId("node1/" + (ordinal - 1))),
                    "log/task" + ordinal + ".node1",
                    alive,
                    100 + ordinal,
                    SUBMITTED,
                    null,
                    alive ? null : 0,
                    null,
                    null,
                    ""));
        }
        return workers;
    }

    private static JobView in(JobView job, JobState state, List<WorkerView> workers) {
        return new JobView(
                job.id(),
                job.creator(),
                job.spec(),
                job.hasCode(),
                state,
                "is " + state,
                job.submittedAt(),
                SUBMITTED,
                state.finalState() ? SUBMITTED : null,
                workers,
                job.logicalWorkers(),
                state.finalState() ? 0 : workers.size(),
                workers.isEmpty() ? 0 : 1,
                0,
                0,
                0,
                null,
                null,
                null,
                null,
                "",
                "",
                List.of());
    }
}
