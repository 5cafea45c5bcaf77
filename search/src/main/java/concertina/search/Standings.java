package concertina.search;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * Which of the trials that run leads, by what they reported at the same steps. Trials are compared two by two, at the highest power of two
 * of the step that both have reached: a trial that began later is not behind because it had less time. Best is who leaves the most others
 * behind it, less those it is behind; the order can change only where a trial reaches the next power of two, so it does not waver. Used by
 * one thread.
 */
public final class Standings {
    /** For each running trial its least loss when it first reported at a step of this magnitude (2 to the power of the key) or above. */
    private final Map<Long, TreeMap<Integer, Double>> marks = new HashMap<>();

    private final Map<Long, Double> best = new HashMap<>();

    /** Best first; null where a mark has changed since. */
    private @Nullable List<Long> order;

    /**
     * A trial has reported.
     *
     * @param step position of the report in the trial, in the same unit for all; those of 0 and less have no magnitude
     * @param loss to be minimised; NaN is passed over
     */
    public void report(long trial, double step, double loss) {
        if (Double.isNaN(loss)) {
            return;
        }
        double least = best.merge(trial, loss, Math::min);
        if (step > 0 && Double.isFinite(step)) {
            TreeMap<Integer, Double> own = marks.computeIfAbsent(trial, number -> new TreeMap<>());
            if (own.putIfAbsent(Math.getExponent(step), least) == null) {
                order = null;
            }
        }
    }

    /** The trial counts no more. */
    public void remove(long trial) {
        if (marks.remove(trial) != null) {
            order = null;
        }
        best.remove(trial);
    }

    /** Trials that reported, best first; the earlier number first where nothing tells two apart. */
    public List<Long> order() {
        List<Long> known = order;
        if (known == null) {
            known = List.copyOf(sorted());
            order = known;
        }
        return known;
    }

    private List<Long> sorted() {
        Map<Long, Integer> scores = new HashMap<>();
        for (Map.Entry<Long, TreeMap<Integer, Double>> one : marks.entrySet()) {
            int score = 0;
            for (TreeMap<Integer, Double> other : marks.values()) {
                score += compare(one.getValue(), other);
            }
            scores.put(one.getKey(), score);
        }
        List<Long> sorted = new ArrayList<>(marks.keySet());
        sorted.sort(Comparator.<Long>comparingInt(scores::get).thenComparing(Comparator.naturalOrder()));
        return sorted;
    }

    /** Less than 0 where the first is better at the highest magnitude of both. */
    private static int compare(TreeMap<Integer, Double> one, TreeMap<Integer, Double> other) {
        for (Map.Entry<Integer, Double> mark : one.descendingMap().entrySet()) {
            Double theirs = other.get(mark.getKey());
            if (theirs != null) {
                return Double.compare(mark.getValue(), theirs);
            }
        }
        return 0;
    }
}
