package concertina.search;

import java.util.BitSet;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.OptionalLong;
import java.util.SequencedMap;
import java.util.function.IntFunction;
import org.jspecify.annotations.Nullable;

/**
 * Which points run, and in small finite spaces which were ever tried, so that a sampler need not ask for the same twice. Its memory
 * grows with the trials that run, not with those that ended.
 */
final class Tried {
    private static final long COUNTABLE = 1 << 20;
    private static final int ATTEMPTS = 16;

    private final SequencedMap<Long, Point> running = new LinkedHashMap<>();
    private final Map<Point, Integer> occupied = new HashMap<>();
    private final @Nullable Cells cells;
    private final BitSet known = new BitSet();
    private final int count;

    /** No cell below is untried. */
    private int lowest;

    Tried(Space space) {
        OptionalLong cardinality = space.cardinality();
        boolean countable = cardinality.isPresent() && cardinality.getAsLong() <= COUNTABLE;
        this.cells = countable ? new Cells(space) : null;
        this.count = countable ? (int) cardinality.getAsLong() : 0;
    }

    /** Returns whether this is the first that is heard of the trial. */
    boolean tell(Trial trial) {
        Point before = running.remove(trial.number());
        if (before != null) {
            occupied.computeIfPresent(before, (point, times) -> times == 1 ? null : times - 1);
        }
        if (trial.state() instanceof Trial.State.Running) {
            running.put(trial.number(), trial.point());
            occupied.merge(trial.point(), 1, Integer::sum);
        }
        if (cells != null) {
            long[] digits = cells.digits(trial.point());
            if (digits != null) {
                known.set((int) cells.index(digits));
                lowest = untried(cells, lowest);
            }
        }
        return before == null;
    }

    /** The points of running trials, the latest first. */
    Collection<Point> running() {
        return running.sequencedValues().reversed();
    }

    /**
     * The first of a few draws that was not tried yet; failing that another untried point, failing that one that does not run, failing
     * that the last draw.
     *
     * @param draw a point for each attempt, counted from 0
     */
    Point fresh(IntFunction<Point> draw) {
        Point last = draw.apply(0);
        for (int attempt = 1; !isFresh(last) && attempt < ATTEMPTS; attempt++) {
            last = draw.apply(attempt);
        }
        if (cells == null || isFresh(last)) {
            return last;
        }
        return lowest < count ? untried(cells, last) : idle(cells, last);
    }

    /** Untried, or not running where all were tried. */
    private boolean isFresh(Point point) {
        long[] digits = cells == null || lowest == count ? null : cells.digits(point);
        return digits == null ? !occupied.containsKey(point) : cells != null && !known.get((int) cells.index(digits));
    }

    private Point untried(Cells cells, Point from) {
        long[] digits = cells.digits(from);
        int next = digits == null ? lowest : untried(cells, (int) cells.index(digits));
        return cells.point(cells.digits((long) (next < count ? next : lowest)));
    }

    /** The first untried cell from here on, or their number. */
    private int untried(Cells cells, int from) {
        int index = known.nextClearBit(from);
        while (index < count && !cells.canonical(cells.digits((long) index))) {
            known.set(index); // digits that are no point need not be looked at again
            index = known.nextClearBit(index);
        }
        return Math.min(index, count);
    }

    private Point idle(Cells cells, Point from) {
        if (!occupied.containsKey(from) || occupied.size() >= count) {
            return from;
        }
        long[] digits = cells.first();
        while (digits != null) {
            Point point = cells.point(digits);
            if (!occupied.containsKey(point)) {
                return point;
            }
            digits = cells.next(digits);
        }
        return from;
    }
}
