package concertina.api;

import concertina.identity.Caller;
import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import concertina.model.JobId;
import concertina.model.JobState;
import concertina.model.Slot;
import concertina.train.JobFiles;
import concertina.train.JobView;
import concertina.train.Jobs;
import java.io.IOException;
import java.util.List;

/**
 * Jobs and their files as one caller may see and change them. Somebody else's job looks exactly like one that does not exist.
 * Thread-safe.
 */
public final class OwnedJobs {
    private final Jobs jobs;
    private final JobFiles files;
    private final ErrorCode unknown;

    /** @param unknown the code with which this contract answers an id that does not exist */
    public OwnedJobs(Jobs jobs, JobFiles files, ErrorCode unknown) {
        this.jobs = jobs;
        this.files = files;
        this.unknown = unknown;
    }

    /** Throws the contract's code for an unknown job and for one that the caller may not touch. */
    public JobView find(Caller caller, String id) {
        if (id.isBlank() || id.length() > 200) {
            throw missing(id);
        }
        return jobs.find(new JobId(id))
                .filter(job -> caller.mayTouch(job.creator()))
                .orElseThrow(() -> missing(id));
    }

    /** Jobs that the caller may touch, oldest first. */
    public List<JobView> visible(Caller caller) {
        return jobs.list().stream()
                .filter(job -> caller.mayTouch(job.creator()))
                .toList();
    }

    /** Jobs that the caller created, oldest first. */
    public List<JobView> own(Caller caller) {
        return jobs.list().stream()
                .filter(job -> job.creator().equals(caller.user()))
                .toList();
    }

    public void stop(Caller caller, String id) {
        jobs.stop(find(caller, id).id(), caller.user());
    }

    /**
     * Lets a job go on from its newest checkpoint, or begin if it has not yet. Throws CONFLICT when it is not to be resumed or its
     * checkpoints are gone.
     */
    public JobView resume(Caller caller, String id) throws IOException {
        JobView job = find(caller, id);
        boolean ended = job.state() == JobState.KILLED || job.state() == JobState.ERROR;
        if (ended
                && job.spec().framework().elastic()
                && job.generation() > 0
                && files.find(job.id(), job.creator(), "checkpoint/step-*.state")
                        .isEmpty()) {
            throw new ConcertinaException(
                    ErrorCode.CONFLICT,
                    "job '" + job.id() + "' left no checkpoint, accepted: a job that left one; submit it anew");
        }
        return jobs.resume(job.id(), caller.user());
    }

    /** Forgets the job and removes its files. */
    public void delete(Caller caller, String id) throws IOException {
        JobView job = find(caller, id);
        jobs.delete(job.id(), caller.user());
        files.delete(job.id(), job.creator());
    }

    /** Whether any node has a GPU; a job that names no device type then gets GPUs. */
    public boolean clusterHasGpus() {
        return jobs.cluster().agents().stream()
                .flatMap(agent -> agent.slots().stream())
                .anyMatch(slot -> slot.slot().kind() == Slot.Kind.GPU);
    }

    public Jobs jobs() {
        return jobs;
    }

    public JobFiles files() {
        return files;
    }

    private ConcertinaException missing(String id) {
        String shown = id.length() > 200 ? id.substring(0, 200) + "…" : id;
        return new ConcertinaException(unknown, "cannot find task " + shown);
    }
}
