package concertina.train;

import concertina.model.JobId;
import java.time.Instant;
import java.util.List;
import java.util.function.Consumer;

/** Where events are kept, in the order in which they happened. One writer; durable when a call returns. */
public interface Journal {
    /** Stores all entries in one transaction. */
    void append(List<Entry> entries);

    /** Hands over every stored entry, oldest first. */
    void replay(Consumer<Entry> reader);

    /** Removes all entries of a job; no effect when there are none. */
    void forget(JobId job);

    /** The next number of a job, counting from 1 and never given twice, whatever was forgotten. */
    long nextNumber();

    /** Something that happened to a job. */
    record Entry(JobId job, Instant at, JobEvent event) {}
}
