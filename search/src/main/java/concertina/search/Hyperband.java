package concertina.search;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * Hyperband (Li et al., JMLR 18, 2018), without its waiting. With points of {@link ModelPerResource} it is BOHB (Falkner et al., ICML 2018).
 *
 * <p><b>Goals.</b> Hedge between many points with little of the resource and few points with much.
 *
 * <p><b>Constraints.</b> Within a bracket a rung's winners are known only when all of the rung have ended; nobody may wait for that, so
 * whoever asks meanwhile gets work of the next bracket.
 *
 * <p><b>Algorithm.</b> With rungs 0..S, bracket b starts in rung b mod (S+1) with ⌈(S+1)/(s+1) · eta^s⌉ points, s being the rungs above
 * it. In the oldest bracket first: promote if a rung is complete and one of its best ⌊n/eta⌋ has not gone on; else begin a point if there
 * is room. For example with eta 3 and at most 9: brackets of 9 points from 1, 5 from 3, 3 from 9, then 9 from 1 again.
 */
public final class Hyperband implements Sampler {
    private final class Bracket {
        final int first;
        final int size;
        final List<Rung> levels;

        Bracket(int index) {
            first = index % rungs.count();
            int above = rungs.count() - 1 - first;
            size = (int) Math.ceil(rungs.count() / (above + 1.0) * Math.pow(rungs.eta(), above) * (1 - 1e-12));
            levels = Stream.generate(Rung::new).limit(above + 1).toList();
        }

        boolean room() {
            return levels.getFirst().begun() < size;
        }

        /** Whether all trials that can come to a level have come and ended. */
        boolean complete(int level) {
            Rung rung = levels.get(level);
            return rung.running() == 0
                    && (level == 0
                            ? !room()
                            : complete(level - 1)
                                    && levels.get(level - 1)
                                            .candidate(rungs.places(
                                                    levels.get(level - 1).results()))
                                            .isEmpty());
        }

        Optional<Suggestion> promotion() {
            for (int level = 0; level < levels.size() - 1 && complete(level); level++) {
                Rung rung = levels.get(level);
                Optional<Rung.Candidate> candidate = rung.candidate(rungs.places(rung.results()));
                if (candidate.isPresent()) {
                    return Optional.of(rungs.promote(candidate.get(), first + level));
                }
            }
            return Optional.empty();
        }

        boolean over() {
            return complete(levels.size() - 1);
        }
    }

    private final Rungs rungs;
    private final Sampler points;
    private final List<Bracket> brackets = new ArrayList<>();
    private final Map<Long, Bracket> homes = new HashMap<>();
    private int begun;

    /**
     * @param points proposes new points; told every trial
     * @param greatest resource of a trial that is promoted to the end, at least 1
     * @param eta of this many trials one is promoted, more than 1
     */
    public Hyperband(Sampler points, double greatest, double eta) {
        this.points = points;
        rungs = Rungs.of(1, greatest, eta);
    }

    @Override
    public Optional<Suggestion> ask(long number) {
        for (Bracket bracket : brackets) {
            Optional<Suggestion> promotion = bracket.promotion();
            if (promotion.isPresent()) {
                return promotion;
            }
            if (bracket.room()) {
                return begin(number, bracket);
            }
        }
        return begin(number, new Bracket(begun));
    }

    private Optional<Suggestion> begin(long number, Bracket bracket) {
        return points.ask(number).map(suggestion -> rungs.begin(suggestion, bracket.first));
    }

    @Override
    public void tell(Trial trial) {
        points.tell(trial);
        int level = rungs.level(trial);
        Bracket bracket = level < 0 ? null : home(trial, level);
        if (bracket == null || level - bracket.first >= bracket.levels.size() || level < bracket.first) {
            return;
        }
        homes.put(trial.number(), bracket);
        bracket.levels.get(level - bracket.first).tell(trial);
        if (level > bracket.first && trial.parent().isPresent()) {
            bracket.levels.get(level - bracket.first - 1).promote(trial.parent().getAsLong());
        }
        if (bracket.over()) {
            brackets.remove(bracket);
            homes.values().removeIf(home -> home == bracket);
        }
    }

    /** The bracket of a trial; a new point belongs to the oldest with room for one of its amount. */
    private @Nullable Bracket home(Trial trial, int level) {
        Bracket known = homes.get(trial.number());
        if (known != null) {
            return known;
        }
        if (trial.parent().isPresent()) {
            return homes.get(trial.parent().getAsLong());
        }
        for (Bracket bracket : brackets) {
            if (bracket.first == level && bracket.room()) {
                return bracket;
            }
        }
        Bracket next = new Bracket(begun);
        if (next.first != level) {
            return null;
        }
        begun++;
        brackets.add(next);
        return next;
    }

    @Override
    public boolean exhausted() {
        return points.exhausted()
                && brackets.stream()
                        .allMatch(bracket -> bracket.promotion().isEmpty()
                                && bracket.levels.stream().allMatch(rung -> rung.running() == 0));
    }
}
