package concertina.api;

import concertina.identity.Caller;
import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import concertina.trials.SearchView;
import concertina.trials.Searches;
import java.util.List;

/** Searches as one caller may see and change them. Somebody else's looks exactly like one that does not exist. Thread-safe. */
public final class OwnedSearches {
    private final Searches searches;

    public OwnedSearches(Searches searches) {
        this.searches = searches;
    }

    /** Throws NOT_FOUND for an unknown search and for one that the caller may not touch. */
    public SearchView find(Caller caller, String name) {
        return searches.find(name)
                .filter(search -> caller.mayTouch(search.creator()))
                .orElseThrow(() -> new ConcertinaException(
                        ErrorCode.NOT_FOUND,
                        "cannot find model tuning " + (name.length() > 200 ? name.substring(0, 200) + "…" : name)));
    }

    /** Searches that the caller may touch, oldest first. */
    public List<SearchView> visible(Caller caller) {
        return searches.list(caller::mayTouch);
    }

    /** Searches that the caller created, oldest first. */
    public List<SearchView> own(Caller caller) {
        return searches.list(caller.user()::equals);
    }

    public Searches searches() {
        return searches;
    }
}
