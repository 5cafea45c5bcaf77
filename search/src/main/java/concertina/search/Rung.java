package concertina.search;

import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.NavigableSet;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;

/**
 * Trials that got the same amount of a resource, and which of them went on. With one objective, results are kept in order as they come;
 * with several, where one result may change the order of all, they are ordered when somebody asks. Used by one thread.
 */
final class Rung {
    private final Map<Long, Point> points = new HashMap<>();
    private final Set<Long> running = new HashSet<>();
    private final Set<Long> promoted = new HashSet<>();
    private final Map<Long, Ranking.Result> results = new HashMap<>();

    /** Best first, unless several objectives have still to be ordered. */
    private List<Ranking.Result> best = new ArrayList<>();

    /** Results with one objective that did not go on, best first. */
    private final NavigableSet<Ranking.Result> left = new TreeSet<>(Ranking.SINGLE);

    private boolean several;
    private boolean ordered = true;

    /** A candidate for the next rung. */
    record Candidate(long number, Point point, int place, int results) {}

    void tell(Trial trial) {
        points.putIfAbsent(trial.number(), trial.point());
        if (trial.state() instanceof Trial.State.Running) {
            running.add(trial.number());
            return;
        }
        running.remove(trial.number());
        if (trial.state() instanceof Trial.State.Complete complete && !results.containsKey(trial.number())) {
            add(new Ranking.Result(trial, complete));
        }
    }

    private void add(Ranking.Result result) {
        results.put(result.number(), result);
        several |= result.losses().length > 1;
        if (several) {
            best.add(result);
            ordered = false;
            return;
        }
        best.add(place(result), result);
        if (!promoted.contains(result.number())) {
            left.add(result);
        }
    }

    /** Where a result stands or would stand. */
    private int place(Ranking.Result result) {
        int place = Collections.binarySearch(best, result, Ranking.SINGLE);
        return place < 0 ? -place - 1 : place;
    }

    void promote(long number) {
        promoted.add(number);
        Ranking.Result result = results.get(number);
        if (result != null && !several) {
            left.remove(result);
        }
    }

    /** Trials that were begun, whatever became of them. */
    int begun() {
        return points.size();
    }

    int running() {
        return running.size();
    }

    int results() {
        return best.size();
    }

    /** The best one not yet promoted among the first {@code places}. */
    Optional<Candidate> candidate(int places) {
        if (!several) {
            int place = left.isEmpty() ? places : place(left.first());
            return place < places ? candidate(left.first(), place) : Optional.empty();
        }
        if (!ordered) {
            best = new ArrayList<>(Ranking.order(best));
            ordered = true;
        }
        for (int place = 0; place < Math.min(places, best.size()); place++) {
            if (!promoted.contains(best.get(place).number())) {
                return candidate(best.get(place), place);
            }
        }
        return Optional.empty();
    }

    private Optional<Candidate> candidate(Ranking.Result result, int place) {
        Point point = points.get(result.number());
        return point == null
                ? Optional.empty()
                : Optional.of(new Candidate(result.number(), point, place + 1, best.size()));
    }
}
