package concertina.store;

import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import concertina.model.JobId;
import concertina.train.JobEvent;
import concertina.train.Journal;
import concertina.wire.Json;
import java.time.DateTimeException;
import java.time.Instant;
import java.util.List;
import java.util.function.Consumer;
import org.jdbi.v3.core.statement.PreparedBatch;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.ObjectReader;
import tools.jackson.databind.ObjectWriter;
import tools.jackson.databind.json.JsonMapper;

/** The journal in table job_event, events as JSON. Thread-safe. */
final class SqliteJournal implements Journal {
    private final SqliteDatabase database;
    private final ObjectWriter writer;
    private final ObjectReader reader;

    SqliteJournal(SqliteDatabase database) {
        this.database = database;
        JsonMapper json = Json.keeping(JobEvent.class);
        this.writer = json.writerFor(JobEvent.class);
        this.reader = json.readerFor(JobEvent.class);
    }

    @Override
    public void append(List<Entry> entries) {
        if (entries.isEmpty()) {
            return;
        }
        List<String> events = entries.stream()
                .map(entry -> writer.writeValueAsString(entry.event()))
                .toList();
        database.write(handle -> {
            try (PreparedBatch batch = handle.prepareBatch("insert into job_event (job, at, event) values (?, ?, ?)")) {
                for (int i = 0; i < entries.size(); i++) {
                    Entry entry = entries.get(i);
                    batch.add(entry.job().value(), entry.at().toString(), events.get(i));
                }
                return batch.execute().length;
            }
        });
    }

    @Override
    public void replay(Consumer<Entry> reader) {
        database.read(handle -> {
            handle.createQuery("select entry, job, at, event from job_event order by entry")
                    .map((row, context) -> entry(
                            row.getLong("entry"), row.getString("job"), row.getString("at"), row.getString("event")))
                    .forEach(reader);
            return true;
        });
    }

    @Override
    public void forget(JobId job) {
        database.write(handle -> handle.execute("delete from job_event where job = ?", job.value()));
    }

    @Override
    public long nextNumber() {
        return database.write(
                handle -> handle.createQuery("""
                        insert into counter (name, last) values ('job', 1)
                        on conflict (name) do update set last = last + 1
                        returning last""").mapTo(Long.class).one());
    }

    private Entry entry(long number, String job, String at, String event) {
        try {
            return new Entry(new JobId(job), Instant.parse(at), reader.readValue(event));
        } catch (JacksonException | DateTimeException | IllegalArgumentException e) {
            throw new ConcertinaException(
                    ErrorCode.INTERNAL,
                    "journal entry " + number + " of job '" + job + "' cannot be read by this program",
                    e);
        }
    }
}
