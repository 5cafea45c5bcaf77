package concertina.train;

import concertina.model.JobSpec;
import concertina.model.UserName;

/** Something that happened to a job and must survive a restart of the server. */
public sealed interface JobEvent {
    /** The job was accepted. */
    record Submitted(UserName creator, JobSpec spec, boolean hasCode) implements JobEvent {}
}
