package concertina.train;

import concertina.model.AgentCommand;
import concertina.model.AgentHello;
import concertina.model.AgentId;
import concertina.model.AgentReport;
import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import concertina.model.Framework;
import concertina.model.Framework.Mode;
import concertina.model.JobId;
import concertina.model.JobSpec;
import concertina.model.JobState;
import concertina.model.Slot;
import concertina.model.SlotId;
import concertina.model.UserName;
import concertina.model.WorkerId;
import concertina.schedule.ClusterView;
import concertina.schedule.Demand;
import concertina.schedule.Plan;
import concertina.schedule.Policy;
import java.security.SecureRandom;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.Executor;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;
import java.util.function.Supplier;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Leads every job from submission to its end. Called by the HTTP layer, and by whoever owns the clock through {@link #tick}.
 *
 * <p>Each command becomes a {@link Decision}; its events are stored in the journal in one transaction, then applied, and only then
 * are agents told. Restart is replay. Thread-safe: one lock guards all state, long polls wait outside of it. Never runs a script,
 * never touches a file, never logs a command (they hold secrets).
 */
public final class Trainer implements Jobs, Agents {
    private static final Logger LOG = LoggerFactory.getLogger(Trainer.class);

    private static final Pattern AGENT_NAME = Pattern.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,62}");

    /** Where a worker of a TensorFlow gang listens; TF_CONFIG says the same in TensorFlow's words. */
    private static final String LISTENS_AT = "CONCERTINA_LISTENS_AT";

    private static final List<String> THREADS = List.of("OMP_NUM_THREADS", "MKL_NUM_THREADS");

    /** A job's durable and soft state side by side. */
    private static final class Tracked {
        final JobLife life;
        final JobPulse pulse;
        boolean forgotten;

        @Nullable
        JobView view;

        Tracked(JobLife life, JobPulse pulse) {
            this.life = life;
            this.pulse = pulse;
        }
    }

    private final Journal journal;
    private final Planning planning;
    private final Policy policy;
    private final InstantSource clock;
    private final Supplier<String> secrets;
    private final Executor executor;
    private final TrainOptions options;
    private final JobRules rules;
    private final Instant since;

    /** Guards every field below and all state they lead to. */
    private final ReentrantLock lock = new ReentrantLock();

    private final Map<JobId, Tracked> jobs = new LinkedHashMap<>();
    private final Map<JobId, Tracked> unfinished = new LinkedHashMap<>();
    private final Map<AgentId, AgentLink> agents =
            new TreeMap<>((a, b) -> a.value().compareTo(b.value()));

    /** Agents that held workers when the server started and have not joined since; nothing is planned until they are back or lost. */
    private final Set<AgentId> awaited = new HashSet<>();

    private final List<Consumer<JobId>> listeners = new ArrayList<>();
    private boolean planWanted;
    private boolean planScheduled;
    private boolean gangNeedsPorts;

    /**
     * Replays the journal.
     *
     * @param clock the present time, also that of the server's start
     * @param secrets makes a new secret at every call
     * @param executor runs the planner outside of the caller's thread
     */
    public Trainer(
            Journal journal,
            Planning planning,
            Policy policy,
            InstantSource clock,
            Supplier<String> secrets,
            Executor executor,
            TrainOptions options) {
        this.journal = journal;
        this.planning = planning;
        this.policy = policy;
        this.clock = clock;
        this.secrets = secrets;
        this.executor = executor;
        this.options = options;
        rules = new JobRules(options);
        since = clock.instant();
        journal.replay(this::replay);
        for (Tracked job : jobs.values()) {
            if (job.life.ended == null) {
                unfinished.put(job.life.id, job);
                job.life.workers.values().stream()
                        .filter(worker -> worker.living() || !worker.shipped)
                        .forEach(worker -> awaited.add(worker.agent));
            }
        }
    }

    /** 256 random bits in hexadecimal at every call. */
    public static Supplier<String> randomSecrets() {
        SecureRandom random = new SecureRandom();
        return () -> {
            byte[] bytes = new byte[32];
            random.nextBytes(bytes);
            return HexFormat.of().formatHex(bytes);
        };
    }

    private void replay(Journal.Entry entry) {
        Tracked job = jobs.get(entry.job());
        if (entry.event() instanceof JobEvent.Submitted submitted) {
            jobs.put(
                    entry.job(),
                    new Tracked(
                            new JobLife(entry.job(), submitted, entry.at()),
                            new JobPulse(since, "waits for the agents to join again")));
        } else if (job != null) {
            job.life.apply(entry.event(), entry.at());
            job.pulse.follow(entry.event(), entry.at());
        }
    }

    @Override
    public JobId nextId() {
        return new JobId(options.namespace() + "-" + journal.nextNumber());
    }

    @Override
    public JobView submit(JobId id, UserName creator, JobSpec spec, boolean hasCode) {
        lock.lock();
        try {
            checkQuota(creator);
            if (jobs.containsKey(id)) {
                throw new ConcertinaException(ErrorCode.CONFLICT, "job '" + id + "' exists, accepted: a new id");
            }
            Instant now = clock.instant();
            JobEvent.Submitted submitted = new JobEvent.Submitted(creator, spec, hasCode);
            JobEvent.SecretChosen secret = new JobEvent.SecretChosen(secrets.get());
            journal.append(List.of(new Journal.Entry(id, now, submitted), new Journal.Entry(id, now, secret)));
            Tracked job = new Tracked(new JobLife(id, submitted, now), new JobPulse(now, "waits for the scheduler"));
            job.life.apply(secret, now);
            jobs.put(id, job);
            unfinished.put(id, job);
            planWanted = true;
            schedulePlan();
            return view(job);
        } finally {
            lock.unlock();
        }
    }

    @Override
    public void checkQuota(UserName creator) {
        lock.lock();
        try {
            long count = unfinished.values().stream()
                    .filter(job -> !job.forgotten && job.life.creator.equals(creator))
                    .count();
            if (count >= options.unfinishedJobsPerUser()) {
                throw new ConcertinaException(
                        ErrorCode.QUOTA_EXCEEDED,
                        "user '" + creator + "' has " + count + " unfinished jobs, accepted: at most "
                                + options.unfinishedJobsPerUser());
            }
        } finally {
            lock.unlock();
        }
    }

    @Override
    public Optional<JobView> find(JobId id) {
        lock.lock();
        try {
            return Optional.ofNullable(jobs.get(id)).map(this::view);
        } finally {
            lock.unlock();
        }
    }

    @Override
    public List<JobView> list() {
        lock.lock();
        try {
            return jobs.values().stream().map(this::view).toList();
        } finally {
            lock.unlock();
        }
    }

    @Override
    public void stop(JobId id, UserName by) {
        lock.lock();
        try {
            Tracked job = known(id);
            kill(job, by);
            advance(job);
            schedulePlan();
        } finally {
            lock.unlock();
        }
    }

    private void kill(Tracked job, UserName by) {
        if (job.life.ended == null && job.life.ending == null) {
            record(job, Decision.record(new JobEvent.Ending(JobState.KILLED, "stopped by " + by)));
        }
    }

    @Override
    public JobView resume(JobId id, UserName by) {
        lock.lock();
        try {
            Tracked job = known(id);
            checkResumable(job.life);
            checkQuota(job.life.creator);
            Instant now = clock.instant();
            JobEvent.Resumed resumed = new JobEvent.Resumed(by);
            journal.append(List.of(new Journal.Entry(id, now, resumed)));
            job.life.apply(resumed, now);
            Tracked again = new Tracked(job.life, new JobPulse(now, "resumed by " + by + ", waits for the scheduler"));
            again.pulse.standing = job.pulse.standing;
            jobs.put(id, again);
            unfinished.put(id, again);
            planWanted = true;
            schedulePlan();
            return view(again);
        } finally {
            lock.unlock();
        }
    }

    private static void checkResumable(JobLife job) {
        String accepted = ", accepted: an elastic job that was stopped or failed before its training was complete";
        if (job.ended == null) {
            throw new ConcertinaException(ErrorCode.CONFLICT, "job '" + job.id + "' is " + job.state() + accepted);
        }
        if (!job.elastic()) {
            throw new ConcertinaException(
                    ErrorCode.CONFLICT,
                    "job '" + job.id + "' of framework " + job.spec.framework().label() + " keeps no checkpoints"
                            + accepted);
        }
        if (job.ended.state() == JobState.FINISHED || job.windingDown()) {
            throw new ConcertinaException(
                    ErrorCode.CONFLICT, "job '" + job.id + "' has completed its training" + accepted);
        }
    }

    @Override
    public void delete(JobId id, UserName by) {
        lock.lock();
        try {
            Tracked job = known(id);
            kill(job, by);
            journal.forget(id);
            jobs.remove(id);
            job.forgotten = true;
            advance(job);
            schedulePlan();
        } finally {
            lock.unlock();
        }
    }

    private Tracked known(JobId id) {
        Tracked job = jobs.get(id);
        if (job == null) {
            throw new ConcertinaException(ErrorCode.UNKNOWN_TASK, "job '" + id + "' is not known");
        }
        return job;
    }

    @Override
    public void whenEnded(Consumer<JobId> listener) {
        lock.lock();
        try {
            listeners.add(listener);
        } finally {
            lock.unlock();
        }
    }

    @Override
    public void rank(String group, List<JobId> bestFirst) {
        lock.lock();
        try {
            int place = 0;
            for (JobId id : bestFirst) {
                Tracked job = unfinished.get(id);
                if (job != null) {
                    job.pulse.standing = new Demand.Standing(group, place);
                }
                place++;
            }
            planWanted = true;
            schedulePlan();
        } finally {
            lock.unlock();
        }
    }

    @Override
    public ClusterStatus cluster() {
        lock.lock();
        try {
            Map<SlotId, WorkerId> holders = holders();
            List<ClusterStatus.AgentStatus> list = new ArrayList<>();
            for (AgentLink link : agents.values()) {
                List<ClusterStatus.SlotStatus> slots = new ArrayList<>();
                for (Slot slot : link.slots) {
                    WorkerId holder = holders.get(slot.id());
                    slots.add(new ClusterStatus.SlotStatus(
                            slot, holder == null ? null : holder.job(), holder == null ? null : holder.ordinal()));
                }
                list.add(new ClusterStatus.AgentStatus(link.agent, link.host, link.connected, slots));
            }
            return new ClusterStatus(list);
        } finally {
            lock.unlock();
        }
    }

    /** Everything that depends on the passing of time; to be called about once a second. */
    public void tick() {
        lock.lock();
        try {
            Instant now = clock.instant();
            if (!now.isBefore(since.plus(options.heartbeat()))) {
                for (AgentLink link : List.copyOf(agents.values())) {
                    if (link.connected && !now.isBefore(link.lastSeen.plus(options.heartbeat()))) {
                        LOG.warn(
                                "agent {} has been silent for {} s and is lost",
                                link.agent,
                                options.heartbeat().toSeconds());
                        link.connected = false;
                        link.queue.close();
                        loseWorkers(link.agent, Set.of());
                    }
                }
                for (AgentId agent : List.copyOf(awaited)) {
                    LOG.warn("agent {} has not joined since the server's start and is lost", agent);
                    awaited.remove(agent);
                    loseWorkers(agent, Set.of());
                }
            }
            for (Tracked job : List.copyOf(unfinished.values())) {
                advance(job);
            }
            if (!policy.settle().isZero() && !unfinished.isEmpty()) {
                planWanted = true;
            }
            schedulePlan();
        } finally {
            lock.unlock();
        }
    }

    @Override
    public void join(AgentHello hello) {
        check(hello);
        lock.lock();
        try {
            Instant now = clock.instant();
            AgentLink old = agents.get(hello.agent());
            if (old != null) {
                old.queue.close();
            }
            AgentLink link = new AgentLink(hello, now);
            agents.put(link.agent, link);
            awaited.remove(link.agent);
            planWanted = true;
            Set<WorkerId> present = new HashSet<>();
            for (AgentHello.KnownWorker known : hello.workers()) {
                adopt(link, known, present);
            }
            hello.workers().stream()
                    .map(known -> known.worker().job())
                    .distinct()
                    .forEach(job -> forgetIfOver(link, job));
            for (Tracked job : List.copyOf(unfinished.values())) {
                job.life.workers.values().stream()
                        .filter(worker -> worker.agent.equals(link.agent))
                        .forEach(worker -> job.pulse.stopSent.remove(worker.ordinal()));
            }
            loseWorkers(link.agent, present);
            for (Tracked job : List.copyOf(unfinished.values())) {
                for (Worker worker : List.copyOf(job.life.workers.values())) {
                    if (worker.living() && worker.agent.equals(link.agent)) {
                        renew(link, job, worker, present.contains(worker.id));
                    }
                }
            }
            for (Tracked job : List.copyOf(unfinished.values())) {
                advance(job);
            }
            LOG.info(
                    "agent {} joined from {} with {} slots and {} workers",
                    link.agent,
                    link.host,
                    link.slots.size(),
                    hello.workers().size());
            schedulePlan();
        } finally {
            lock.unlock();
        }
    }

    /** An agent's name becomes part of folder names and of its slots' names. */
    private static void check(AgentHello hello) {
        String name = hello.agent().value();
        if (!AGENT_NAME.matcher(name).matches()) {
            throw ConcertinaException.invalid(
                    "agent", name, "1 to 63 letters, digits, '.', '_' or '-', the first a letter or digit");
        }
        Set<SlotId> seen = new HashSet<>();
        for (Slot slot : hello.slots()) {
            if (!slot.id().value().startsWith(name + "/") || !seen.add(slot.id())) {
                throw ConcertinaException.invalid(
                        "slots", slot.id().value(), "different ids that begin with '" + name + "/'");
            }
        }
    }

    /** Tells a new session what still matters of what former ones were told. */
    private void renew(AgentLink link, Tracked job, Worker worker, boolean present) {
        boolean wanted = job.life.wanted(worker);
        if (!present && !wanted) {
            record(job, rules.lost(job.life, job.pulse, worker, false));
            return;
        }
        if (!present) {
            link.queue.add(startCommand(job.life, worker, options));
        }
        if (wanted) {
            rules.repeat(job.life, job.pulse, worker).forEach(link.queue::add);
        }
    }

    private void adopt(AgentLink link, AgentHello.KnownWorker known, Set<WorkerId> present) {
        Tracked job = unfinished.get(known.worker().job());
        Worker worker = job == null ? null : job.life.workers.get(known.worker().ordinal());
        if (job != null && worker != null && worker.agent.equals(link.agent) && !worker.lost) {
            present.add(worker.id);
            for (AgentReport report : known.reports()) {
                if (report.worker().equals(worker.id)) {
                    record(job, rules.heard(job.life, job.pulse, worker, report, clock.instant()));
                }
            }
            return;
        }
        boolean gone = known.reports().stream().anyMatch(AgentReport.Exited.class::isInstance);
        if (gone) {
            return;
        }
        Tracked ended = jobs.get(known.worker().job());
        Worker former =
                ended == null ? worker : ended.life.workers.get(known.worker().ordinal());
        link.squatters.put(known.worker(), former == null ? List.of() : former.slots);
        link.queue.add(
                new AgentCommand.Stop(known.worker(), (int) options.stopGrace().toSeconds()));
    }

    /** Tells an agent to forget a job that has ended, once none of its processes is left there. */
    private void forgetIfOver(AgentLink link, JobId job) {
        boolean running =
                link.squatters.keySet().stream().anyMatch(worker -> worker.job().equals(job));
        if (!unfinished.containsKey(job) && !running) {
            link.queue.add(new AgentCommand.Forget(job));
        }
    }

    /**
     * Ends the workers of an agent that are not among those present. A worker that never was heard of is not lost when its agent
     * joins: its command to start was, and is repeated.
     */
    private void loseWorkers(AgentId agent, Set<WorkerId> present) {
        AgentLink link = agents.get(agent);
        boolean connected = link != null && link.connected;
        for (Tracked job : List.copyOf(unfinished.values())) {
            boolean counted = true;
            for (Worker worker : List.copyOf(job.life.workers.values())) {
                boolean absent = worker.agent.equals(agent) && !present.contains(worker.id);
                boolean open = worker.living() || !worker.shipped;
                boolean neverHeardOf = connected && worker.startedAt == null && job.life.wanted(worker);
                if (absent && open && !neverHeardOf) {
                    Decision decision = rules.lost(job.life, job.pulse, worker, counted);
                    counted = counted
                            && decision.events().stream()
                                    .noneMatch(event -> event instanceof JobEvent.WorkerEnded ended && ended.counted());
                    record(job, decision);
                }
            }
            advance(job);
        }
        planWanted = true;
    }

    @Override
    public List<NumberedCommand> poll(
            AgentId agent, String session, long acknowledged, List<Integer> ports, Duration atMost)
            throws InterruptedException {
        CommandQueue queue;
        lock.lock();
        try {
            AgentLink link = link(agent, session);
            link.lastSeen = clock.instant();
            boolean hadNone = link.ports.isEmpty();
            link.ports = List.copyOf(ports);
            queue = link.queue;
            if (gangNeedsPorts && hadNone && !ports.isEmpty()) {
                planWanted = true;
                schedulePlan();
            }
        } finally {
            lock.unlock();
        }
        List<NumberedCommand> commands = queue.await(acknowledged, atMost);
        lock.lock();
        try {
            link(agent, session).lastSeen = clock.instant();
        } finally {
            lock.unlock();
        }
        return commands;
    }

    private AgentLink link(AgentId agent, String session) {
        AgentLink link = agents.get(agent);
        if (link == null || !link.connected || !link.session.equals(session)) {
            throw CommandQueue.unknownSession();
        }
        return link;
    }

    @Override
    public void report(AgentId agent, String session, List<AgentReport> reports) {
        lock.lock();
        try {
            AgentLink link = link(agent, session);
            Set<Tracked> touched = new LinkedHashSet<>();
            for (AgentReport report : reports) {
                WorkerId id = report.worker();
                if (link.squatters.containsKey(id)) {
                    if (report instanceof AgentReport.Exited) {
                        link.squatters.remove(id);
                        forgetIfOver(link, id.job());
                        planWanted = true;
                    }
                    continue;
                }
                Tracked job = unfinished.get(id.job());
                Worker worker = job == null ? null : job.life.workers.get(id.ordinal());
                if (job != null && worker != null && worker.agent.equals(agent) && !worker.lost) {
                    record(job, rules.heard(job.life, job.pulse, worker, report, clock.instant()));
                    job.view = null;
                    touched.add(job);
                    advance(job);
                }
            }
            touched.forEach(this::advance);
            schedulePlan();
        } finally {
            lock.unlock();
        }
    }

    /** Does everything that can be done for a job now. */
    private void advance(Tracked job) {
        Decision decision = rules.next(job.life, job.pulse, clock.instant());
        while (!decision.nothing()) {
            record(job, decision);
            decision = rules.next(job.life, job.pulse, clock.instant());
        }
    }

    /** Stores, applies, tells: the only way a job changes while the server runs. */
    private void record(Tracked job, Decision decision) {
        job.view = null;
        Instant now = clock.instant();
        if (!decision.events().isEmpty() && !job.forgotten) {
            journal.append(decision.events().stream()
                    .map(event -> new Journal.Entry(job.life.id, now, event))
                    .toList());
        }
        for (JobEvent event : decision.events()) {
            job.life.apply(event, now);
            job.pulse.follow(event, now);
            notice(job, event);
        }
        decision.commands().forEach(command -> tell(job.life, command));
    }

    /** What an event means for others than its job. */
    private void notice(Tracked job, JobEvent event) {
        switch (event) {
            case JobEvent.Ending ending -> {
                job.pulse.reason = ending.reason();
                planWanted = true;
            }
            case JobEvent.Ended ended -> {
                LOG.info("job {} ended as {}: {}", job.life.id, ended.state(), ended.reason());
                unfinished.remove(job.life.id);
                listeners.forEach(listener -> listener.accept(job.life.id));
                planWanted = true;
            }
            case JobEvent.WorkerEnded ignored -> planWanted = true;
            case JobEvent.WorkerPrepared ignored -> planWanted = true;
            case JobEvent.WorkersWanted ignored -> planWanted = true;
            case JobEvent.WorkerHung hung ->
                LOG.warn("worker {} {}; it is killed", job.life.worker(hung.ordinal()).id, hung.reason());
            case JobEvent.WorkerSlow slow ->
                LOG.warn("worker {} {}", job.life.worker(slow.ordinal()).id, slow.reason());
            case JobEvent.WorkerDone ignored -> planWanted = true;
            case JobEvent.GenerationActivated ignored -> planWanted = true;
            case JobEvent.Resumed ignored -> planWanted = true;
            case JobEvent.Submitted ignored -> {}
            case JobEvent.SecretChosen ignored -> {}
            case JobEvent.WorkerAssigned ignored -> {}
            case JobEvent.WorkerStarted ignored -> {}
            case JobEvent.WorkerLeaving ignored -> {}
            case JobEvent.WorkerLeft ignored -> {}
            case JobEvent.WorkerShipped ignored -> {}
            case JobEvent.GenerationProposed ignored -> {}
            case JobEvent.GenerationCommitted ignored -> {}
            case JobEvent.GenerationAbandoned ignored -> {}
            case JobEvent.SwitchMeasured ignored -> {}
            case JobEvent.GenerationsBroken ignored -> {}
            case JobEvent.GenerationsDissolved ignored -> {}
            case JobEvent.Progressed ignored -> {}
        }
    }

    private void tell(JobLife job, AgentCommand command) {
        switch (command) {
            case AgentCommand.Start start -> tell(job, start.worker(), start);
            case AgentCommand.Stop stop -> tell(job, stop.worker(), stop);
            case AgentCommand.Send send -> tell(job, send.worker(), send);
            case AgentCommand.Forget forget -> {
                Set<AgentId> hosts = new LinkedHashSet<>();
                job.workers.values().forEach(worker -> hosts.add(worker.agent));
                for (AgentId host : hosts) {
                    AgentLink link = agents.get(host);
                    if (link != null && link.connected) {
                        forgetIfOver(link, forget.job());
                    }
                }
            }
        }
    }

    private void tell(JobLife job, WorkerId worker, AgentCommand command) {
        AgentLink link = agents.get(job.worker(worker.ordinal()).agent);
        if (link != null && link.connected) {
            link.queue.add(command);
        }
    }

    private Map<SlotId, WorkerId> holders() {
        Map<SlotId, WorkerId> holders = new HashMap<>();
        for (Tracked job : unfinished.values()) {
            for (Worker worker : job.life.workers.values()) {
                if (worker.living()) {
                    worker.slots.forEach(slot -> holders.put(slot, worker.id));
                }
            }
        }
        return holders;
    }

    private void schedulePlan() {
        if (planWanted && !planScheduled) {
            planScheduled = true;
            executor.execute(this::plan);
        }
    }

    private void plan() {
        lock.lock();
        try {
            planScheduled = false;
            planWanted = false;
            if (!awaited.isEmpty()) {
                return;
            }
            gangNeedsPorts = false;
            Map<SlotId, WorkerId> holders = holders();
            List<ClusterView.SlotView> slots = new ArrayList<>();
            for (AgentLink link : agents.values()) {
                if (link.connected) {
                    for (Slot slot : link.slots) {
                        boolean free = !holders.containsKey(slot.id()) && !link.squatted(slot.id());
                        slots.add(new ClusterView.SlotView(slot.id(), link.agent, slot.kind(), free));
                    }
                }
            }
            List<Demand> demands = new ArrayList<>();
            for (Tracked job : unfinished.values()) {
                demand(job, options.patience()).ifPresent(demands::add);
            }
            Plan plan = planning.plan(new ClusterView(slots), demands, policy, clock.instant());
            for (Plan.Assignment assignment : plan.assignments()) {
                Tracked job = unfinished.get(assignment.job());
                if (job != null) {
                    follow(job, assignment);
                }
            }
            schedulePlan();
        } catch (RuntimeException failure) {
            planWanted = true;
            LOG.error("the plan could not be made or followed; it is tried again at the next tick", failure);
        } finally {
            lock.unlock();
        }
    }

    /** The script's own wish bounds a job, and so does having too many workers in a row that did not load. */
    private static Demand.Shape elastic(JobLife job, TrainOptions.Patience patience) {
        int most = job.logicalWorkers;
        if (job.lateLoads >= patience.loads()) {
            int loaded = (int) job.living().stream()
                    .filter(worker -> worker.prepared() && !worker.leaving)
                    .count();
            return new Demand.Shape.Elastic(
                    most,
                    Math.clamp(loaded, 1, most),
                    job.lateLoads + " workers in a row did not come to train, no more are started; the last: "
                            + job.lastLateLoad);
        }
        return job.wanted == 0 || job.wanted >= most
                ? new Demand.Shape.Elastic(most)
                : new Demand.Shape.Elastic(
                        most, job.wanted, "its scaleup_function asks for at most " + job.wanted + " workers");
    }

    private static Optional<Demand> demand(Tracked tracked, TrainOptions.Patience patience) {
        JobLife job = tracked.life;
        if (job.ending != null || job.completed()) {
            return Optional.empty();
        }
        List<Worker> living = job.living();
        Demand.Shape shape = switch (job.spec.framework().mode()) {
            case SINGLE -> new Demand.Shape.Rigid(1);
            case GANG ->
                new Demand.Shape.Rigid(job.workers.isEmpty() ? job.spec.workers() : Math.max(1, living.size()));
            case ELASTIC ->
                job.windingDown() && !living.isEmpty() ? new Demand.Shape.Rigid(living.size()) : elastic(job, patience);
        };
        return Optional.of(new Demand(
                job.id,
                job.creator,
                job.spec.consumer(),
                job.spec.priority(),
                job.submittedAt,
                job.resizedAt,
                job.spec.gpu(),
                job.spec.slotsPerWorker(),
                shape,
                living.stream()
                        .map(worker -> new Demand.Holding(
                                worker.ordinal(), worker.slots, worker.leaving || worker.leftAt != null))
                        .toList(),
                tracked.pulse.standing));
    }

    private void follow(Tracked job, Plan.Assignment assignment) {
        JobLife life = job.life;
        if (!assignment.reason().equals(job.pulse.reason)) {
            job.pulse.reason = assignment.reason();
            job.view = null;
        }
        List<JobEvent> events = new ArrayList<>();
        long staying = life.workers.values().stream()
                .filter(worker -> worker.living() && !worker.leaving)
                .count();
        for (int ordinal : assignment.leaves()) {
            Worker worker = life.workers.get(ordinal);
            if (worker != null && worker.living() && !worker.leaving && staying > 1) {
                staying--;
                events.add(new JobEvent.WorkerLeaving(ordinal));
            }
        }
        List<JobEvent.WorkerAssigned> starts = assign(life, assignment.starts());
        events.addAll(starts);
        if (starts.isEmpty() && !assignment.starts().isEmpty()) {
            job.pulse.reason =
                    "waits for a free port on the agent of its first worker, where the others are to find it";
            job.view = null;
        }
        if (!events.isEmpty()) {
            record(job, new Decision(events, List.of()));
            for (JobEvent.WorkerAssigned start : starts) {
                Worker worker = life.worker(start.ordinal());
                tell(life, startCommand(life, worker, options));
            }
            advance(job);
        }
    }

    private List<JobEvent.WorkerAssigned> assign(JobLife job, List<List<SlotId>> starts) {
        if (starts.isEmpty()) {
            return List.of();
        }
        Map<SlotId, AgentLink> owners = new HashMap<>();
        for (AgentLink link : agents.values()) {
            if (link.connected) {
                link.slots.forEach(slot -> owners.put(slot.id(), link));
            }
        }
        Map<SlotId, WorkerId> holders = holders();
        List<AgentLink> hosts = new ArrayList<>();
        for (List<SlotId> slots : starts) {
            AgentLink host = owners.get(slots.getFirst());
            for (SlotId slot : slots) {
                if (host == null
                        || owners.get(slot) != host
                        || host.squatted(slot)
                        || holders.put(slot, new WorkerId(job.id, 1)) != null) {
                    throw new IllegalStateException("the plan gives " + job.id + " slot " + slot
                            + ", which is not free or lies on another agent than " + slots.getFirst());
                }
            }
            hosts.add(host);
        }
        boolean gang = job.spec.framework().mode() == Mode.GANG;
        boolean everyWorkerListens = job.spec.framework() == Framework.DIST_TENSORFLOW;
        List<String> addresses = new ArrayList<>();
        if (gang) {
            for (AgentLink host : everyWorkerListens ? hosts : hosts.subList(0, 1)) {
                Optional<String> address = freeAddress(host, addresses);
                if (address.isEmpty()) {
                    gangNeedsPorts = true;
                    return List.of();
                }
                addresses.add(address.get());
            }
        }
        List<JobEvent.WorkerAssigned> assigned = new ArrayList<>();
        Map<AgentId, Integer> localRanks = new HashMap<>();
        for (int i = 0; i < starts.size(); i++) {
            AgentLink host = hosts.get(i);
            int ordinal = job.nextOrdinal() + i;
            int localRank = localRanks.merge(host.agent, 1, Integer::sum) - 1;
            assigned.add(new JobEvent.WorkerAssigned(
                    ordinal,
                    host.agent,
                    host.host,
                    starts.get(i),
                    "log/task" + ordinal + "." + host.agent,
                    gang
                            ? meeting(job.spec, addresses, hosts.getFirst().host, starts.size(), i, localRank)
                            : job.elastic() ? threads(job, hosts.getFirst()) : Map.of()));
        }
        return assigned;
    }

    /** A port of the agent that no living worker was told to listen at, with the agent's host. */
    private Optional<String> freeAddress(AgentLink link, List<String> chosen) {
        Set<String> taken = new HashSet<>(chosen);
        for (Tracked other : unfinished.values()) {
            for (Worker worker : other.life.workers.values()) {
                if (worker.living()) {
                    Map<String, String> environment = worker.environment;
                    taken.add(environment.get("MASTER_ADDR") + ":" + environment.get("MASTER_PORT"));
                    taken.add(environment.getOrDefault(LISTENS_AT, ""));
                }
            }
        }
        return link.ports.stream()
                .map(port -> link.host + ":" + port)
                .filter(address -> !taken.contains(address))
                .findFirst();
    }

    /** How the workers of a gang find each other: the first one's address, and for TensorFlow everybody's. */
    private static Map<String, String> meeting(
            JobSpec spec, List<String> addresses, String firstHost, int size, int rank, int localRank) {
        Map<String, String> environment = new HashMap<>();
        environment.put("MASTER_ADDR", firstHost);
        environment.put("MASTER_PORT", addresses.getFirst().substring(firstHost.length() + 1));
        environment.put("WORLD_SIZE", Integer.toString(size));
        environment.put("RANK", Integer.toString(rank));
        environment.put("LOCAL_RANK", Integer.toString(localRank));
        environment.put("WMLA_NWORKER", Integer.toString(size));
        environment.put("WMLA_WORKER_NDEVICE", Integer.toString(spec.slotsPerWorker()));
        environment.put("NODE_RANK", Integer.toString(rank));
        if (spec.framework() == Framework.DIST_TENSORFLOW) {
            environment.put(LISTENS_AT, addresses.get(rank));
            environment.put(
                    "TF_CONFIG",
                    "{\"cluster\":{\"worker\":[\"" + String.join("\",\"", addresses) + "\"]},\"task\":{\"index\":"
                            + rank + ",\"type\":\"worker\"}}");
        }
        return environment;
    }

    /** Kernels add in another order with another number of threads: the job's first worker decides for all that follow. */
    private static Map<String, String> threads(JobLife job, AgentLink host) {
        String here =
                Integer.toString(AgentHello.threads(host.processors, host.slots.size(), job.spec.slotsPerWorker()));
        Map<String, String> first = job.workers.values().stream()
                .findFirst()
                .map(worker -> worker.environment)
                .orElse(Map.of());
        Map<String, String> environment = new HashMap<>();
        for (String name : THREADS) {
            if (!job.spec.environment().containsKey(name)) {
                environment.put(name, first.getOrDefault(name, here));
            }
        }
        return environment;
    }

    private static void limit(Map<String, String> environment, JobLife job, String name, Duration standard) {
        environment.put(name, job.spec.environment().getOrDefault(name, Long.toString(standard.toSeconds())));
    }

    private static AgentCommand startCommand(JobLife job, Worker worker, TrainOptions options) {
        TrainOptions.Patience patience = options.patience();
        Map<String, String> environment = new HashMap<>(worker.environment);
        environment.put(
                "CONCERTINA_LOG_FIRST_MEGABYTES",
                Integer.toString(options.logs().firstMegabytes()));
        environment.put(
                "CONCERTINA_LOG_LAST_MEGABYTES", Integer.toString(options.logs().lastMegabytes()));
        if (job.elastic()) {
            environment.put("CONCERTINA_LOGICAL_WORKERS", Integer.toString(job.spec.workers()));
            environment.put("CONCERTINA_JOB_SECRET", job.secret);
            environment.put("CONCERTINA_SEED", job.spec.environment().getOrDefault("CONCERTINA_SEED", "0"));
            environment.put("CONCERTINA_LISTEN_HOST", worker.host);
            if (job.goesOn()) {
                environment.put("CONCERTINA_NEWCOMER", "1");
            }
            limit(environment, job, "CONCERTINA_HANG_SECONDS", patience.hang());
            limit(environment, job, "CONCERTINA_LONG_WORK_SECONDS", patience.longWork());
        }
        return new AgentCommand.Start(
                worker.id, job.creator, job.spec, worker.slots, worker.logFolder, job.hasCode, environment);
    }

    private JobView view(Tracked job) {
        JobView view = job.view;
        if (view == null) {
            view = JobViews.of(job.life, job.pulse);
            job.view = view;
        }
        return view;
    }
}
