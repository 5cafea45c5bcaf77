package concertina.trials;

import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import concertina.model.JobId;
import concertina.model.UserName;
import concertina.search.Point;
import concertina.train.JobFiles;
import concertina.train.Jobs;
import java.time.Instant;
import java.time.InstantSource;
import java.time.temporal.ChronoUnit;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * Leads all searches: replays the journal, lets each search that had not ended go on by itself, and hands jobs that end to the search
 * whose trial they are. Thread-safe; one lock guards the list of searches, each search guards itself.
 */
public final class Searcher implements Searches, AutoCloseable {
    /**
     * What every search works with.
     *
     * @param followed which search each job under way is a trial of
     * @param waiting searches that cannot go on before a job of their user ends
     */
    record Parts(
            SearchJournal journal,
            Jobs jobs,
            JobFiles files,
            Samplers samplers,
            InstantSource clock,
            Leftovers leftovers,
            Map<JobId, SearchRun> followed,
            Set<SearchRun> waiting) {
        void follow(JobId job, SearchRun run) {
            followed.put(job, run);
        }

        void unfollow(JobId job) {
            followed.remove(job);
        }
    }

    private final Parts parts;
    private final int activePerUser;

    /** Guards runs. */
    private final ReentrantLock lock = new ReentrantLock();

    private final Map<String, SearchRun> runs = new LinkedHashMap<>();

    /**
     * Replays the journal and goes on with every search.
     *
     * @param activePerUser more searches under way are refused
     */
    public Searcher(
            SearchJournal journal,
            Jobs jobs,
            JobFiles files,
            Samplers samplers,
            InstantSource clock,
            int activePerUser) {
        this.parts = new Parts(
                journal,
                jobs,
                files,
                samplers,
                clock,
                new Leftovers(journal, jobs, files, clock),
                new ConcurrentHashMap<>(),
                ConcurrentHashMap.newKeySet());
        this.activePerUser = activePerUser;
        journal.replay(this::replay);
        Set<JobId> codes = runs.values().stream()
                .map(run -> run.ledger().spec().code())
                .filter(Objects::nonNull)
                .collect(Collectors.toSet());
        parts.leftovers().sweep(codes::contains);
        jobs.whenEnded(this::ended);
        runs.values().forEach(SearchRun::start);
    }

    private void replay(SearchJournal.Entry entry) {
        if (entry.event() instanceof SearchEvent.Created created) {
            runs.put(entry.search(), run(new SearchLife(entry.search(), created, entry.at())));
            return;
        }
        if (entry.event() instanceof SearchEvent.LeftBehind left) {
            parts.leftovers().replay(entry.search(), left);
            return;
        }
        SearchRun run = runs.get(entry.search());
        if (run != null) {
            run.ledger().replay(entry.event(), entry.at());
        }
    }

    private SearchRun run(SearchLife life) {
        return new SearchRun(parts, new SearchLedger(parts, life));
    }

    /** Comes from the trainer while it holds its lock: neither waits nor asks. */
    private void ended(JobId job) {
        SearchRun run = parts.followed().get(job);
        if (run != null) {
            run.ended(job);
        }
        parts.waiting().forEach(SearchRun::wake);
    }

    @Override
    public String freeName(String user) {
        lock.lock();
        try {
            long number = ChronoUnit.NANOS.between(Instant.EPOCH, parts.clock().instant()) / 1000;
            while (runs.containsKey(user + "-hpo-" + number)) {
                number++;
            }
            return user + "-hpo-" + number;
        } finally {
            lock.unlock();
        }
    }

    @Override
    public void checkNew(String name, UserName creator) {
        lock.lock();
        try {
            if (runs.containsKey(name)) {
                throw new ConcertinaException(
                        ErrorCode.CONFLICT, "hpoName is '" + name + "', which exists, accepted: a new name");
            }
            checkRoom(creator);
        } finally {
            lock.unlock();
        }
    }

    private void checkRoom(UserName creator) {
        long active = runs.values().stream()
                .filter(run ->
                        run.ledger().creator().equals(creator) && run.ledger().active())
                .count();
        if (active >= activePerUser) {
            throw new ConcertinaException(
                    ErrorCode.QUOTA_EXCEEDED,
                    "user '" + creator + "' has " + active + " active searches, accepted: at most " + activePerUser);
        }
    }

