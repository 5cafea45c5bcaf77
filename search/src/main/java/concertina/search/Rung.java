package concertina.search;

import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/** Trials that got the same amount of a resource, and which of them went on. Used by one thread. */
final class Rung {
    private final Map<Long, Point> points = new HashMap<>();
    private final Set<Long> running = new HashSet<>();
    private final Set<Long> promoted = new HashSet<>();
    private List<Ranking.Result> best = List.of();

    /** A candidate for the next rung. */
    record Candidate(long number, Point point, int place, int results) {}

    void tell(Trial trial) {
        points.putIfAbsent(trial.number(), trial.point());
        if (trial.state() instanceof Trial.State.Running) {
            running.add(trial.number());
            return;
        }
        running.remove(trial.number());
        if (trial.state() instanceof Trial.State.Complete complete) {
            best = Ranking.order(Stream.concat(best.stream(), Stream.of(new Ranking.Result(trial, complete)))
                    .toList());
        }
    }

    void promote(long number) {
        promoted.add(number);
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
        for (int place = 0; place < Math.min(places, best.size()); place++) {
            long number = best.get(place).number();
            Point point = points.get(number);
            if (point != null && !promoted.contains(number)) {
                return Optional.of(new Candidate(number, point, place + 1, best.size()));
            }
        }
        return Optional.empty();
    }

    /** How many of the first {@code places} went on. */
    int promoted() {
        return promoted.size();
    }

    @Nullable
    Point point(long number) {
        return points.get(number);
    }
}
