package concertina.train;

import concertina.model.JobId;
import concertina.model.JobSpec;
import concertina.model.UserName;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;

/** What the HTTP layer may ask about jobs. Thread-safe; every change is durable when the call returns. */
public interface Jobs {
    /**
     * Reserves the id for a job about to be submitted, so that its files can be laid down first. An id that is never
     * submitted is simply skipped.
     */
    JobId nextId();

    /**
     * Accepts a job. Throws QUOTA_EXCEEDED when the user has too many unfinished jobs.
     *
     * @param hasCode whether code was uploaded
     */
    JobView submit(JobId id, UserName creator, JobSpec spec, boolean hasCode);

    /** Throws QUOTA_EXCEEDED if the user could not submit one more job now; cheap, for use before reading an upload. */
    void checkQuota(UserName creator);

    Optional<JobView> find(JobId id);

    /** All jobs that were not deleted, oldest first. */
    List<JobView> list();

    /** Ends the job as KILLED; no effect on a job that has ended. Throws UNKNOWN_TASK. */
    void stop(JobId id, UserName by);

    /**
     * Lets an elastic job that was stopped or failed go on, under its id, from its newest checkpoint; that there is one is for the
     * caller to know. Throws UNKNOWN_TASK, QUOTA_EXCEEDED as {@link #submit}, and CONFLICT for a job that has not ended, has finished
     * or had completed training, or keeps no checkpoints.
     */
    JobView resume(JobId id, UserName by);

    /** Stops the job if needed and forgets it; its files may be removed when this returns. Throws UNKNOWN_TASK. */
    void delete(JobId id, UserName by);

    /**
     * Has somebody told of every job that ends from now on. The call comes while jobs are locked: it must return at once, and ask
     * or change nothing about jobs itself.
     */
    void whenEnded(Consumer<JobId> listener);

    /**
     * Says which of a group's elastic jobs lead: where slots are shared among equals, these jobs exchange their turns in this order.
     * Nothing changes for other jobs. Soft state: holds until it is said anew or the server ends; unknown and ended jobs are passed
     * over.
     *
     * @param group any name that no other group has
     * @param bestFirst jobs of the group
     */
    void rank(String group, List<JobId> bestFirst);

    /** Agents and slots as they are now. */
    ClusterStatus cluster();
}
