package concertina.search;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The trials that ended, as a model uses them, in the order in which they ended. Beyond {@value #MOST} it thins itself to {@value #KEPT}: the
 * best, by fronts where there are several objectives, the latest, and of the others those that are far from each other, so that neither memory nor time grows with the search.
 */
final class Results {
    private static final int MOST = 400;
    private static final int KEPT = 300;
    private static final int BEST = 120;
    private static final int LATEST = 60;

    /**
     * One trial that ended.
     *
     * @param order how many had ended before it
     * @param seen its place as the model sees it
     * @param losses one per objective; empty for a trial that failed
     * @param violations one per constraint; empty where unknown
     * @param early whether it was stopped, so that the loss is not its last
     */
    record Result(long order, Point point, double[] seen, double[] losses, double[] violations, boolean early) {
        boolean failed() {
            return losses.length == 0;
        }

        boolean feasible() {
            return !failed() && !early && Arrays.stream(violations).allMatch(violation -> violation <= 0);
        }
    }

    private final Features features;
    private List<Result> kept = new ArrayList<>();
    private long ended;
    private long useful;
    private long thinned;

    Results(Features features) {
        this.features = features;
    }

    void tell(Trial trial) {
        double[] losses;
        double[] violations = new double[0];
        boolean early = false;
        switch (trial.state()) {
            case Trial.State.Running() -> {
                return;
            }
            case Trial.State.Failed() -> losses = new double[0];
            case Trial.State.Stopped(double step, double loss) -> {
                losses = Double.isFinite(loss) ? new double[] {loss} : new double[0];
                early = true;
            }
            case Trial.State.Complete complete -> {
                boolean finite = Arrays.stream(complete.losses()).allMatch(Double::isFinite)
                        && Arrays.stream(complete.violations()).noneMatch(Double::isNaN);
                losses = finite ? complete.losses() : new double[0];
                violations = finite ? complete.violations() : new double[0];
            }
        }
        useful += losses.length > 0 ? 1 : 0;
        kept.add(new Result(ended++, trial.point(), features.of(trial.point()), losses, violations, early));
        if (kept.size() > MOST) {
            kept = thin(kept);
            thinned = ended;
        }
    }

    private static List<Result> thin(List<Result> all) {
        List<Result> ranked = ranked(all);
        List<Result> chosen = new ArrayList<>(ranked.subList(0, Math.min(BEST, ranked.size())));
        all.subList(all.size() - LATEST, all.size()).stream()
                .filter(each -> !chosen.contains(each))
                .forEach(chosen::add);
        List<Result> others = new ArrayList<>(all);
        others.removeAll(chosen);
        double[] gaps = new double[others.size()];
        Arrays.fill(gaps, Double.POSITIVE_INFINITY);
        chosen.forEach(each -> shrink(gaps, others, each));
        while (chosen.size() < KEPT) {
            int widest = 0;
            for (int i = 1; i < gaps.length; i++) {
                widest = gaps[i] > gaps[widest] ? i : widest;
            }
            Result far = others.get(widest);
            chosen.add(far);
            shrink(gaps, others, far);
            gaps[widest] = -1;
        }
        chosen.sort(Comparator.comparingLong(Result::order));
        return chosen;
    }

    /** What has a loss, the best first. */
    private static List<Result> ranked(List<Result> all) {
        List<Result> byLoss = all.stream()
                .filter(each -> !each.failed())
                .sorted(Comparator.comparing((Result each) -> !each.feasible())
                        .thenComparingDouble(each -> each.losses[0])
                        .thenComparingLong(Result::order))
                .toList();
        Map<Long, Result> several = new LinkedHashMap<>();
        byLoss.stream()
                .filter(each -> each.feasible() && each.losses.length > 1)
                .forEach(each -> several.put(each.order, each));
        List<Result> ranked = new ArrayList<>();
        Ranking.order(several.values().stream()
                        .map(each -> new Ranking.Result(each.order, each.losses, 0))
                        .toList())
                .forEach(each -> ranked.add(several.get(each.number())));
        byLoss.stream().filter(each -> !several.containsKey(each.order)).forEach(ranked::add);
        return ranked;
    }

    private static void shrink(double[] gaps, List<Result> others, Result chosen) {
        for (int i = 0; i < gaps.length; i++) {
            double gap = 0;
            for (int j = 0; j < chosen.seen.length; j++) {
                double off = chosen.seen[j] - others.get(i).seen[j];
                gap += off * off;
            }
            gaps[i] = Math.min(gaps[i], gap);
        }
    }

    /** What is kept, in the order in which it ended. */
    List<Result> all() {
        return kept;
    }

    /** What is kept of the first {@code count} that ended. */
    List<Result> first(long count) {
        return kept.stream().filter(each -> each.order < count).toList();
    }

    /** How many ended. */
    long ended() {
        return ended;
    }

    /** How many ended with a result. */
    long useful() {
        return useful;
    }

    /**
     * How many had ended when hyperparameters are to be fitted for the last time before now: after every trial at first, then ever less
     * often, and whenever older ones were forgotten.
     */
    long fitted() {
        long period = Math.max(1, ended <= 30 ? 1 : ended / 12);
        return Math.max(thinned, ended - ended % period);
    }
}
