package concertina.train;

import concertina.model.JobId;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;

/** A journal that outlives the trainer but not the test. Can be told to fail. */
final class InMemoryJournal implements Journal {
    final List<Entry> entries = new ArrayList<>();
    private long last;

    /** How many appends succeed before the next one fails; negative for all. */
    int appendsUntilFailure = -1;

    @Override
    public void append(List<Entry> added) {
        if (appendsUntilFailure == 0) {
            appendsUntilFailure = -1;
            throw new IllegalStateException("disk full");
        }
        if (appendsUntilFailure > 0) {
            appendsUntilFailure--;
        }
        entries.addAll(added);
    }

    @Override
    public void replay(Consumer<Entry> reader) {
        List.copyOf(entries).forEach(reader);
    }

    @Override
    public void forget(JobId job) {
        entries.removeIf(entry -> entry.job().equals(job));
    }

    @Override
    public long nextNumber() {
        return ++last;
    }

    List<JobEvent> events(JobId job) {
        return entries.stream()
                .filter(entry -> entry.job().equals(job))
                .map(Entry::event)
                .toList();
    }
}
