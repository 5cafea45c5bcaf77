package concertina.search;

import java.util.OptionalDouble;
import java.util.OptionalLong;

/**
 * What to try next, and why.
 *
 * @param resource how much of the resource to give; empty where the method has none
 * @param parent number of the trial to go on from; empty for a fresh start
 * @param reason one sentence for the user
 */
public record Suggestion(Point point, OptionalDouble resource, OptionalLong parent, String reason) {
    public Suggestion(Point point, String reason) {
        this(point, OptionalDouble.empty(), OptionalLong.empty(), reason);
    }
}
