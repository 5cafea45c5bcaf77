package concertina.search;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * Stops a trial whose best loss so far is worse than the median of what completed trials had reached, on average, by the same step (the
 * median stopping rule of Golovin et al., Google Vizier, KDD 2017).
 */
public final class MedianStopper implements Stopper {
    private static final Verdict ON = new Verdict(false, "");

    /** Curves kept; beyond, the oldest gives way, so that memory stays flat. */
    private static final int CURVES = 1000;

    private final double grace;
    private final int trials;
    private final Map<Long, TreeMap<Double, Double>> running = new HashMap<>();
    private final Map<Long, Double> best = new HashMap<>();
    private final List<TreeMap<Double, Double>> ended = new ArrayList<>();

    /**
     * @param grace step before which no trial is stopped
     * @param trials number of completed trials before which none is stopped, at least 1
     */
    public MedianStopper(double grace, int trials) {
        this.grace = grace;
        this.trials = trials;
    }

    @Override
    public Verdict report(long trial, double step, double loss) {
        if (Double.isNaN(loss)) {
            return ON;
        }
        TreeMap<Double, Double> curve = running.computeIfAbsent(trial, number -> new TreeMap<>());
        // A point of a curve holds the mean up to its step.
        Map.Entry<Double, Double> last = curve.lastEntry();
        int count = curve.size();
        curve.put(step, last == null ? loss : last.getValue() + (loss - last.getValue()) / (count + 1));
        best.merge(trial, loss, Math::min);
        if (step < grace || ended.size() < trials) {
            return ON;
        }
        double[] means = ended.stream()
                .map(other -> other.floorEntry(step))
                .filter(entry -> entry != null)
                .mapToDouble(Map.Entry::getValue)
                .sorted()
                .toArray();
        if (means.length < trials) {
            return ON;
        }
        double median = (means[(means.length - 1) / 2] + means[means.length / 2]) / 2;
        double reached = best.getOrDefault(trial, loss);
        return reached > median
                ? new Verdict(
                        true,
                        "its best loss " + reached + " by " + step + " is above " + median + ", the median of "
                                + means.length + " trials")
                : ON;
    }

    @Override
    public void tell(Trial trial) {
        if (trial.state() instanceof Trial.State.Running) {
            return;
        }
        TreeMap<Double, Double> curve = running.remove(trial.number());
        best.remove(trial.number());
        if (curve != null && trial.state() instanceof Trial.State.Complete) {
            ended.add(curve);
            if (ended.size() > CURVES) {
                ended.removeFirst();
            }
        }
    }
}
