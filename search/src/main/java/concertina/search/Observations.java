package concertina.search;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Trials that ended, best first: complete and feasible ones by loss, then stopped ones (who came further first, then by loss), then
 * infeasible ones by the sum of their violations, then failed ones. Of many it keeps the best and an even sample of the rest.
 */
final class Observations {
    /** What a rank depends on, besides the other losses when there are several. */
    private enum Kind {
        FEASIBLE,
        STOPPED,
        INFEASIBLE,
        FAILED
    }

    /**
     * One trial that ended.
     *
     * @param coordinates its place in the cube
     * @param key by which it is ranked among its kind: the greater, the worse
     * @param tie second key
     * @param lot random number by which the sample is drawn
     */
    record Entry(long number, double[] coordinates, Kind kind, double key, double tie, double[] losses, long lot) {
        boolean failed() {
            return kind == Kind.FAILED;
        }

        /** Complete and feasible. */
        boolean complete() {
            return kind == Kind.FEASIBLE;
        }

        boolean valid() {
            return kind == Kind.FEASIBLE || kind == Kind.STOPPED;
        }
    }

    private static final Comparator<Entry> ORDER = Comparator.comparing(Entry::kind)
            .thenComparingDouble(Entry::key)
            .thenComparingDouble(Entry::tie)
            .thenComparingLong(Entry::number);

    private final Space space;
    private final long seed;
    private final int room;
    private final int best;
    private final List<Entry> entries = new ArrayList<>();
    private long ended;
    private long useful;
    private boolean several;
    private boolean ordered = true;

    /**
     * @param room how many entries are kept
     * @param best how many of them are the best ones for certain
     */
    Observations(Space space, long seed, int room, int best) {
        this.space = space;
        this.seed = seed;
        this.room = room;
        this.best = best;
    }

    /** Takes a trial that ended; running ones are ignored. */
    void tell(Trial trial) {
        Entry entry = entry(trial);
        if (entry == null) {
            return;
        }
        ended++;
        useful += entry.failed() ? 0 : 1;
        int place = Collections.binarySearch(entries, entry, ORDER);
        entries.add(place < 0 ? -place - 1 : place, entry);
        several |= entry.losses.length > 1;
        ordered &= !several || entry.kind() != Kind.FEASIBLE;
        if (entries.size() > room) {
            order();
            int loser = best;
            for (int i = best + 1; i < entries.size(); i++) {
                loser = entries.get(i).lot() > entries.get(loser).lot() ? i : loser;
            }
            entries.remove(loser);
        }
    }

    private @Nullable Entry entry(Trial trial) {
        double[] coordinates = space.encode(trial.point());
        long lot = Randomness.of(~seed, trial.number()).nextLong();
        return switch (trial.state()) {
            case Trial.State.Running() -> null;
            case Trial.State.Failed() -> failed(trial, coordinates, lot);
            case Trial.State.Stopped(double step, double loss) ->
                Double.isNaN(loss)
                        ? failed(trial, coordinates, lot)
                        : new Entry(trial.number(), coordinates, Kind.STOPPED, -step, loss, new double[0], lot);
            case Trial.State.Complete(double[] losses, double[] violations) -> {
                double violation = Ranking.violation(violations);
                if (losses.length == 0 || Arrays.stream(losses).anyMatch(Double::isNaN)) {
                    yield failed(trial, coordinates, lot);
                }
                Kind kind = violation > 0 ? Kind.INFEASIBLE : Kind.FEASIBLE;
                double key = violation > 0 ? violation : losses[0];
                yield new Entry(trial.number(), coordinates, kind, key, losses[0], losses, lot);
            }
        };
    }

    private static Entry failed(Trial trial, double[] coordinates, long lot) {
        return new Entry(trial.number(), coordinates, Kind.FAILED, 0, 0, new double[0], lot);
    }

    /** With several losses the rank of one depends on all others, so it is found anew when somebody asks. */
    private void order() {
        if (ordered) {
            return;
        }
        entries.sort(ORDER);
        Map<Long, Entry> feasible = new LinkedHashMap<>();
        int objectives = Integer.MAX_VALUE;
        for (Entry entry : entries) {
            if (entry.kind() == Kind.FEASIBLE) {
                feasible.put(entry.number(), entry);
                objectives = Math.min(objectives, entry.losses().length);
            }
        }
        List<Ranking.Result> results = new ArrayList<>();
        for (Entry entry : feasible.values()) {
            results.add(new Ranking.Result(entry.number(), Arrays.copyOf(entry.losses(), objectives), 0));
        }
        int place = 0;
        for (Ranking.Result result : Ranking.order(results)) {
            entries.set(place++, feasible.get(result.number()));
        }
        ordered = true;
    }

    /** What is kept, best first. */
    List<Entry> entries() {
        order();
        return entries;
    }

    /** Number of trials told that ended. */
    long ended() {
        return ended;
    }

    /** Number of trials told that ended with some result. */
    long useful() {
        return useful;
    }
}
