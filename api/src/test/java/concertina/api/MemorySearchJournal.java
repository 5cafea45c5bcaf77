package concertina.api;

import concertina.trials.SearchJournal;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;

/** Keeps the events of searches for as long as the test runs. */
final class MemorySearchJournal implements SearchJournal {
    private final List<Entry> entries = new ArrayList<>();

    @Override
    public synchronized void append(List<Entry> added) {
        entries.addAll(added);
    }

    @Override
    public synchronized void replay(Consumer<Entry> reader) {
        List.copyOf(entries).forEach(reader);
    }

    @Override
    public void replay(String search, Consumer<Entry> reader) {
        of(search).forEach(reader);
    }

    private synchronized List<Entry> of(String search) {
        return entries.stream().filter(entry -> entry.search().equals(search)).toList();
    }

    @Override
    public synchronized void replace(String search, Entry by) {
        forget(search);
        entries.add(by);
    }

    @Override
    public synchronized void forget(String search) {
        entries.removeIf(entry -> entry.search().equals(search));
    }
}
