package concertina.identity;

import concertina.model.UserName;

/** Somebody whose identity has been proved for the present request. */
public record Caller(UserName user, Role role) {
    public boolean admin() {
        return role == Role.ADMIN;
    }

    /** Whether this caller may read and change what that user owns. */
    public boolean mayTouch(UserName owner) {
        return admin() || user.equals(owner);
    }
}
