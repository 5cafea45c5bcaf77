package concertina.search;

import concertina.model.ConcertinaException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import java.util.random.RandomGenerator;
import org.jspecify.annotations.Nullable;

/**
 * Population-based training (Jaderberg et al., 2017).
 *
 * <p><b>Goals.</b> Train a population once and change hyperparameters on the way: what is bad takes over the state of what is good.
 *
 * <p><b>Constraints.</b> A trial is one round of one member: it goes on from its parent's state until it has had its own resource, the
 * parent's included; whoever runs the trial hands that state on. Members do not wait for each other.
 *
 * <p><b>Algorithm.</b> The first N trials are fresh points, one per member. The member that has waited longest goes on: if its last result
 * is among the worst quarter of all members' last results as {@link Ranking} orders them, it takes the state of a random one of the best quarter and its point, explored;
 * otherwise it keeps both. Exploring redraws a coordinate with probability 1/4 and else moves it by a fifth of its range at most; an
 * unordered choice is only redrawn. A member whose trial failed takes over from the best quarter as well, and is given up after three
 * failures in a row.
 */
public final class Population implements Sampler {
    private static final double QUANTILE = 0.25;
    private static final double REDRAW = 0.25;
    private static final double MOVE = 0.2;

    /** Failures in a row after which a member is given up. */
    private static final int PATIENCE = 2;

    /** How far a member has come. */
    private static final class Member {
        long trial = -1;
        int rounds;
        Point point;
        int failures;
        OptionalLong parent = OptionalLong.empty();

        /** Of its last round that ended well. */
        Ranking.@Nullable Result result;

        /** What that round trained with; {@link #point} may be ahead of it. */
        Point trained;

        Member(Point point) {
            this.point = point;
            this.trained = point;
        }
    }

    private final Space space;
    private final Sampler fresh;
    private final long seed;
    private final int size;
    private final int rounds;
    private final double round;
    private final List<Member> members = new ArrayList<>();
    private final Map<Long, Member> running = new HashMap<>();
    private final Deque<Member> waiting = new ArrayDeque<>();

    /**
     * @param fresh proposes the first points
     * @param size number of members, at least 4
     * @param rounds number of rounds a member trains
     * @param round how much of the resource a round takes
     */
    public Population(Space space, Sampler fresh, long seed, int size, int rounds, double round) {
        if (size < 4) {
            throw ConcertinaException.invalid("PopulationSize", Integer.toString(size), "at least 4");
        }
        if (rounds < 1) {
            throw ConcertinaException.invalid("Rounds", Integer.toString(rounds), "at least 1");
        }
        if (!(round > 0)) {
            throw ConcertinaException.invalid("resource of a round", Double.toString(round), "more than 0");
        }
        this.space = space;
        this.fresh = fresh;
        this.seed = seed;
        this.size = size;
        this.rounds = rounds;
        this.round = round;
    }

    @Override
    public Optional<Suggestion> ask(long number) {
        if (members.size() < size) {
            return fresh.ask(number)
                    .map(first -> new Suggestion(
                            first.point(),
                            OptionalDouble.of(round),
                            OptionalLong.empty(),
                            "member " + members.size() + " begins: " + first.reason()));
        }
        Member member = waiting.peekFirst();
        if (member == null) {
            return Optional.empty();
        }
        int index = members.indexOf(member);
        RandomGenerator random = Randomness.of(seed ^ 0x706274L, number);
        List<Member> ranked = ranked();
        int quarter = Math.max(1, (int) (ranked.size() * QUANTILE));
        boolean poor = member.failures > 0 || ranked.size() >= 4 && ranked.indexOf(member) >= ranked.size() - quarter;
        // Who takes over from one that is through would train beyond the last round.
        List<Member> models = ranked.stream()
                .limit(quarter)
                .filter(each -> each.rounds < rounds)
                .toList();
        if (poor && !models.isEmpty()) {
            Member model = models.get(random.nextInt(models.size()));
            return Optional.of(new Suggestion(
                    explored(model.trained, random),
                    OptionalDouble.of((model.rounds + 1) * round),
                    OptionalLong.of(model.trial),
                    "member " + index + (member.failures > 0 ? " failed" : " is among the worst quarter")
                            + "; it takes over from trial " + model.trial + " and explores"));
        }
        return Optional.of(new Suggestion(
                member.point,
                OptionalDouble.of((member.rounds + 1) * round),
                member.parent,
                "member " + index + " goes on after round " + member.rounds));
    }

    /** Members with a result, the best first. */
    private List<Member> ranked() {
        Map<Long, Member> byTrial = new HashMap<>();
        List<Ranking.Result> results = new ArrayList<>();
        for (Member member : members) {
            if (member.result != null) {
                byTrial.put(member.trial, member);
                results.add(member.result);
            }
        }
        return Ranking.order(results).stream()
                .map(result -> Objects.requireNonNull(byTrial.get(result.number())))
                .toList();
    }

    private Point explored(Point point, RandomGenerator random) {
        double[] place = space.encode(point);
        for (int i = 0; i < place.length; i++) {
            boolean unordered = space.parameters().get(i) instanceof Parameter.Choice choice && !choice.ordered();
            boolean redraw = random.nextDouble() < REDRAW;
            double move = (random.nextDouble() * 2 - 1) * MOVE;
            double drawn = random.nextDouble();
            if (redraw || Double.isNaN(place[i])) {
                place[i] = drawn;
            } else if (!unordered) {
                place[i] = Math.clamp(place[i] + move, 0, 1);
            }
        }
        return space.decode(place);
    }

    @Override
    public void tell(Trial trial) {
        fresh.tell(trial);
        if (trial.resource().isEmpty()) {
            return;
        }
        Member member = running.get(trial.number());
        if (member == null) {
            member = taken(trial);
            if (member == null) {
                return;
            }
            running.put(trial.number(), member);
        }
        switch (trial.state()) {
            case Trial.State.Running ignored -> {}
            case Trial.State.Complete complete -> {
                member.trial = trial.number();
                member.parent = OptionalLong.of(trial.number());
                member.trained = trial.point();
                member.result = new Ranking.Result(trial, complete);
                member.rounds = (int) Math.round(trial.resource().getAsDouble() / round);
                member.failures = 0;
                end(trial, member);
            }
            case Trial.State.Stopped ignored -> fail(trial, member);
            case Trial.State.Failed ignored -> fail(trial, member);
        }
    }

    private void fail(Trial trial, Member member) {
        member.failures++;
        end(trial, member);
    }

    private void end(Trial trial, Member member) {
        running.remove(trial.number());
        if (member.rounds < rounds && member.failures <= PATIENCE) {
            waiting.addLast(member);
        }
    }

    /** Whose round a new trial is: that of the member next in line, whatever state it goes on from. */
    private @Nullable Member taken(Trial trial) {
        if (members.size() < size
                && trial.parent().isEmpty()
                && trial.resource().orElse(0) == round) {
            Member member = new Member(trial.point());
            members.add(member);
            return member;
        }
        Member member = waiting.pollFirst();
        if (member != null) {
            member.point = trial.point();
        }
        return member;
    }

    @Override
    public boolean exhausted() {
        return members.size() == size && waiting.isEmpty() && running.isEmpty();
    }
}
