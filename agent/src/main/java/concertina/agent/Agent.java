package concertina.agent;

import concertina.agent.ServerLink.NumberedCommand;
import concertina.agent.Supervisor.Ending;
import concertina.model.AgentCommand;
import concertina.model.AgentHello;
import concertina.model.AgentId;
import concertina.model.AgentReport;
import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import concertina.model.Framework;
import concertina.model.JobId;
import concertina.model.JobSpec;
import concertina.model.Slot;
import concertina.model.SlotId;
import concertina.model.WorkerId;
import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One node's agent: obeys the server's commands and tells what became of them. It decides nothing. The thread that runs it
 * polls and executes; one thread sends reports in order; each worker has a virtual thread from its start to the last of its
 * files. Jobs and workers are guarded by the object's lock.
 */
final class Agent implements AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(Agent.class);
    private static final int TERM = 15;
    private static final int KILL = 9;
    private static final int PORTS_OFFERED = 16;
    private static final int REPORTS_AT_ONCE = 200;
    private static final int NOT_STARTED = -1;
    private static final Duration LAST_CHECKPOINT = Duration.ofSeconds(8);
    private static final Duration LAST_WRITES = Duration.ofSeconds(10);

    private final AgentId agent;
    private final List<Slot> slots;
    private final Path python;
    private final PythonEnvironments environments;
    private final WorkerEnvironment.Node node;
    private final ServerLink server;
    private final SharedCode sharedCode;
    private final WorkerStarter starter;
    private final ControlSocket control;
    private final ReportLedger ledger;
    private final Map<WorkerId, Worker> workers = new ConcurrentHashMap<>();
    private final Map<JobId, Job> jobs = new HashMap<>();
    /** Jobs whose folder is being removed, by how many threads; a job that was resumed meanwhile waits for them. */
    private final Map<JobId, Integer> forgetting = new HashMap<>();

    private final ScheduledExecutorService timer = Executors.newSingleThreadScheduledExecutor(
            Thread.ofPlatform().daemon().name("grace").factory());
    private volatile @Nullable String session;
    private volatile boolean closed;

    Agent(
            AgentId agent,
            Path python,
            PythonEnvironments environments,
            WorkerEnvironment.Node node,
            ServerLink server,
            SharedCode sharedCode,
            WorkerStarter starter,
            ControlSocket control,
            ReportLedger ledger) {
        this.agent = agent;
        this.slots = node.slots();
        this.python = python;
        this.environments = environments;
        this.node = node;
        this.server = server;
        this.sharedCode = sharedCode;
        this.starter = starter;
        this.control = control;
        this.ledger = ledger;
    }

    /** A worker from the command that starts it until its job is forgotten; its lock is the object itself. */
    private static final class Worker {
        private final WorkerId id;
        private boolean elastic;
        private boolean stopped;
        private boolean killed;
        private boolean ended;
        private @Nullable Thread preparing;
        private volatile List<Path> logs = List.of();
        private volatile Path errors = Path.of("stderr");
        private volatile @Nullable LauncherLog launcher;
        private WorkerStarter.@Nullable Started started;

        Worker(WorkerId id) {
            this.id = id;
        }
    }

    /** What workers of one job on this node share. */
    private record Job(JobFolder folder, FileShipper shipper, LogLimit limit, Set<WorkerId> alive) {}

    /** Serves until closed. */
    void run() {
        Thread.ofPlatform().daemon().name("reports").start(this::sendReports);
        Backoff backoff = new Backoff();
        try {
            while (!closed) {
                try {
                    serve(join(), backoff);
                } catch (ConcertinaException e) {
                    log.warn("the server refuses: {}", e.getMessage());
                } catch (IOException e) {
                    backoff.tell("the server cannot be reached", e);
                }
                backoff.pause();
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private String join() throws IOException, InterruptedException {
        String opened = UUID.randomUUID().toString();
        ReportLedger.Snapshot snapshot = ledger.snapshot();
        server.join(new AgentHello(agent, opened, node.host(), node.processors(), slots, snapshot.workers()));
        ledger.acknowledge(snapshot.covers());
        session = opened;
        synchronized (this) {
            notifyAll();
        }
        log.info(
                "joined with {} slots and {} known workers",
                slots.size(),
                snapshot.workers().size());
        return opened;
    }

    /** Polls and obeys until the server does not know the session any more. */
    private void serve(String joined, Backoff backoff) throws InterruptedException {
        long acknowledged = 0;
        while (!closed) {
            try {
                List<NumberedCommand> commands = server.poll(joined, acknowledged, FreePorts.find(PORTS_OFFERED));
                backoff.reset();
                for (NumberedCommand numbered : commands) {
                    if (numbered.sequence() > acknowledged) {
                        numbered.command().ifPresent(this::obey);
                        acknowledged = numbered.sequence();
                    }
                }
            } catch (ConcertinaException e) {
                if (e.code() == ErrorCode.CONFLICT) {
                    log.info("the server does not know this session, joining again");
                    return;
                }
                log.warn("the server refuses to be polled: {}", e.getMessage());
                backoff.pause();
            } catch (IOException e) {
                backoff.tell("the server cannot be polled", e);
                backoff.pause();
            }
        }
    }

    private void sendReports() {
        Backoff backoff = new Backoff();
        try {
            while (!closed) {
                List<ReportLedger.Entry> entries = ledger.oldest(REPORTS_AT_ONCE);
                String open = joinedOtherThan(null);
                if (closed) {
                    // Workers ended by this agent's own end are lost with it, not dead by themselves.
                    return;
                }
                try {
                    server.report(
                            open,
                            entries.stream().map(ReportLedger.Entry::report).toList());
                    ledger.acknowledge(entries.getLast().number());
                    backoff.reset();
                } catch (ConcertinaException e) {
                    if (e.code() == ErrorCode.CONFLICT) {
                        joinedOtherThan(open);
                    } else {
                        // One that the server will never take must not hold up those behind it.
                        log.warn("reports are refused: {}", e.getMessage());
                        sendOneByOne(open, entries, backoff);
                    }
                } catch (IOException e) {
                    log.debug("reports are sent later: {}", e.toString());
                    backoff.pause();
                }
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private void sendOneByOne(String open, List<ReportLedger.Entry> entries, Backoff backoff)
            throws InterruptedException {
        for (ReportLedger.Entry entry : entries) {
            try {
                server.report(open, List.of(entry.report()));
            } catch (ConcertinaException e) {
                if (e.code() == ErrorCode.CONFLICT) {
                    return;
                }
                log.warn(
                        "a report about {} is refused for good: {}",
                        entry.report().worker(),
                        e.getMessage());
            } catch (IOException e) {
                log.debug("reports are sent later: {}", e.toString());
                backoff.pause();
                return;
            }
            ledger.acknowledge(entry.number());
        }
    }

    /** The session that is open, once it is another one than this. */
    private synchronized String joinedOtherThan(@Nullable String old) throws InterruptedException {
        while (true) {
            String open = session;
            if (open != null && !open.equals(old)) {
                return open;
            }
            wait();
        }
    }

    /** Carries out one command; one that was carried out before has no effect. */
    void obey(AgentCommand command) {
        switch (command) {
            case AgentCommand.Start start -> {
                if (ledger.know(start.worker())) {
                    Worker worker = new Worker(start.worker());
                    workers.put(start.worker(), worker);
                    Thread.ofVirtual().name("worker-" + start.worker()).start(() -> live(worker, start));
                }
            }
            case AgentCommand.Stop stop -> stop(stop.worker(), Duration.ofSeconds(Math.max(0, stop.graceSeconds())));
            case AgentCommand.Send send -> control.send(send.worker(), send.message());
            case AgentCommand.Forget forget -> forget(forget.job());
        }
    }

    private void stop(WorkerId id, Duration grace) {
        Worker worker = workers.get(id);
        if (worker == null) {
            return;
        }
        synchronized (worker) {
            worker.stopped = true;
            if (worker.preparing != null) {
                worker.preparing.interrupt();
            }
            signal(worker, TERM);
        }
        var unused = timer.schedule(
                () -> {
                    synchronized (worker) {
                        worker.killed = true;
                        signal(worker, KILL);
                    }
                },
                grace.toMillis(),
                TimeUnit.MILLISECONDS);
    }

    private static void signal(Worker worker, int number) {
        if (worker.started != null && !worker.ended) {
            worker.started.supervisor().signal(worker.id, number);
        }
    }

    /** A worker's whole life, on a thread of its own. */
    private void live(Worker worker, AgentCommand.Start start) {
        WorkerId id = start.worker();
        Job job = null;
        try {
            try {
                job = job(start);
                WorkerStarter.Started started = launch(worker, start, job);
                ledger.add(new AgentReport.Started(id, started.running().processId()));
                Ending ending = started.running().ending().get();
                String last = ending.exitCode() > 0 ? LastLine.of(worker.errors) : "";
                ended(worker, job, ending.exitCode(), ending.signal(), last);
            } catch (ConcertinaException e) {
                ended(worker, job, NOT_STARTED, 0, e.getMessage());
            } catch (StoppedEarly e) {
                ended(worker, job, NOT_STARTED, TERM, "stopped before it was started");
            } catch (IOException | ExecutionException e) {
                ended(worker, job, NOT_STARTED, 0, "the worker could not be started: " + e.getMessage());
            }
            if (job != null) {
                job.limit().release(worker.logs);
                job.shipper().drain();
            }
            ledger.add(new AgentReport.Shipped(id));
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        } catch (RuntimeException e) {
            log.error("worker {}: unexpected", id, e);
            ledger.add(new AgentReport.Exited(id, NOT_STARTED, 0, "the agent failed: " + e));
            ledger.add(new AgentReport.Shipped(id));
        }
    }

    private static final class StoppedEarly extends Exception {
        private static final long serialVersionUID = 1L;
    }

    private void ended(Worker worker, @Nullable Job job, int exitCode, int signal, @Nullable String message)
            throws InterruptedException {
        synchronized (worker) {
            worker.ended = true;
        }
        control.finish(worker.id);
        String reason = message == null ? "" : message;
        LauncherLog launcher = worker.launcher;
        if (launcher != null) {
            launcher.line(exitLine(exitCode, signal, reason));
        }
        if (job != null) {
            synchronized (this) {
                job.alive().remove(worker.id);
                notifyAll();
            }
        }
        ledger.add(new AgentReport.Exited(worker.id, exitCode, signal, reason));
        log.info("worker {}: {}", worker.id, exitLine(exitCode, signal, reason));
    }

    private static String exitLine(int exitCode, int signal, String reason) {
        if (exitCode == NOT_STARTED && !reason.isEmpty()) {
            return "The worker did not run: " + reason;
        }
        return signal == 0 ? "The worker exited with code " + exitCode : "The worker was ended by signal " + signal;
    }

    private synchronized Job job(AgentCommand.Start start) throws InterruptedException {
        JobId id = start.worker().job();
        while (forgetting.containsKey(id)) {
            wait();
        }
        Job job = jobs.get(id);
        if (job == null) {
            JobFolder folder = new JobFolder(node.results(), start.user(), id, server, sharedCode);
            LogLimit limit = new LogLimit();
            job = new Job(folder, new FileShipper(id, folder.folder(), server, limit), limit, new HashSet<>());
            jobs.put(id, job);
        }
        if (job.alive().isEmpty() && start.worker().ordinal() > 1) {
            job.folder().missCheckpoints();
        }
        job.alive().add(start.worker());
        return job;
    }

    private WorkerStarter.Started launch(Worker worker, AgentCommand.Start start, Job job)
            throws IOException, InterruptedException, StoppedEarly {
        JobSpec spec = start.spec();
        checkSlots(start);
        prepare(worker, start, job);
        Path result = job.folder().folder();
        Path logFolder = JobFolder.below(result.resolve("log"), "logFolder", logName(start.logFolder()));
        Files.createDirectories(logFolder);
        LauncherLog launcher = new LauncherLog(logFolder);
        worker.launcher = launcher;
        job.shipper().follow();

        Path working = job.folder().workingFolder(spec);
        Optional<Path> foreign = environments.find(spec.condaEnvironment());
        Path interpreter = foreign.orElse(python);
        Program program = program(spec, job.folder(), interpreter, foreign.isPresent());
        Map<String, String> environment = WorkerEnvironment.of(
                node,
                start,
                new WorkerEnvironment.Places(result, logFolder, working),
                interpreter,
                control.expect(start.worker()));
        describe(launcher, start, interpreter, foreign.isPresent(), environment, program, working);
        Path stdout = logFolder.resolve(spec.framework().elastic() ? "output" : "stdout");
        Launch launch = new Launch(
                start.worker(),
                program,
                working,
                environment,
                stdout,
                logFolder.resolve("stderr"),
                threads(environment, start.slots().size()));
        synchronized (worker) {
            if (worker.stopped) {
                throw new StoppedEarly();
            }
        }
        worker.errors = logFolder.resolve("stderr");
        worker.logs =
                Stream.of("output", "stdout", "stderr").map(logFolder::resolve).toList();
        job.limit().watch(worker.logs, LogLimit.Kept.from(start.environment()));
        WorkerStarter.Started started = starter.start(launch);
        synchronized (worker) {
            worker.started = started;
            worker.elastic = spec.framework().elastic();
            if (worker.stopped) {
                signal(worker, worker.killed ? KILL : TERM);
            }
        }
        launcher.line("The worker runs as process " + started.running().processId()
                + (started.forked() ? ", forked from the warm Python" : ""));
        return started;
    }

    /** Readies the folder; a stop that arrives meanwhile breaks it off. */
    private static void prepare(Worker worker, AgentCommand.Start start, Job job) throws IOException, StoppedEarly {
        synchronized (worker) {
            if (worker.stopped) {
                throw new StoppedEarly();
            }
            worker.preparing = Thread.currentThread();
        }
        try {
            job.folder().prepare(start.spec(), start.hasCode(), job.shipper()::takeAsShipped);
        } catch (InterruptedException e) {
            throw new StoppedEarly();
        } finally {
            synchronized (worker) {
                worker.preparing = null;
                // Cleared on purpose: the rest of this thread's work is to tell of the end.
                var unused = Thread.interrupted();
            }
        }
    }

    private static String logName(String logFolder) {
        return logFolder.startsWith("log/") ? logFolder.substring("log/".length()) : "/";
    }

    private void checkSlots(AgentCommand.Start start) {
        Set<SlotId> mine = new HashSet<>();
        slots.forEach(slot -> mine.add(slot.id()));
        for (SlotId slot : start.slots()) {
            if (!mine.contains(slot)) {
                throw ConcertinaException.invalid("slot", slot.value(), "a slot of agent " + agent);
            }
        }
    }

    private int threads(Map<String, String> environment, int held) {
        String asked = environment.getOrDefault("OMP_NUM_THREADS", "");
        return asked.matches("[1-9][0-9]{0,3}") ? Integer.parseInt(asked) : node.threads(held);
    }

    private static Program program(JobSpec spec, JobFolder folder, Path interpreter, boolean foreign) {
        if (!spec.userCommand().isEmpty()) {
            return new Program.Command(spec.userCommand());
        }
        boolean forkable = !foreign
                && spec.framework() != Framework.TENSORFLOW
                && spec.framework() != Framework.DIST_TENSORFLOW
                && !WorkerEnvironment.needsNewInterpreter(spec);
        Path script = folder.script(spec);
        Path working = folder.workingFolder(spec);
        String name = script.startsWith(working) ? working.relativize(script).toString() : script.toString();
        return new Program.Script(interpreter, script, name, spec.scriptArguments(), forkable);
    }

    private static void describe(
            LauncherLog launcher,
            AgentCommand.Start start,
            Path interpreter,
            boolean foreign,
            Map<String, String> environment,
            Program program,
            Path working) {
        if (environment.getOrDefault("DLI_DATA_FS", "").isEmpty()) {
            launcher.line("ERROR DLI_DATA_FS is not defined");
        }
        launcher.environment(environment);
        String asked = start.spec().condaEnvironment();
        if (foreign) {
            launcher.line("Succeed to activate conda environment " + asked);
        } else if (!asked.isEmpty()) {
            launcher.line("There is no Python environment " + asked + " on this node, the node's own is used");
        }
        Path bin = interpreter.toAbsolutePath().getParent();
        Path prefix = bin == null ? null : bin.getParent();
        launcher.line("Conda variables: conda_home=" + (prefix == null ? "" : prefix) + ", conda_env=" + asked
                + ", python=" + interpreter);
        launcher.line("Working folder: " + working);
        launcher.line("Command: " + String.join(" ", program.commandLine()));
    }

    private void forget(JobId id) {
        Job job;
        synchronized (this) {
            job = jobs.remove(id);
            forgetting.merge(id, 1, Integer::sum);
        }
        workers.values().forEach(worker -> {
            if (worker.id.job().equals(id)) {
                stop(worker.id, Duration.ZERO);
            }
        });
        workers.keySet().removeIf(worker -> worker.job().equals(id));
        ledger.forget(id);
        if (job != null) {
            job.folder().forget();
            job.shipper().end();
            job.limit().end();
        }
        Thread.ofVirtual().name("forget-" + id).start(() -> {
            try {
                awaitEnd(job);
                deleteFolders(id);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            } finally {
                synchronized (this) {
                    forgetting.computeIfPresent(id, (key, count) -> count > 1 ? count - 1 : null);
                    notifyAll();
                }
            }
        });
    }

    private synchronized void awaitEnd(@Nullable Job job) throws InterruptedException {
        long deadline = System.nanoTime() + LAST_WRITES.toNanos();
        while (job != null && !job.alive().isEmpty() && System.nanoTime() < deadline) {
            wait(100);
        }
    }

    /** Also finds what an earlier life of this agent left of the job. */
    private void deleteFolders(JobId id) {
        if (!Files.isDirectory(node.results())) {
            return;
        }
        try (DirectoryStream<Path> users = Files.newDirectoryStream(node.results())) {
            for (Path user : users) {
                JobFolder.delete(JobFolder.inside(user.resolve("batchworkdir"), "job", id.value()));
            }
        } catch (IOException | ConcertinaException e) {
            log.warn("files of job {} could not be removed: {}", id, e.toString());
        }
    }

    /** Ends all workers and stops serving. */
    @Override
    public void close() {
        closed = true;
        letElasticWorkersEnd();
        starter.close();
        try {
            control.close();
        } catch (IOException e) {
            log.debug("the control socket could not be closed: {}", e.toString());
        }
        timer.shutdownNow();
    }

    /** Workers of elastic jobs write a checkpoint when they are asked to end; the others, and those that take too long, end with the agent. */
    private void letElasticWorkersEnd() {
        List<CompletableFuture<Ending>> endings = new ArrayList<>();
        for (Worker worker : workers.values()) {
            synchronized (worker) {
                WorkerStarter.Started started = worker.started;
                if (worker.elastic && started != null && !worker.ended) {
                    worker.stopped = true;
                    signal(worker, TERM);
                    endings.add(started.running().ending());
                }
            }
        }
        try {
            CompletableFuture.allOf(endings.toArray(CompletableFuture[]::new))
                    .get(LAST_CHECKPOINT.toMillis(), TimeUnit.MILLISECONDS);
        } catch (TimeoutException e) {
            log.warn(
                    "not all workers of elastic jobs ended within {} s of being asked to", LAST_CHECKPOINT.toSeconds());
        } catch (ExecutionException e) {
            log.warn("a worker's end cannot be waited for: {}", e.toString());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /** Pauses between attempts: none after the first failure, then from a fifth of a second to two seconds. */
    private static final class Backoff {
        private int failures;

        void reset() {
            failures = 0;
        }

        /** Logs the first two failures in a row; those that follow say nothing new. */
        void tell(String what, IOException e) {
            if (failures < 2) {
                log.warn("{}, tried again: {}", what, e.toString());
            }
        }

        void pause() throws InterruptedException {
            failures++;
            if (failures > 1) {
                Thread.sleep(Math.min(2000, 100L << Math.min(failures - 1, 10)));
            }
        }
    }
}
