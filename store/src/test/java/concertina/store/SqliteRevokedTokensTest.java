package concertina.store;

import concertina.identity.RevokedTokens;
import concertina.identity.RevokedTokensContract;
import java.nio.file.Path;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.io.TempDir;

class SqliteRevokedTokensTest extends RevokedTokensContract {
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
    protected RevokedTokens revokedTokens() {
        return database.revokedTokens();
    }
}
