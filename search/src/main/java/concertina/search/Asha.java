package concertina.search;

import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * Asynchronous successive halving (Li et al., A System for Massively Parallel Hyperparameter Tuning, 2020).
 *
 * <p><b>Goals.</b> Spend little on bad points, and never wait: whenever a slot is free there is something to run.
 *
 * <p><b>Constraints.</b> A promotion is a new trial with the same point and more of the resource; its parent is the trial it was
 * promoted from, so that it may go on from what that one left.
 *
 * <p><b>Algorithm.</b> From the highest rung downwards: if among the n results of a rung one of the best ⌊n/eta⌋ has not been promoted,
 * promote it. Otherwise start a new point, proposed by another sampler, in the lowest rung.
 */
public final class Asha implements Sampler {
    private final Rungs rungs;
    private final Sampler points;
    private final List<Rung> levels;

    /**
     * @param points proposes new points; told every trial
     * @param smallest resource of a new point, more than 0
     * @param greatest resource of a trial that is promoted to the end
     * @param eta of this many trials one is promoted, more than 1
     */
    public Asha(Sampler points, double smallest, double greatest, double eta) {
        this.points = points;
        rungs = Rungs.of(smallest, greatest, eta);
        levels = Stream.generate(Rung::new).limit(rungs.count()).toList();
    }

    @Override
    public Optional<Suggestion> ask(long number) {
        return promotion().or(() -> points.ask(number).map(suggestion -> rungs.begin(suggestion, 0)));
    }

    private Optional<Suggestion> promotion() {
        for (int level = levels.size() - 2; level >= 0; level--) {
            Optional<Rung.Candidate> candidate =
                    levels.get(level).candidate(rungs.places(levels.get(level).results()));
            if (candidate.isPresent()) {
                return Optional.of(rungs.promote(candidate.get(), level));
            }
        }
        return Optional.empty();
    }

    @Override
    public void tell(Trial trial) {
        points.tell(trial);
        int level = rungs.level(trial);
        if (level >= 0) {
            levels.get(level).tell(trial);
            if (level > 0 && trial.parent().isPresent()) {
                levels.get(level - 1).promote(trial.parent().getAsLong());
            }
        }
    }

    @Override
    public boolean exhausted() {
        return points.exhausted()
                && levels.stream().allMatch(level -> level.running() == 0)
                && promotion().isEmpty();
    }
}
