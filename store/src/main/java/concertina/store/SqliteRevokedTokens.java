package concertina.store;

import concertina.identity.RevokedTokens;
import java.time.Instant;

/** Revoked tokens in table revoked_token. Thread-safe. */
final class SqliteRevokedTokens implements RevokedTokens {
    private final SqliteDatabase database;

    SqliteRevokedTokens(SqliteDatabase database) {
        this.database = database;
    }

    @Override
    public void revoke(String tokenId, Instant until) {
        database.write(handle -> handle.execute("""
                insert into revoked_token (token_id, expires_at_epoch_millis) values (?, ?)
                on conflict (token_id) do nothing""", tokenId, until.toEpochMilli()));
    }

    @Override
    public boolean revoked(String tokenId) {
        return database.read(handle -> handle.select("select 1 from revoked_token where token_id = ?", tokenId)
                .mapTo(Integer.class)
                .findOne()
                .isPresent());
    }

    @Override
    public void forgetUntil(Instant now) {
        database.write(handle ->
                handle.execute("delete from revoked_token where expires_at_epoch_millis < ?", now.toEpochMilli()));
    }
}
