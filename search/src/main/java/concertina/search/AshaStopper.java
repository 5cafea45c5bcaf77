package concertina.search;

import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Asynchronous successive halving for trials that report as they run: at each rung a trial goes on only if it is among the best {@code
 * 1/eta} of those that reached the rung before it (the stopping variant of Li et al., 2020). The first to reach a rung goes on.
 */
public final class AshaStopper implements Stopper {
    private static final Verdict ON = new Verdict(false, "");

    private final Rungs rungs;
    private final List<List<Double>> losses = new ArrayList<>();

    /** For each running trial the first rung it has not reached. */
    private final Map<Long, Integer> next = new HashMap<>();

    /**
     * @param smallest step before which no trial is stopped, more than 0
     * @param greatest step at which a trial ends by itself
     * @param eta of this many trials one goes on, more than 1
     */
    public AshaStopper(double smallest, double greatest, double eta) {
        rungs = Rungs.of(smallest, greatest, eta);
        rungs.amounts().forEach(amount -> losses.add(new ArrayList<>()));
    }

    @Override
    public Verdict report(long trial, double step, double loss) {
        if (Double.isNaN(loss)) {
            return ON;
        }
        Verdict verdict = ON;
        int level = next.getOrDefault(trial, 0);
        // A report may skip a rung; it counts in the highest it has reached, as earlier losses are not known.
        int reached = level;
        while (reached < rungs.count() - 1 && step >= rungs.amounts().get(reached)) {
            reached++;
        }
        if (reached > level) {
            verdict = judge(reached - 1, step, loss);
            next.put(trial, reached);
        }
        return verdict;
    }

    private Verdict judge(int level, double step, double loss) {
        List<Double> before = losses.get(level);
        int place = Collections.binarySearch(before, loss);
        place = place < 0 ? -place - 1 : place;
        // Whoever equals one that goes on goes on too.
        while (place > 0 && before.get(place - 1) == loss) {
            place--;
        }
        before.add(place, loss);
        int places = Math.max(1, rungs.places(before.size()));
        return place < places
                ? ON
                : new Verdict(
                        true,
                        "its loss " + loss + " at " + step + " is number " + (place + 1) + " of " + before.size()
                                + "; the best " + places + " go on");
    }

    @Override
    public void tell(Trial trial) {
        if (!(trial.state() instanceof Trial.State.Running)) {
            next.remove(trial.number());
        }
    }
}
