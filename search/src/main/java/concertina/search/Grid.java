package concertina.search;

import java.util.Arrays;
import java.util.HashSet;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Every point of a finite space once, the last parameter changing fastest. Points already told, by whomever, are left out; what lies
 * beside the grid is ignored.
 */
public final class Grid implements Sampler {
    private final Cells cells;

    /** The first point not told yet; null at the end. */
    private long @Nullable [] next;

    /** Points behind {@code next} that were told. */
    private final Set<Point> ahead = new HashSet<>();

    /**
     * @param resolution how many values stand for a range, borders included; every continuum needs one, for others it thins
     * @throws concertina.model.ConcertinaException naming a continuum without resolution
     */
    public Grid(Space space, Map<String, Integer> resolution) {
        this.cells = new Cells(space, resolution);
        this.next = cells.first();
    }

    public Grid(Space space) {
        this(space, Map.of());
    }

    @Override
    public Optional<Suggestion> ask(long number) {
        return next == null
                ? Optional.empty()
                : Optional.of(new Suggestion(cells.point(next), "next point of the grid"));
    }

    @Override
    public void tell(Trial trial) {
        long[] digits = cells.digits(trial.point());
        long[] cursor = next;
        if (cursor == null || digits == null || Arrays.compare(digits, cursor) < 0) {
            return;
        }
        ahead.add(cells.point(digits));
        while (cursor != null && ahead.remove(cells.point(cursor))) {
            cursor = cells.next(cursor);
        }
        next = cursor;
    }

    @Override
    public boolean exhausted() {
        return next == null;
    }
}
