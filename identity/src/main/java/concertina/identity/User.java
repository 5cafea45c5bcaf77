package concertina.identity;

import concertina.model.UserName;
import java.time.Instant;

/**
 * A user as stored.
 *
 * @param passwordHash encoded Argon2id hash, parameters and salt included
 */
public record User(UserName name, String passwordHash, Role role, Instant createdAt) {
    @Override
    public String toString() {
        return "User[" + name + ", " + role + "]";
    }
}
