package concertina.train;

import concertina.model.Framework;
import concertina.model.JobId;
import concertina.model.JobSpec;
import concertina.model.UserName;
import concertina.schedule.Planner;
import concertina.schedule.Policy;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A server that can be killed and started again on the same journal, with agents and workers that live on meanwhile. Everything
 * happens in the calling thread; time moves only when told to.
 */
final class FakeCluster {
    static final UserName ADA = new UserName("ada");

    final ManualClock clock = new ManualClock();
    final InMemoryJournal journal = new InMemoryJournal();
    final Map<String, FakeAgent> agents = new LinkedHashMap<>();
    final Map<JobId, FakeTraining> trainings = new LinkedHashMap<>();
    TrainOptions options = TrainOptions.DEFAULT;
    Planning planning = Planner::plan;
    Trainer trainer;
    private boolean serverUp;
    private int secrets;

    /** Elastic workers say that they are prepared as soon as they run. */
    boolean prepareAtOnce = true;

    FakeCluster(String... namesAndSlots) {
        for (String each : namesAndSlots) {
            String[] parts = each.split(":");
            agents.put(parts[0], new FakeAgent(this, parts[0], Integer.parseInt(parts[1])));
        }
        startServer();
    }

    void startServer() {
        trainer = new Trainer(
                journal, planning, Policy.DEFAULT, clock, () -> "secret-" + ++secrets, Runnable::run, options);
        serverUp = true;
    }

    void killServer() {
        serverUp = false;
    }

    boolean serverUp() {
        return serverUp;
    }

    FakeAgent agent(String name) {
        FakeAgent agent = agents.get(name);
        if (agent == null) {
            throw new AssertionError("no agent " + name);
        }
        return agent;
    }

    FakeTraining training(JobId job) {
        FakeTraining training = trainings.get(job);
        if (training == null) {
            throw new AssertionError("no training of " + job);
        }
        return training;
    }

    static JobSpec spec(Framework framework, int workers) {
        return spec(framework, workers, 1, 0, Map.of());
    }

    static JobSpec spec(
            Framework framework,
            int workers,
            int slotsPerWorker,
            int pendingTimeoutSeconds,
            Map<String, String> environment) {
        return new JobSpec(
                framework,
                framework.applicationName(),
                "--exec-start " + framework.label(),
                "main.py",
                "",
                List.of(),
                List.of(),
                workers,
                slotsPerWorker,
                false,
                5000,
                environment,
                "",
                "",
                "",
                pendingTimeoutSeconds);
    }

    JobId submit(JobSpec spec) {
        JobId id = trainer.nextId();
        trainer.submit(id, ADA, spec, true);
        return id;
    }

    JobId elastic(int workers, long steps) {
        return elastic(workers, steps, Map.of());
    }

    JobId elastic(int workers, long steps, Map<String, String> environment) {
        JobId id = trainer.nextId();
        trainings.put(id, new FakeTraining(this, id, workers, steps));
        trainer.submit(id, ADA, spec(Framework.EDT_PYTORCH, workers, 1, 0, environment), true);
        return id;
    }

    JobView view(JobId job) {
        return trainer.find(job).orElseThrow(() -> new AssertionError("no job " + job));
    }

    List<FakeWorker> livingWorkers(JobId job) {
        List<FakeWorker> living = new ArrayList<>();
        for (FakeAgent agent : agents.values()) {
            agent.workers.values().stream()
                    .filter(worker -> worker.alive && worker.id.job().equals(job))
                    .forEach(living::add);
        }
        return living;
    }

    FakeWorker worker(JobId job, int ordinal) {
        return livingWorkers(job).stream()
                .filter(worker -> worker.id.ordinal() == ordinal)
                .findFirst()
                .orElseThrow(() -> new AssertionError("no living worker " + ordinal + " of " + job));
    }

    /** Messages go back and forth until nothing changes; no training step is done. */
    void settle() {
        for (int round = 0; round < 8; round++) {
            exchange();
        }
    }

    /** One message each way, and what the workers make of it. */
    void exchange() {
        agents.values().forEach(FakeAgent::exchange);
        for (FakeTraining training : trainings.values()) {
            if (prepareAtOnce && training.trains) {
                training.living().stream()
                        .filter(worker -> !worker.prepared && !worker.silent)
                        .forEach(worker -> worker.prepare(training.logicalWorkers, training.steps));
            }
            training.settle();
        }
    }

    /** So many training steps of every job, with the messages between them. */
    void steps(int count) {
        for (int step = 0; step < count; step++) {
            settle();
            trainings.values().forEach(training -> training.step(null, 0));
        }
        settle();
    }

    /** Time passes, the agents keep polling. */
    void pass(Duration time) {
        Duration left = time;
        while (left.isPositive()) {
            Duration part = left.compareTo(Duration.ofSeconds(1)) < 0 ? left : Duration.ofSeconds(1);
            clock.advance(part);
            agents.values().forEach(FakeAgent::exchange);
            if (serverUp) {
                trainer.tick();
            }
            left = left.minus(part);
        }
        settle();
    }

    long slotsTaken() {
        return trainer.cluster().agents().stream()
                .flatMap(agent -> agent.slots().stream())
                .filter(slot -> slot.job() != null)
                .count();
    }
}
