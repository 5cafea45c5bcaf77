package concertina.store;

import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import concertina.search.Parameter;
import concertina.search.Value;
import concertina.trials.SearchEvent;
import concertina.trials.SearchJournal;
import concertina.trials.TrialResult;
import concertina.wire.Json;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.time.DateTimeException;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import org.jdbi.v3.core.Handle;
import org.jdbi.v3.core.statement.PreparedBatch;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.ObjectReader;
import tools.jackson.databind.ObjectWriter;
import tools.jackson.databind.json.JsonMapper;

/** The journal of searches in table search_event, events as JSON. Thread-safe. */
final class SqliteSearchJournal implements SearchJournal {
    private static final int PAGE = 1000;

    private final SqliteDatabase database;
    private final ObjectWriter writer;
    private final ObjectReader reader;

    SqliteSearchJournal(SqliteDatabase database) {
        this.database = database;
        JsonMapper json = Json.keeping(SearchEvent.class, Parameter.class, Value.class, TrialResult.class);
        this.writer = json.writerFor(SearchEvent.class);
        this.reader = json.readerFor(SearchEvent.class);
    }

    @Override
    public void append(List<Entry> entries) {
        if (entries.isEmpty()) {
            return;
        }
        database.write(handle -> insert(handle, entries));
    }

    private int insert(Handle handle, List<Entry> entries) {
        Map<Boolean, List<Entry>> kinds = entries.stream()
                .collect(Collectors.partitioningBy(entry -> entry.event() instanceof SearchEvent.SamplerSaved));
        return insert(
                        handle,
                        "insert into search_event (search, at, event) values (?, ?, ?)",
                        kinds.getOrDefault(false, List.of()))
                + insert(
                        handle,
                        "insert into sampler_state (search, at, event) values (?, ?, ?)"
                                + " on conflict (search) do update set at = excluded.at, event = excluded.event",
                        kinds.getOrDefault(true, List.of()));
    }

    private int insert(Handle handle, String statement, List<Entry> entries) {
        if (entries.isEmpty()) {
            return 0;
        }
        try (PreparedBatch batch = handle.prepareBatch(statement)) {
            for (Entry entry : entries) {
                batch.add(entry.search(), entry.at().toString(), writer.writeValueAsString(entry.event()));
            }
            return batch.execute().length;
        }
    }

    @Override
    public void replay(Consumer<Entry> reader) {
        database.read(handle -> {
            handle.createQuery("""
                            select entry, search, at, event, 0 as saved from search_event
                            union all select 0, search, at, event, 1 from sampler_state
                            order by saved, entry""")
                    .map((row, context) -> entry(
                            row.getLong("entry"), row.getString("search"), row.getString("at"), row.getString("event")))
                    .forEach(reader);
            return true;
        });
    }

    /** Page by page: whoever else reads the database waits for one page at most, and not for what is done with it. */
    @Override
    public void replay(String search, Consumer<Entry> reader) {
        List<Row> page = List.of();
        do {
            page = page(search, page.isEmpty() ? 0 : page.getLast().entry());
            page.forEach(row -> reader.accept(entry(row.entry(), search, row.at(), row.event())));
        } while (page.size() == PAGE);
        Optional<Row> saved = database.read(
                handle -> handle.createQuery("select 0 as entry, at, event from sampler_state where search = :search")
                        .bind("search", search)
                        .map((row, context) -> row(row))
                        .findOne());
        saved.ifPresent(row -> reader.accept(entry(row.entry(), search, row.at(), row.event())));
    }

    private record Row(long entry, String at, String event) {}

    private List<Row> page(String search, long after) {
        return database.read(handle -> handle.createQuery("""
                        select entry, at, event from search_event where search = :search and entry > :after
                        order by entry limit :most""")
                .bind("search", search)
                .bind("after", after)
                .bind("most", PAGE)
                .map((row, context) -> row(row))
                .list());
    }

    private static Row row(ResultSet row) throws SQLException {
        return new Row(row.getLong("entry"), row.getString("at"), row.getString("event"));
    }

    @Override
    public void forget(String search) {
        database.write(handle -> forget(handle, search));
    }

    private static int forget(Handle handle, String search) {
        return handle.execute("delete from search_event where search = ?", search)
                + handle.execute("delete from sampler_state where search = ?", search);
    }

    @Override
    public void replace(String search, Entry by) {
        database.write(handle -> forget(handle, search) + insert(handle, List.of(by)));
    }

    private Entry entry(long number, String search, String at, String event) {
        try {
            return new Entry(search, Instant.parse(at), reader.readValue(event));
        } catch (JacksonException | DateTimeException | IllegalArgumentException e) {
            throw new ConcertinaException(
                    ErrorCode.INTERNAL,
                    "entry " + number + " of search '" + search + "' cannot be read by this program",
                    e);
        }
    }
}
