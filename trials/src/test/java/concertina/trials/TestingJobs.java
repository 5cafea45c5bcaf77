package concertina.trials;

import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import concertina.model.JobId;
import concertina.model.JobSpec;
import concertina.model.JobState;
import concertina.model.UserName;
import concertina.train.ClusterStatus;
import concertina.train.JobView;
import concertina.train.Jobs;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/** Jobs that a test moves through their lives by hand. They outlive the searcher. */
final class TestingJobs implements Jobs {
    private final InstantSource clock;
    private final Map<JobId, JobView> views = new LinkedHashMap<>();
    private final List<JobId> submitted = new ArrayList<>();
    private List<Consumer<JobId>> listeners = new ArrayList<>();
    private boolean deaf;
    private int last;
    int quota = Integer.MAX_VALUE;

    TestingJobs(InstantSource clock) {
        this.clock = clock;
    }

    @Override
    public synchronized JobId nextId() {
        last++;
        return new JobId("t-" + last);
    }

    @Override
    public synchronized JobView submit(JobId id, UserName creator, JobSpec spec, boolean hasCode) {
        if (deaf) {
            throw new IllegalStateException("the server is dead");
        }
        checkQuota(creator);
        if (views.containsKey(id)) {
            throw new ConcertinaException(ErrorCode.CONFLICT, id + " exists");
        }
        submitted.add(id);
        JobView view = view(id, creator, spec, JobState.PENDING, clock.instant(), null, null, "");
        views.put(id, view);
        return view;
    }

    @Override
    public synchronized void checkQuota(UserName creator) {
        if (unfinished().size() >= quota) {
            throw new ConcertinaException(ErrorCode.QUOTA_EXCEEDED, "user has " + quota + " unfinished jobs");
        }
    }

    @Override
    public synchronized Optional<JobView> find(JobId id) {
        return Optional.ofNullable(views.get(id));
    }

    @Override
    public synchronized List<JobView> list() {
        return List.copyOf(views.values());
    }

    @Override
    public synchronized void stop(JobId id, UserName by) {
        if (deaf) {
            throw new IllegalStateException("the server is dead");
        }
        if (!views.get(id).state().finalState()) {
            end(id, JobState.KILLED, "stopped by " + by);
        }
    }

    @Override
    public synchronized JobView resume(JobId id, UserName by) {
        JobView old = views.get(id);
        JobView view =
                view(id, old.creator(), old.spec(), JobState.PENDING, old.submittedAt(), old.startedAt(), null, "");
        views.put(id, view);
        return view;
    }

    @Override
    public synchronized void delete(JobId id, UserName by) {
        views.remove(id);
        listeners.forEach(listener -> listener.accept(id));
    }

    @Override
    public synchronized void whenEnded(Consumer<JobId> listener) {
        listeners.add(listener);
    }

    @Override
    public ClusterStatus cluster() {
        return new ClusterStatus(List.of());
    }

    synchronized void start(JobId id) {
        JobView old = views.get(id);
        views.put(
                id,
                view(id, old.creator(), old.spec(), JobState.RUNNING, old.submittedAt(), clock.instant(), null, ""));
    }

    synchronized void end(JobId id, JobState state, String reason) {
        JobView old = views.get(id);
        views.put(
                id,
                view(
                        id,
                        old.creator(),
                        old.spec(),
                        state,
                        old.submittedAt(),
                        old.startedAt(),
                        clock.instant(),
                        reason));
        listeners.forEach(listener -> listener.accept(id));
    }

    /** The present searcher can do nothing any more and hears nothing. */
    synchronized void die() {
        deaf = true;
        listeners = new ArrayList<>();
    }

    synchronized void revive() {
        deaf = false;
    }

    synchronized List<JobId> submitted() {
        return List.copyOf(submitted);
    }

    synchronized List<JobView> unfinished() {
        return views.values().stream()
                .filter(view -> !view.state().finalState())
                .toList();
    }

    private static JobView view(
            JobId id,
            UserName creator,
            JobSpec spec,
            JobState state,
            Instant submittedAt,
            @Nullable Instant startedAt,
            @Nullable Instant endedAt,
            String reason) {
        return new JobView(
                id,
                creator,
                spec,
                false,
                state,
                reason,
                submittedAt,
                startedAt,
                endedAt,
                List.of(),
                1,
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
    }
}
