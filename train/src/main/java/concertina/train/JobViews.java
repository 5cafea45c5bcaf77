package concertina.train;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/** Puts durable and soft state of a job together into what callers see. Pure; the secret never gets here. */
final class JobViews {
    private JobViews() {}

    static JobView of(JobLife job, JobPulse pulse) {
        JobEvent.WorkerDone done = job.done;
        return new JobView(
                job.id,
                job.creator,
                job.spec,
                job.hasCode,
                job.state(),
                reason(job, pulse),
                job.submittedAt,
                job.startedAt,
                job.endedAt,
                job.workers.values().stream()
                        .map(worker -> worker(pulse, worker))
                        .toList(),
                job.logicalWorkers,
                job.workers.values().stream()
                        .filter(Worker::living)
                        .mapToInt(worker -> worker.slots.size())
                        .sum(),
                job.activated,
                pulse.epoch,
                Math.max(0, pulse.step),
                Math.max(pulse.steps, job.steps),
                pulse.loss,
                pulse.accuracy,
                done == null ? null : done.testLoss(),
                done == null ? null : done.testAccuracy(),
                done == null ? "" : done.model(),
                done == null ? "" : done.weightsSha256(),
                switches(job, pulse));
    }

    private static String reason(JobLife job, JobPulse pulse) {
        if (job.ended != null) {
            return job.ended.reason();
        }
        if (job.ending != null) {
            return pulse.reason;
        }
        return job.breaking != null
                ? "recovers: " + job.breaking.reason()
                : Stream.concat(
                                Stream.of(pulse.reason),
                                job.workers.values().stream()
                                        .filter(worker -> worker.living()
                                                && !slow(pulse, worker).isEmpty())
                                        .map(worker -> "worker " + worker.id + " " + worker.slow))
                        .collect(Collectors.joining("; "));
    }

    /** A worker that became as fast as the others is not slow any more. */
    private static String slow(JobPulse pulse, Worker worker) {
        return worker.replacedAsSlow || pulse.lags.containsKey(worker.ordinal()) ? worker.slow : "";
    }

    private static JobView.WorkerView worker(JobPulse pulse, Worker worker) {
        JobPulse.Heartbeat last = pulse.beats.get(worker.ordinal());
        @Nullable Integer exitCode = worker.living() || worker.lost || worker.signal != 0 ? null : worker.exitCode;
        @Nullable Integer signal = worker.living() || worker.lost || worker.signal == 0 ? null : worker.signal;
        return new JobView.WorkerView(
                worker.ordinal(),
                worker.agent,
                worker.host,
                worker.slots,
                worker.logFolder,
                worker.living(),
                worker.processId,
                worker.startedAt,
                worker.endedAt,
                exitCode,
                signal,
                last == null || last.beat().microMillis() <= 0
                        ? null
                        : last.beat().microMillis(),
                slow(pulse, worker));
    }

    private static List<JobView.Switch> switches(JobLife job, JobPulse pulse) {
        List<JobView.Switch> switches = new ArrayList<>(job.switches);
        if (job.current != null && !switches.isEmpty()) {
            JobView.Switch last = switches.getLast();
            double longest = Math.max(last.pauseMillis(), pulse.longestPause(last.generation()));
            switches.set(
                    switches.size() - 1,
                    new JobView.Switch(
                            last.generation(), last.step(), last.members(), longest, last.reason(), last.at()));
        }
        return List.copyOf(switches);
    }
}
