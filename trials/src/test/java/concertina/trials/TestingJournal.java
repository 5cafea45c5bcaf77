package concertina.trials;

import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.function.Consumer;
import java.util.stream.Collectors;

/** A journal that outlives the searcher but not the test. */
final class TestingJournal implements SearchJournal {
    private final List<Entry> entries = new ArrayList<>();
    private boolean dead;

    @Override
    public synchronized void append(List<Entry> added) {
        if (dead) {
            throw new IllegalStateException("the server is dead");
        }
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
        if (dead) {
            throw new IllegalStateException("the server is dead");
        }
        entries.removeIf(entry -> entry.search().equals(search));
    }

    /** Nothing that the present server does is recorded any more, as if it were dead. */
    synchronized void die() {
        dead = true;
    }

    /** The journal as the next server finds it. */
    synchronized TestingJournal survivor() {
        TestingJournal next = new TestingJournal();
        next.entries.addAll(entries);
        return next;
    }

    /** Names under which anything is recorded. */
    synchronized Set<String> names() {
        return entries.stream().map(Entry::search).collect(Collectors.toSet());
    }

    synchronized List<SearchEvent> events(String search) {
        return entries.stream()
                .filter(entry -> entry.search().equals(search))
                .map(Entry::event)
                .toList();
    }
}