    @Override
    public void check(String name, UserName creator, SearchSpec spec, List<SearchView> earlier) {
        warmStart(spec, earlier);
        checkNew(name, creator);
    }

    private @Nullable WarmStart warmStart(SearchSpec spec, List<SearchView> earlier) {
        // Tells at once what the search's own thread would find out later.
        parts.samplers().create(spec, null);
        return earlier.isEmpty() ? null : WarmStart.of(spec, earlier);
    }

    @Override
    public SearchView create(String name, UserName creator, SearchSpec spec, List<SearchView> earlier) {
        WarmStart warmStart = warmStart(spec, earlier);
        SearchRun run;
        lock.lock();
        try {
            checkNew(name, creator);
            Instant now = parts.clock().instant();
            SearchEvent.Created created = new SearchEvent.Created(creator, spec);
            List<SearchEvent> events =
                    warmStart == null ? List.of(created) : List.of(created, new SearchEvent.WarmStarted(warmStart));
            parts.journal()
                    .append(events.stream()
                            .map(event -> new SearchJournal.Entry(name, now, event))
                            .toList());
            SearchLife life = new SearchLife(name, created, now);
            events.stream().skip(1).forEach(event -> life.apply(event, now));
            run = run(life);
            runs.put(name, run);
        } finally {
            lock.unlock();
        }
        JobId code = spec.code();
        if (code != null) {
            parts.leftovers().codeIsSettled(code);
        }
        run.start();
        return run.view();
    }

    @Override
    public JobId expectCode(UserName creator) {
        return parts.leftovers().expectCode(creator);
    }

    @Override
    public void discardCode(JobId code, UserName creator) {
        if (parts.leftovers().removed(code, creator)) {
            parts.leftovers().codeIsSettled(code);
        }
    }

    @Override
    public Optional<SearchView> find(String name) {
        SearchRun run;
        lock.lock();
        try {
            run = runs.get(name);
        } finally {
            lock.unlock();
        }
        return Optional.ofNullable(run).map(SearchRun::view);
    }

    @Override
    public List<SearchView> list(Predicate<UserName> creators) {
        List<SearchRun> all;
        lock.lock();
        try {
            all = List.copyOf(runs.values());
        } finally {
            lock.unlock();
        }
        return all.stream()
                .filter(run -> creators.test(run.ledger().creator()))
                .map(SearchRun::view)
                .toList();
    }

    @Override
    public void stop(String name, UserName creator, UserName by) {
        SearchRun run = known(name, creator);
        run.ledger().stop(by);
        run.stopped();
    }

    @Override
    public SearchView restart(String name, UserName creator, UserName by) {
        SearchRun run;
        lock.lock();
        try {
            run = known(name, creator);
            run.ledger().checkRestart();
            checkRoom(creator);
            run.ledger().restart(by);
        } finally {
            lock.unlock();
        }
        run.start();
        return run.view();
    }

    @Override
    public void delete(String name, UserName creator, UserName by) {
        SearchRun run;
        lock.lock();
        try {
            run = known(name, creator);
            run.ledger().forget(by);
            runs.remove(name);
        } finally {
            lock.unlock();
        }
        run.deleted();
    }

    @Override
    public void enqueue(String name, UserName creator, Point point) {
        SearchRun run = known(name, creator);
        run.ledger().enqueue(point);
        run.wake();
    }

    /** How many jobs are followed; for tests. */
    int followed() {
        return parts.followed().size();
    }

    private SearchRun known(String name, UserName creator) {
        lock.lock();
        try {
            SearchRun run = runs.get(name);
            if (run == null || !run.ledger().creator().equals(creator)) {
                throw new ConcertinaException(ErrorCode.NOT_FOUND, "search '" + name + "' is not known");
            }
            return run;
        } finally {
            lock.unlock();
        }
    }

    /** Begins nothing further. */
    @Override
    public void close() {
        lock.lock();
        try {
            runs.values().forEach(SearchRun::close);
        } finally {
            lock.unlock();
        }
    }
}
