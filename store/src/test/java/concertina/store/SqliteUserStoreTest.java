package concertina.store;

import concertina.identity.UserStore;
import concertina.identity.UserStoreContract;
import java.nio.file.Path;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.io.TempDir;

class SqliteUserStoreTest extends UserStoreContract {
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
    protected UserStore users() {
        return database.users();
    }
}
