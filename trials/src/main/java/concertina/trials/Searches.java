package concertina.trials;

import concertina.model.JobId;
import concertina.model.UserName;
import concertina.search.Point;
import java.util.List;
import java.util.Optional;
import java.util.function.Predicate;

/**
 * What the HTTP layer may ask about searches. Thread-safe; every change is durable when the call returns. Who changes a search names its
 * creator as well, since a name that has become free may be somebody else's a moment later: that search is not known.
 */
public interface Searches {
    /** A name nobody has used, made of the user's. */
    String freeName(String user);

    /** Throws CONFLICT when the name is taken, QUOTA_EXCEEDED when the user has too many searches under way; cheap. */
    void checkNew(String name, UserName creator);

    /** Throws what {@link #create(String, UserName, SearchSpec, List)} would, and changes nothing. */
    void check(String name, UserName creator, SearchSpec spec, List<SearchView> earlier);

    /**
     * Accepts a search and lets it begin. Throws as {@link #checkNew}, and INVALID_ARGUMENT when the algorithm or one of its settings
     * is not known.
     */
    default SearchView create(String name, UserName creator, SearchSpec spec) {
        return create(name, creator, spec, List.of());
    }

    /**
     * The same for one whose algorithm is first told what other searches found. INVALID_ARGUMENT when these were after something else,
     * or the algorithm makes no use of it.
     */
    SearchView create(String name, UserName creator, SearchSpec spec, List<SearchView> earlier);

    /**
     * Reserves the id under which the code of a search is laid down that is about to be created. If the server is killed before it is,
     * the next one removes the code.
     */
    JobId expectCode(UserName creator);

    /** Removes code that was laid down for a search that is not created after all. */
    void discardCode(JobId code, UserName creator);

    Optional<SearchView> find(String name);

    /** All searches of these creators that were not deleted, oldest first. */
    List<SearchView> list(Predicate<UserName> creators);

    /** Asks for no further trial and stops the jobs of those under way. Throws NOT_FOUND, CONFLICT for one that is not active. */
    void stop(String name, UserName creator, UserName by);

    /** Lets a stopped or failed search go on where it stood. Throws NOT_FOUND, CONFLICT for any other, QUOTA_EXCEEDED as {@link #checkNew}. */
    SearchView restart(String name, UserName creator, UserName by);

    /** Stops the search if needed and forgets it; jobs of its trials stay. Throws NOT_FOUND. */
    void delete(String name, UserName creator, UserName by);

    /**
     * Puts a point in line, to be tried next. Throws NOT_FOUND, CONFLICT when the search has ended, is coming to its end or has no trial
     * left, INVALID_ARGUMENT for no point of its space.
     */
    void enqueue(String name, UserName creator, Point point);
}
