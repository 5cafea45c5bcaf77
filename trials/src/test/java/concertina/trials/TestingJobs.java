package concertina.trials;

import concertina.model.AgentId;
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
    private @Nullable Living living;
    private final List<JobId> toldToStop = new ArrayList<>();
    private final List<List<JobId>> rankings = new ArrayList<>();
    private int last;
    int quota = Integer.MAX_VALUE;

    /** Whether jobs that are stopped end only when the test says so. */
    volatile boolean stopsLate;

    /** Runs before a search is given an id for a job. */
    volatile Runnable beforeNextId = () -> {};

    /** What submissions throw. */
    volatile @Nullable RuntimeException refusal;

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
        checkQuota(creator);
        SearchScene.raise(refusal);
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
        toldToStop.add(id);
        if (!stopsLate && !views.get(id).state().finalState()) {
            end(id, JobState.KILLED, "stopped by " + by);
        }
    }

    @Override
    public synchronized JobView resume(JobId id, UserName by) {
        JobView old = views.get(id);
        if (!old.state().finalState()) {
            throw new ConcertinaException(ErrorCode.CONFLICT, "job '" + id + "' is " + old.state());
        }
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
    public synchronized void rank(String group, List<JobId> bestFirst) {
        rankings.add(bestFirst);
    }

    @Override
    public ClusterStatus cluster() {
        return new ClusterStatus(List.of());
    }

    /** No effect on a job that has ended, as {@link #end}. */
    synchronized void start(JobId id) {
        JobView old = views.get(id);
        if (old.state().finalState()) {
            return;
        }
        views.put(
                id,
                view(id, old.creator(), old.spec(), JobState.RUNNING, old.submittedAt(), clock.instant(), null, ""));
    }

    synchronized void end(JobId id, JobState state, String reason) {
        end(id, state, reason, List.of());
    }

    /** The job fails because an agent is lost with its one worker. */
    synchronized void lose(JobId id) {
        JobView.WorkerView lost = new JobView.WorkerView(
                1,
                new AgentId("node1"),
                "127.0.0.1",
                List.of(),
                "",
                false,
                7,
                clock.instant(),
                clock.instant(),
                null,
                null,
                null,
                "");
        end(id, JobState.ERROR, "worker " + id + ".1 was lost with agent node1", List.of(lost));
    }

    private synchronized void end(JobId id, JobState state, String reason, List<JobView.WorkerView> workers) {
        JobView old = views.get(id);
        if (old.state().finalState()) {
            return;
        }
        views.put(
                id,
                view(id, old.creator(), old.spec(), state, old.submittedAt(), old.startedAt(), clock.instant(), reason)
                        .with(workers, List.of()));
        listeners.forEach(listener -> listener.accept(id));
    }

    /** The jobs as the next server sees them; one that is dead can do nothing any more, even if its threads go on for a while. */
    synchronized Jobs living() {
        living = new Living();
        return living;
    }

    /** The present server can do nothing any more and hears nothing. */
    synchronized void die() {
        living = null;
        listeners = new ArrayList<>();
    }

    private final class Living implements Jobs {
        private TestingJobs jobs() {
            if (living != this) {
                throw new IllegalStateException("the server is dead");
            }
            return TestingJobs.this;
        }

        @Override
        public JobId nextId() {
            beforeNextId.run();
            return TestingJobs.this.nextId();
        }

        @Override
        public JobView submit(JobId id, UserName creator, JobSpec spec, boolean hasCode) {
            synchronized (TestingJobs.this) {
                return jobs().submit(id, creator, spec, hasCode);
            }
        }

        @Override
        public void checkQuota(UserName creator) {
            TestingJobs.this.checkQuota(creator);
        }

        @Override
        public Optional<JobView> find(JobId id) {
            return TestingJobs.this.find(id);
        }

        @Override
        public List<JobView> list() {
            return TestingJobs.this.list();
        }

        @Override
        public void stop(JobId id, UserName by) {
            synchronized (TestingJobs.this) {
                jobs().stop(id, by);
            }
        }

        @Override
        public JobView resume(JobId id, UserName by) {
            synchronized (TestingJobs.this) {
                return jobs().resume(id, by);
            }
        }

        @Override
        public void delete(JobId id, UserName by) {
            synchronized (TestingJobs.this) {
                jobs().delete(id, by);
            }
        }

        @Override
        public void whenEnded(Consumer<JobId> listener) {
            TestingJobs.this.whenEnded(listener);
        }

        @Override
        public void rank(String group, List<JobId> bestFirst) {
            jobs().rank(group, bestFirst);
        }

        @Override
        public ClusterStatus cluster() {
            return TestingJobs.this.cluster();
        }
    }

    synchronized List<JobId> submitted() {
        return List.copyOf(submitted);
    }

    /** Every order of trials that a server told, the last one last. */
    synchronized List<List<JobId>> rankings() {
        return List.copyOf(rankings);
    }

    synchronized List<JobId> toldToStop() {
        return List.copyOf(toldToStop);
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
