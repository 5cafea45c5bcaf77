package concertina.store;

import concertina.trials.SearchJournal;
import java.nio.file.Path;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.io.TempDir;

class SqliteSearchJournalTest extends SearchJournalContract {
    @TempDir
    Path folder;

    private SqliteDatabase database;

    @BeforeEach
    void open() {
        database = SqliteDatabase.open(folder.resolve("concertina.db"));
    }

    @AfterEach
    void close() {
        database.close();
    }

    @Override
    protected SearchJournal searchJournal() {
        return database.searchJournal();
    }

    @Override
    protected SearchJournal searchJournalReopened() {
        close();
        open();
        return searchJournal();
    }
}
