package concertina.search;

import java.util.ArrayDeque;
import java.util.BitSet;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Queue;
import java.util.Set;

/** The points of a list in their order, each as often as it is listed. A point told from elsewhere counts as done once. */
public final class GivenList implements Sampler {
    private final List<Point> points;
    private final Map<Point, Queue<Integer>> open = new HashMap<>();
    private final BitSet done = new BitSet();
    private final Set<Long> running = new HashSet<>();

    public GivenList(List<Point> points) {
        this.points = List.copyOf(points);
        for (int i = 0; i < points.size(); i++) {
            open.computeIfAbsent(points.get(i), point -> new ArrayDeque<>()).add(i);
        }
    }

    @Override
    public Optional<Suggestion> ask(long number) {
        int next = done.nextClearBit(0);
        return next == points.size()
                ? Optional.empty()
                : Optional.of(new Suggestion(
                        points.get(next), "point " + (next + 1) + " of " + points.size() + " in the list"));
    }

    @Override
    public void tell(Trial trial) {
        boolean first = !running.remove(trial.number());
        if (trial.state() instanceof Trial.State.Running) {
            running.add(trial.number());
        }
        Queue<Integer> places = open.get(trial.point());
        Integer place = first && places != null ? places.poll() : null;
        if (place != null) {
            done.set(place);
        }
    }

    @Override
    public boolean exhausted() {
        return done.cardinality() == points.size();
    }
}
