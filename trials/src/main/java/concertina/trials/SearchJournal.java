package concertina.trials;

import java.time.Instant;
import java.util.List;
import java.util.function.Consumer;

/** Where events of searches are kept, in the order in which they happened. One writer; durable when a call returns. */
public interface SearchJournal {
    /** Stores all entries in one transaction. */
    void append(List<Entry> entries);

    /** Hands over every stored entry, oldest first; of {@link SearchEvent.SamplerSaved} only each search's last, and those in the end. */
    void replay(Consumer<Entry> reader);

    /** The same for one search alone. */
    void replay(String search, Consumer<Entry> reader);

    /** Removes all entries of a search; no effect when there are none. */
    void forget(String search);

    /** Removes all entries of a search and stores another one, of another name, in one transaction. */
    void replace(String search, Entry by);

    /** Something that happened to a search. */
    record Entry(String search, Instant at, SearchEvent event) {}
}
