package concertina.train;

import concertina.model.AgentCommand;
import concertina.model.AgentReport;
import concertina.model.JobState;
import concertina.model.WorkerId;
import concertina.train.JobLife.Break;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * The rules of docs/protocol.md as decisions. Pure but for noting answers in the {@link JobPulse} it is given; no I/O, no clock.
 *
 * <p>Goals: growth, shrink and death of workers, and death of the server at any moment, without a repeated step. Constraints: a
 * number is durable before a worker hears it; a switch is committed durably before a worker may vote for it. Algorithm: what a report
 * says becomes an event or an answer; {@link #next} then looks at where the job stands and says the next thing to do, until there is
 * none. Since it looks at the state, not at what has just changed, a restarted server goes on from wherever the last one stopped.
 */
final class JobRules {
    private final TrainOptions options;
    private final Watch watch;
    private final Stragglers stragglers;

    JobRules(TrainOptions options) {
        this.options = options;
        watch = new Watch(options.patience());
        stragglers = new Stragglers(options.slowness());
    }

    /** What a report about a known worker changes. A report that was heard before changes nothing. */
    Decision heard(JobLife job, JobPulse pulse, Worker worker, AgentReport report, Instant now) {
        if (job.ended != null) {
            return Decision.NONE;
        }
        return switch (report) {
            case AgentReport.Started started ->
                worker.living() && worker.startedAt == null
                        ? Decision.record(new JobEvent.WorkerStarted(worker.ordinal(), started.processId()))
                        : Decision.NONE;
            case AgentReport.Exited exited -> worker.living() ? exited(job, pulse, worker, exited) : Decision.NONE;
            case AgentReport.Shipped ignored ->
                worker.living() || worker.shipped
                        ? Decision.NONE
                        : Decision.record(new JobEvent.WorkerShipped(worker.ordinal(), true));
            case AgentReport.Message message ->
                worker.living()
                        ? WorkerMessage.read(message.message())
                                .map(said -> said(job, pulse, worker, said, now))
                                .orElse(Decision.NONE)
                        : Decision.NONE;
        };
    }

    /**
     * The worker vanished with its agent.
     *
     * @param counted whether it counts as a death; one lost agent is one death, however many workers it had
     */
    Decision lost(JobLife job, JobPulse pulse, Worker worker, boolean counted) {
        List<JobEvent> events = new ArrayList<>();
        if (worker.living()) {
            boolean matters = job.wanted(worker) && !pulse.stopSent.contains(worker.ordinal());
            events.add(new JobEvent.WorkerEnded(
                    worker.ordinal(),
                    -1,
                    0,
                    true,
                    "",
                    counted && matters && job.elastic() && !job.inGeneration(worker),
                    pulse.step));
            events.add(new JobEvent.WorkerShipped(worker.ordinal(), false));
            if (matters && !job.elastic()) {
                events.add(new JobEvent.Ending(
                        JobState.ERROR, "worker " + worker.id + " was lost with agent " + worker.agent));
            }
        } else if (!worker.shipped) {
            events.add(new JobEvent.WorkerShipped(worker.ordinal(), false));
        }
        return new Decision(events, List.of());
    }

    private Decision exited(JobLife job, JobPulse pulse, Worker worker, AgentReport.Exited exited) {
        boolean matters = job.wanted(worker) && !pulse.stopSent.contains(worker.ordinal());
        boolean signalled = exited.signal() != 0;
        boolean counted = matters && job.elastic() && signalled && job.done == null && !job.inGeneration(worker);
        List<JobEvent> events = new ArrayList<>();
        events.add(new JobEvent.WorkerEnded(
                worker.ordinal(),
                exited.exitCode(),
                exited.signal(),
                false,
                WorkerMessage.oneLine(exited.message()),
                counted,
                pulse.step));
        boolean wrong = signalled ? !job.elastic() : exited.exitCode() != 0;
        if (matters && wrong) {
            String how = exited.exitCode() < 0 && !signalled
                    ? "could not be started on " + worker.agent
                            + (exited.message().isBlank() ? "" : ": " + WorkerMessage.oneLine(exited.message()))
                    : signalled
                            ? "was ended by signal " + exited.signal()
                            : "ended with exit code " + exited.exitCode();
            String error = pulse.errors.getOrDefault(worker.ordinal(), "");
            String last = exited.exitCode() > 0 && error.isEmpty() ? WorkerMessage.oneLine(exited.message()) : "";
            events.add(new JobEvent.Ending(
                    JobState.ERROR,
                    "worker " + worker.id + " " + how + (error.isEmpty() ? "" : ": " + error)
                            + (last.isEmpty() ? "" : "; its standard error ends with: " + last)));
        }
        return new Decision(events, List.of());
    }

    private Decision said(JobLife job, JobPulse pulse, Worker worker, WorkerMessage said, Instant now) {
        return switch (said) {
            case WorkerMessage.Prepared prepared -> prepared(job, worker, prepared);
            case WorkerMessage.Formed formed -> {
                if (job.pending != null
                        && job.pending.number() == formed.generation()
                        && job.pending.members().contains(worker.ordinal())) {
                    pulse.formed.add(worker.ordinal());
                }
                yield Decision.NONE;
            }
            case WorkerMessage.Unformed unformed ->
                job.pending != null && job.pending.number() == unformed.generation() && job.done == null
                        ? unformed(job, pulse, worker, unformed.error())
                        : Decision.NONE;
            case WorkerMessage.Switched switched -> {
                Decision decision = activation(job, switched.generation(), switched.step());
                if (!decision.nothing() || job.activated == switched.generation()) {
                    pulse.step = Math.max(pulse.step, switched.step());
                    pulse.paused(switched.generation(), worker.ordinal(), switched.pauseMillis());
                }
                yield decision;
            }
            case WorkerMessage.Broken broken -> broken(job, pulse, worker, broken);
            case WorkerMessage.Progress progress -> {
                if (progress.generation() == job.activated && progress.step() >= pulse.step) {
                    pulse.epoch = progress.epoch();
                    pulse.step = progress.step();
                    pulse.steps = progress.steps();
                    pulse.loss = progress.loss();
                    pulse.accuracy = progress.accuracy();
                    if (progress.wanted() != 0 && progress.wanted() != job.wanted) {
                        yield Decision.record(new JobEvent.WorkersWanted(progress.wanted()));
                    }
                }
                yield Decision.NONE;
            }
            case WorkerMessage.Beat beat -> {
                pulse.beats.put(worker.ordinal(), new JobPulse.Heartbeat(beat, now));
                stragglers.heard(job, pulse, now);
                yield Decision.NONE;
            }
            case WorkerMessage.Left left -> {
                List<JobEvent> events = new ArrayList<>(
                        activation(job, left.generation(), left.step()).events());
                if (worker.leftAt == null) {
                    events.add(new JobEvent.WorkerLeft(worker.ordinal()));
                }
                yield new Decision(events, List.of());
            }
            case WorkerMessage.Done done ->
                job.done == null && job.ending == null
                        ? Decision.record(
                                new JobEvent.Progressed(
                                        pulse.epoch,
                                        Math.max(done.step(), pulse.step),
                                        Math.max(pulse.steps, job.steps),
                                        pulse.loss,
                                        pulse.accuracy),
                                new JobEvent.WorkerDone(
                                        worker.ordinal(),
                                        done.step(),
                                        done.testLoss(),
                                        done.testAccuracy(),
                                        done.weightsSha256(),
                                        done.model()))
                        : Decision.NONE;
            case WorkerMessage.Short shortage ->
                job.elastic() && job.wanted(worker) && worker.hung.isEmpty()
                        ? Decision.record(new JobEvent.WorkerHung(
                                worker.ordinal(),
                                true,
                                "on " + worker.agent + " had no memory to take part: " + shortage.error()))
                        : Decision.NONE;
            case WorkerMessage.Failed failed -> {
                pulse.errors.put(worker.ordinal(), failed.error());
                yield job.wanted(worker)
                        ? Decision.record(new JobEvent.Ending(
                                JobState.ERROR,
                                (failed.error().isEmpty() ? "the script failed" : failed.error()) + " (worker "
                                        + worker.id + ")"))
                        : Decision.NONE;
            }
        };
    }

    private static Decision prepared(JobLife job, Worker worker, WorkerMessage.Prepared prepared) {
        if (worker.prepared() || !job.elastic()) {
            return Decision.NONE;
        }
        int logicalWorkers = Math.clamp(prepared.logicalWorkers(), 1, job.spec.workers());
        long steps = Math.max(0, prepared.stepsPerEpoch()) * Math.max(0, prepared.epochs());
        Optional<Worker> other = job.workers.values().stream()
                .filter(Worker::prepared)
                .filter(known -> steps != job.steps)
                .findFirst();
        if (other.isPresent() && job.ending == null) {
            return Decision.record(new JobEvent.Ending(
                    JobState.ERROR,
                    "worker " + worker.id + " wants to train " + steps + " steps (" + prepared.epochs() + " epochs of "
                            + prepared.stepsPerEpoch() + "), worker " + other.get().id + " " + job.steps
                            + ": the script must give every worker the same data set and the same arguments of train"));
        }
        return Decision.record(
                new JobEvent.WorkerPrepared(worker.ordinal(), prepared.address(), logicalWorkers, steps));
    }

    /** A worker says that it trains in that generation, or left because of it: so it is the running one. */
    private static Decision activation(JobLife job, int generation, long step) {
        return job.pending != null && job.pending.number() == generation
                ? Decision.record(new JobEvent.GenerationActivated(generation, step))
                : Decision.NONE;
    }

    private Decision unformed(JobLife job, JobPulse pulse, Worker worker, String error) {
        Generation pending = Objects.requireNonNull(job.pending);
        String reason = "worker " + worker.id + " could not connect to the others"
                + (error.isBlank() ? "" : ": " + WorkerMessage.oneLine(error));
        return pending.immediate() || pending.committed() ? breakUp(job, pulse, reason) : abandon(job, pending, reason);
    }

    private Decision broken(JobLife job, JobPulse pulse, Worker worker, WorkerMessage.Broken broken) {
        if (job.breaking != null) {
            if (broken.generation() >= job.breaking.upTo()
                    && job.breaking.members().contains(worker.ordinal())) {
                pulse.stepsAtBreak.put(worker.ordinal(), broken.step());
                pulse.step = Math.max(pulse.step, broken.step());
            }
            return Decision.NONE;
        }
        Generation pending = job.pending;
        boolean running = job.current != null && job.current.number() == broken.generation();
        boolean forming = pending != null && pending.number() == broken.generation();
        if ((!running && !forming) || job.done != null || job.ending != null) {
            return Decision.NONE;
        }
        pulse.step = Math.max(pulse.step, broken.step());
        String reason = "worker " + worker.id + " stopped in generation " + broken.generation()
                + (broken.error().isBlank() ? "" : ": " + WorkerMessage.oneLine(broken.error()));
        if (!running && pending != null && !pending.immediate() && !pending.committed()) {
            return abandon(job, pending, reason);
        }
        return breakUp(job, pulse, reason);
    }

    /** The next thing to do for a job, looking only at where it stands; nothing when it has to wait. */
    Decision next(JobLife job, JobPulse pulse, Instant now) {
        if (job.ended != null) {
            return Decision.NONE;
        }
        List<AgentCommand> stops = stops(job, pulse, now);
        if (!stops.isEmpty()) {
            return Decision.tell(stops);
        }
        if (job.ending != null) {
            return end(job, pulse, now);
        }
        Optional<Worker> untrained = endedUntrained(job, now);
        if (untrained.isPresent()) {
            return Decision.record(new JobEvent.Ending(
                    JobState.ERROR,
                    "worker " + untrained.get().id
                            + " ended with exit code 0 without training: the script of an elastic job calls train of a FabricModel"
                            + " or loops over concertina.elastic; one that does not runs as PyTorch, distPyTorch, tensorflow or"
                            + " disttensorflow"));
        }
        Optional<Worker> early = endedInTheMiddle(job, now);
        if (early.isPresent()) {
            return Decision.record(new JobEvent.Ending(
                    JobState.ERROR,
                    "worker " + early.get().id + " ended with exit code 0 in the middle of training, after step "
                            + Math.max(0, pulse.step)));
        }
        if (job.completed()) {
            return complete(job, pulse);
        }
        int timeout = job.spec.pendingTimeoutSeconds();
        if (timeout > 0 && job.workers.isEmpty() && !now.isBefore(job.submittedAt.plus(Duration.ofSeconds(timeout)))) {
            return Decision.record(new JobEvent.Ending(
                    JobState.ERROR, "waited longer than the pending timeout of " + timeout + " s for a first slot"));
        }
        if (!job.elastic()) {
            return gang(job, now);
        }
        if (job.deaths >= options.deaths()) {
            return Decision.record(new JobEvent.Ending(
                    JobState.ERROR,
                    options.deaths() + " deaths of workers without a completed step in between; the last: "
                            + job.lastDeath));
        }
        if (job.done != null) {
            return Decision.NONE;
        }
        if (job.lateLoads >= options.patience().loads() && job.living().stream().noneMatch(Worker::prepared)) {
            return Decision.record(new JobEvent.Ending(
                    JobState.ERROR,
                    job.lateLoads
                            + " workers in a row did not come to train, and no other is there to go on; the last: "
                            + job.lastLateLoad));
        }
        List<JobEvent> hung = watch.hung(job, pulse, now);
        if (!hung.isEmpty()) {
            return new Decision(hung, List.of());
        }
        if (job.breaking != null) {
            return afterBreak(job, pulse, job.breaking, now);
        }
        Optional<Worker> dead = fallen(job);
        if (dead.isPresent()) {
            return breakUp(
                    job, pulse, "worker " + dead.get().id + " " + dead.get().ending());
        }
        Optional<String> deadlock = watch.deadlock(job, pulse);
        if (deadlock.isPresent()) {
            return breakUp(job, pulse, deadlock.get());
        }
        if (job.pending != null) {
            return pending(job, pulse, job.pending, now);
        }
        if (job.current != null) {
            return running(job, pulse, job.current, now);
        }
        return first(job, pulse, now);
    }

    /**
     * A worker of an elastic job whose script ended without an error before anybody had trained. One that reached {@code train} may have had
     * nothing left to do there; that news takes a while from another agent.
     */
    private Optional<Worker> endedUntrained(JobLife job, Instant now) {
        if (!job.elastic() || job.trained() || job.done != null) {
            return Optional.empty();
        }
        return job.workers.values().stream()
                .filter(Worker::completed)
                .filter(worker -> !worker.prepared()
                        || !job.anyLiving()
                        || over(Objects.requireNonNull(worker.endedAt), options.leftoverGrace(), now))
                .findFirst();
    }

    /**
     * A worker of an elastic job that ended itself without an error though the final files were never written. Others may hear of the
     * end before the server does, so it waits a while for the news; there is none to come when the others have trained on without it.
     * The news may have been lost with an agent: then who ended beside one of that agent's workers is believed.
     */
    private Optional<Worker> endedInTheMiddle(JobLife job, Instant now) {
        if (!job.elastic() || !job.trained() || job.done != null) {
            return Optional.empty();
        }
        return job.workers.values().stream()
                .filter(worker -> worker.prepared() && worker.completed())
                .filter(worker -> worker.companions.stream().noneMatch(other -> job.worker(other).lost))
                .filter(worker -> !job.lastMembers.contains(worker.ordinal())
                        || job.completed()
                        || over(Objects.requireNonNull(worker.endedAt), options.leftoverGrace(), now))
                .findFirst();
    }

    /** What is left of a gang when some of it has ended in good order long ago. */
    private Decision gang(JobLife job, Instant now) {
        Duration grace = options.patience().gang();
        List<Worker> running = job.living();
        Optional<Worker> first = job.workers.values().stream()
                .filter(Worker::completed)
                .min(Comparator.comparing(worker -> Objects.requireNonNull(worker.endedAt)));
        if (grace.isZero()
                || running.isEmpty()
                || first.isEmpty()
                || !over(Objects.requireNonNull(first.get().endedAt), grace, now)) {
            return Decision.NONE;
        }
        Worker rankZero = job.worker(job.workers.firstKey());
        return Decision.record(new JobEvent.Ending(
                rankZero.completed() ? JobState.FINISHED : JobState.ERROR,
                "worker " + first.get().id + " ended with exit code 0; "
                        + running.stream().map(worker -> worker.id.toString()).collect(Collectors.joining(", "))
                        + " still ran " + grace.toSeconds() + " s later and "
                        + (running.size() == 1 ? "was" : "were") + " stopped"));
    }

    /** Workers that are to go and were not told yet in this session of their agent. */
    private List<AgentCommand> stops(JobLife job, JobPulse pulse, Instant now) {
        List<AgentCommand> stops = new ArrayList<>();
        for (Worker worker : job.workers.values()) {
            if (worker.living() && shouldStop(job, pulse, worker, now) && pulse.stopSent.add(worker.ordinal())) {
                stops.add(worker.hung.isEmpty() ? stop(worker) : new AgentCommand.Stop(worker.id, 0));
            }
        }
        return stops;
    }

    AgentCommand stop(Worker worker) {
        return new AgentCommand.Stop(worker.id, (int) options.stopGrace().toSeconds());
    }

    private boolean shouldStop(JobLife job, JobPulse pulse, Worker worker, Instant now) {
        if (!worker.hung.isEmpty()) {
            return true;
        }
        if (job.ending != null) {
            return !pulse.errors.containsKey(worker.ordinal())
                    || over(Objects.requireNonNull(job.endingAt), options.stopGrace(), now);
        }
        if (worker.leftAt != null) {
            return over(worker.leftAt, options.stopGrace(), now);
        }
        boolean member = job.inGeneration(worker);
        if (worker.outSince != null && !member) {
            return over(worker.outSince, options.stopGrace(), now);
        }
        if (worker.leaving && !member) {
            return true;
        }
        if (job.done == null || job.done.ordinal() == worker.ordinal()) {
            return false;
        }
        Instant writerEndedAt = job.worker(job.done.ordinal()).endedAt;
        return !job.lastMembers.contains(worker.ordinal())
                || (writerEndedAt != null && over(writerEndedAt, options.leftoverGrace(), now));
    }

    private static boolean over(Instant since, Duration limit, Instant now) {
        return !now.isBefore(since.plus(limit));
    }

    private Decision end(JobLife job, JobPulse pulse, Instant now) {
        JobEvent.Ending ending = Objects.requireNonNull(job.ending);
        if (job.anyLiving()) {
            return Decision.NONE;
        }
        Instant since = Objects.requireNonNull(job.endingAt);
        for (Worker worker : job.workers.values()) {
            Instant gone = Objects.requireNonNull(worker.endedAt);
            if (!worker.shipped && !over(gone.isAfter(since) ? gone : since, options.shippingGrace(), now)) {
                return Decision.NONE;
            }
        }
        return finish(job, pulse, ending.state(), ending.reason());
    }

    private Decision complete(JobLife job, JobPulse pulse) {
        for (Worker worker : job.workers.values()) {
            if (!worker.shipped) {
                return Decision.NONE;
            }
        }
        for (Worker worker : job.workers.values()) {
            if (worker.filesLost && job.bearsResult(worker)) {
                return finish(
                        job,
                        pulse,
                        JobState.ERROR,
                        "agent " + worker.agent + " was lost before all files of worker " + worker.id + " had arrived");
            }
        }
        return finish(
                job,
                pulse,
                JobState.FINISHED,
                job.done == null ? "every worker ended with exit code 0" : "trained " + job.done.step() + " steps");
    }

    private static Decision finish(JobLife job, JobPulse pulse, JobState state, String reason) {
        return new Decision(
                List.of(
                        new JobEvent.Progressed(
                                pulse.epoch,
                                Math.max(0, pulse.step),
                                Math.max(pulse.steps, job.steps),
                                pulse.loss,
                                pulse.accuracy),
                        new JobEvent.Ended(state, reason)),
                List.of(new AgentCommand.Forget(job.id)));
    }

    /** A worker whose death stops training: one of the running generation, or of one that workers may have switched to. */
    private static Optional<Worker> fallen(JobLife job) {
        Stream<Integer> running = job.current == null ? Stream.of() : job.current.members().stream();
        Optional<Worker> dead = running.map(job::worker)
                .filter(worker -> worker.died() && worker.leftAt == null)
                .findFirst();
        if (dead.isEmpty() && job.pending != null && (job.pending.immediate() || job.pending.committed())) {
            dead = job.pending.members().stream()
                    .map(job::worker)
                    .filter(worker -> !worker.living())
                    .findFirst();
        }
        return dead;
    }

    private Decision breakUp(JobLife job, JobPulse pulse, String reason) {
        String why = job.workers.values().stream()
                .filter(worker -> !worker.hung.isEmpty() && job.inGeneration(worker))
                .map(worker -> "worker " + worker.id + " " + worker.hung)
                .findFirst()
                .orElse(reason);
        Set<Integer> members = new LinkedHashSet<>();
        List<AgentCommand> commands = new ArrayList<>();
        for (Worker worker : job.living()) {
            if (job.inGeneration(worker) && worker.leftAt == null) {
                members.add(worker.ordinal());
                commands.add(new AgentCommand.Send(worker.id, numbered("break", job.highest)));
            }
        }
        return new Decision(
                List.of(new JobEvent.GenerationsBroken(job.highest, List.copyOf(members), why, pulse.step)), commands);
    }

    private static Decision abandon(JobLife job, Generation pending, String reason) {
        List<AgentCommand> commands = new ArrayList<>();
        for (Worker worker : job.living()) {
            if (job.inGeneration(worker)) {
                commands.add(new AgentCommand.Send(worker.id, numbered("abandon", pending.number())));
            }
        }
        return new Decision(List.of(new JobEvent.GenerationAbandoned(pending.number(), reason)), commands);
    }

    private Decision afterBreak(JobLife job, JobPulse pulse, Break broken, Instant now) {
        List<AgentCommand> kills = new ArrayList<>();
        boolean waiting = false;
        Instant asked = broken.at().isAfter(pulse.since) ? broken.at() : pulse.since;
        List<Integer> survivors = new ArrayList<>();
        for (int ordinal : broken.members()) {
            Worker worker = job.worker(ordinal);
            if (!worker.living() || worker.leftAt != null) {
                continue;
            }
            survivors.add(ordinal);
            if (!pulse.stepsAtBreak.containsKey(ordinal)) {
                waiting = true;
                if ((over(asked, options.answering(), now) || watch.silent(job, pulse, worker, asked, now))
                        && pulse.stopSent.add(ordinal)) {
                    kills.add(new AgentCommand.Stop(worker.id, 0));
                }
            }
        }
        if (waiting) {
            return Decision.tell(kills);
        }
        if (survivors.isEmpty()) {
            return Decision.record(new JobEvent.GenerationsDissolved(broken.upTo()));
        }
        Set<Integer> members = new LinkedHashSet<>(survivors);
        for (Worker worker : job.living()) {
            if (worker.prepared() && !worker.leaving && worker.leftAt == null) {
                members.add(worker.ordinal());
            }
        }
        List<Integer> ranked = List.copyOf(members);
        long most = ranked.stream()
                .mapToLong(ordinal -> stepOf(pulse, ordinal))
                .max()
                .orElse(-1);
        int source = IntStream.range(0, ranked.size())
                .filter(rank -> stepOf(pulse, ranked.get(rank)) == most)
                .findFirst()
                .orElse(0);
        List<Integer> receivers = IntStream.range(0, ranked.size())
                .filter(rank -> most < 0 ? rank != 0 : stepOf(pulse, ranked.get(rank)) != most)
                .boxed()
                .toList();
        return propose(job, ranked, source, receivers, true, most, broken.reason());
    }

    private static long stepOf(JobPulse pulse, int ordinal) {
        return pulse.stepsAtBreak.getOrDefault(ordinal, -1L);
    }

    private Decision pending(JobLife job, JobPulse pulse, Generation pending, Instant now) {
        boolean formed = pulse.formed.containsAll(pending.members());
        Instant asked = pending.at().isAfter(pulse.since) ? pending.at() : pulse.since;
        if (pending.immediate()) {
            return !formed && over(asked, options.forming(), now)
                    ? breakUp(
                            job,
                            pulse,
                            "generation " + pending.number() + " could not form in "
                                    + options.forming().toSeconds() + " s")
                    : Decision.NONE;
        }
        if (pending.committed()) {
            return Decision.NONE;
        }
        Optional<Worker> dead = pending.members().stream()
                .map(job::worker)
                .filter(worker -> !worker.living())
                .findFirst();
        if (dead.isPresent()) {
            return abandon(
                    job, pending, "worker " + dead.get().id + " " + dead.get().ending());
        }
        if (formed) {
            List<AgentCommand> commands = new ArrayList<>();
            for (Worker worker : job.living()) {
                if (job.inGeneration(worker)) {
                    commands.add(new AgentCommand.Send(worker.id, numbered("commit", pending.number())));
                }
            }
            return new Decision(List.of(new JobEvent.GenerationCommitted(pending.number())), commands);
        }
        if (over(asked, options.forming(), now)) {
            return abandon(
                    job,
                    pending,
                    "generation " + pending.number() + " could not form in "
                            + options.forming().toSeconds() + " s");
        }
        return Decision.NONE;
    }

    private Decision running(JobLife job, JobPulse pulse, Generation current, Instant now) {
        Decision measured = measure(job, pulse, current);
        if (!measured.nothing()) {
            return measured;
        }
        Optional<JobEvent.WorkerSlow> slow = stragglers.next(job, pulse);
        if (slow.isPresent()) {
            return named(job, current, slow.get());
        }
        long steps = Math.max(pulse.steps, job.steps);
        if (job.windingDown() || (steps > 0 && pulse.step >= steps) || now.isBefore(pulse.retryAt)) {
            return Decision.NONE;
        }
        List<Worker> members = current.members().stream().map(job::worker).toList();
        List<Worker> newcomers = newcomers(job, current);
        List<Worker> survivors = members.stream()
                .filter(worker -> worker.living() && !worker.leaving)
                .toList();
        boolean shrinks = survivors.size() < members.size();
        if (survivors.isEmpty()) {
            survivors = members.stream().filter(Worker::living).limit(1).toList();
            shrinks = false;
        }
        if (survivors.isEmpty()
                || (!shrinks && newcomers.isEmpty())
                || (!shrinks && othersAreLoading(job, newcomers, now))) {
            return Decision.NONE;
        }
        List<Integer> ranked = Stream.concat(survivors.stream(), newcomers.stream())
                .map(Worker::ordinal)
                .toList();
        List<Integer> receivers =
                IntStream.range(survivors.size(), ranked.size()).boxed().toList();
        return propose(
                job,
                ranked,
                0,
                receivers,
                false,
                -1,
                members.size() + " → " + ranked.size() + " workers: "
                        + members.stream()
                                .filter(worker -> worker.replacedAsSlow)
                                .map(worker -> "worker " + worker.id + " " + worker.slow)
                                .findFirst()
                                .orElse(pulse.reason));
    }

    /** A slow worker is noted, and the job's own log says so. */
    private static Decision named(JobLife job, Generation current, JobEvent.WorkerSlow slow) {
        WorkerId straggler = job.worker(slow.ordinal()).id;
        Map<String, Object> notice =
                Map.of("type", "notice", "text", "Worker " + straggler + " " + slow.reason() + ".");
        return new Decision(
                List.of(slow),
                current.members().stream()
                        .map(job::worker)
                        .filter(Worker::living)
                        .limit(1)
                        .<AgentCommand>map(first -> new AgentCommand.Send(first.id, notice))
                        .toList());
    }

    private static Decision measure(JobLife job, JobPulse pulse, Generation current) {
        JobView.Switch last = job.switches.getLast();
        double longest = pulse.longestPause(current.number());
        Map<Integer, Double> pauses = pulse.pauses(current.number());
        boolean all = current.members().stream()
                .allMatch(ordinal ->
                        pauses.containsKey(ordinal) || !job.worker(ordinal).living());
        return all && longest > last.pauseMillis()
                ? Decision.record(new JobEvent.SwitchMeasured(current.number(), longest))
                : Decision.NONE;
    }

    private static List<Worker> newcomers(JobLife job, @Nullable Generation current) {
        return job.workers.values().stream()
                .filter(worker -> worker.living()
                        && worker.prepared()
                        && !worker.leaving
                        && worker.leftAt == null
                        && (current == null || !current.members().contains(worker.ordinal())))
                .toList();
    }

    /** Whether it is worth waiting a moment for workers that are still loading. */
    private boolean othersAreLoading(JobLife job, List<Worker> prepared, Instant now) {
        boolean loading = job.workers.values().stream()
                .anyMatch(worker -> worker.living() && !worker.prepared() && !worker.leaving);
        return loading
                && prepared.stream()
                        .map(worker -> Objects.requireNonNull(worker.preparedAt))
                        .min(Comparator.naturalOrder())
                        .filter(firstPrepared -> !over(firstPrepared, options.gathering(), now))
                        .isPresent();
    }

    private Decision first(JobLife job, JobPulse pulse, Instant now) {
        List<Worker> ready = newcomers(job, null);
        if (ready.isEmpty() || othersAreLoading(job, ready, now) || now.isBefore(pulse.retryAt)) {
            return Decision.NONE;
        }
        List<Integer> ranked = ready.stream().map(Worker::ordinal).toList();
        List<Integer> receivers = IntStream.range(1, ranked.size()).boxed().toList();
        return propose(
                job,
                ranked,
                0,
                receivers,
                true,
                -1,
                job.resumed ? "resumed" : job.trained() ? "all workers had been lost" : "first generation");
    }

    private Decision propose(
            JobLife job,
            List<Integer> members,
            int source,
            List<Integer> receivers,
            boolean immediate,
            long step,
            String reason) {
        int number = job.highest + 1;
        Map<String, Object> message = generationMessage(job, number, members, source, receivers, immediate);
        Set<Integer> addressees = new LinkedHashSet<>(members);
        if (job.current != null) {
            addressees.addAll(job.current.members());
        }
        List<AgentCommand> commands = new ArrayList<>();
        for (int ordinal : addressees) {
            if (job.worker(ordinal).living()) {
                commands.add(new AgentCommand.Send(job.worker(ordinal).id, message));
            }
        }
        return new Decision(
                List.of(new JobEvent.GenerationProposed(number, members, source, receivers, immediate, step, reason)),
                commands);
    }

    private static Map<String, Object> generationMessage(
            JobLife job, int number, List<Integer> members, int source, List<Integer> receivers, boolean immediate) {
        Map<String, Object> message = new LinkedHashMap<>();
        message.put("type", "generation");
        message.put("generation", number);
        message.put(
                "members",
                members.stream()
                        .map(job::worker)
                        .map(worker -> Map.of("worker", worker.id.toString(), "address", worker.address))
                        .toList());
        message.put("source", source);
        message.put("receivers", receivers);
        message.put("immediate", immediate);
        return message;
    }

    private static Map<String, Object> numbered(String type, int generation) {
        return Map.of("type", type, "generation", generation);
    }

    /** Everything a living worker must have heard by now, for an agent that may have missed it. */
    List<AgentCommand> repeat(JobLife job, JobPulse pulse, Worker worker) {
        List<AgentCommand> commands = new ArrayList<>();
        if (job.breaking != null) {
            if (job.breaking.members().contains(worker.ordinal())
                    && !pulse.stepsAtBreak.containsKey(worker.ordinal())) {
                commands.add(new AgentCommand.Send(worker.id, numbered("break", job.breaking.upTo())));
            }
        } else if (job.pending != null) {
            Generation pending = job.pending;
            if (job.inGeneration(worker)) {
                if (!pulse.formed.contains(worker.ordinal())) {
                    commands.add(new AgentCommand.Send(
                            worker.id,
                            generationMessage(
                                    job,
                                    pending.number(),
                                    pending.members(),
                                    pending.source(),
                                    pending.receivers(),
                                    pending.immediate())));
                }
                if (pending.committed()) {
                    commands.add(new AgentCommand.Send(worker.id, numbered("commit", pending.number())));
                }
            }
        } else if (job.abandoned == job.highest && job.abandoned > 0 && worker.prepared()) {
            commands.add(new AgentCommand.Send(worker.id, numbered("abandon", job.abandoned)));
        }
        return commands;
    }
}
