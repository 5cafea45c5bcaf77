package concertina.schedule;

import concertina.model.AgentId;
import concertina.model.JobId;
import concertina.model.Slot;
import concertina.model.SlotId;
import concertina.model.UserName;
import concertina.schedule.Demand.Holding;
import concertina.schedule.Demand.Shape;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * A cluster and its demands in a few words, so that a table test reads like a specification. One agent per line, then one
 * demand per line in order of submission:
 *
 * <pre>
 * node1: 4 cpu
 * node2: 2 gpu 2 busy
 * a elastic 4 priority 6000 holds node1/0 node1/1!
 * b rigid 2x2 gpu
 * </pre>
 *
 * <p>{@code 2x2} is two workers of two slots, {@code node1/0+node1/1} one worker's two slots, {@code !} marks a leaving
 * one, {@code busy} the first slots that somebody unlisted still holds, {@code group s 2} place 2 among the jobs of group s.
 */
record Scene(ClusterView view, List<Demand> demands) {
    static final Instant START = Instant.parse("2026-01-01T00:00:00Z");

    static Scene of(String text) {
        List<String[]> agents = new ArrayList<>();
        List<Demand> demands = new ArrayList<>();
        for (String line : text.strip().split("\n")) {
            String[] words = line.strip().split("\\s+");
            if (words[0].endsWith(":")) {
                agents.add(words);
            } else {
                demands.add(demand(words, demands.size()));
            }
        }
        Set<SlotId> held = new HashSet<>();
        demands.forEach(demand -> demand.held().forEach(holding -> held.addAll(holding.slots())));
        List<ClusterView.SlotView> slots = new ArrayList<>();
        for (String[] words : agents) {
            String agent = words[0].substring(0, words[0].length() - 1);
            int index = 0;
            for (int word = 1; word + 1 < words.length; word += 2) {
                int count = Integer.parseInt(words[word]);
                if (words[word + 1].equals("busy")) {
                    for (int busy = 0; busy < count; busy++) {
                        held.add(new SlotId(agent + "/" + busy));
                    }
                    continue;
                }
                for (int slot = 0; slot < count; slot++) {
                    SlotId id = new SlotId(agent + "/" + index++);
                    slots.add(new ClusterView.SlotView(
                            id,
                            new AgentId(agent),
                            words[word + 1].equals("gpu") ? Slot.Kind.GPU : Slot.Kind.CPU,
                            true));
                }
            }
        }
        List<ClusterView.SlotView> seen = slots.stream()
                .map(slot ->
                        new ClusterView.SlotView(slot.slot(), slot.agent(), slot.kind(), !held.contains(slot.slot())))
                .toList();
        return new Scene(new ClusterView(seen), demands);
    }

    private static Demand demand(String[] words, int number) {
        String[] size = words[2].split("x");
        int workers = Integer.parseInt(size[0]);
        int width = size.length > 1 ? Integer.parseInt(size[1]) : 1;
        int priority = 5000;
        boolean gpu = false;
        int asks = workers;
        Demand.Standing standing = null;
        List<Holding> held = new ArrayList<>();
        for (int word = 3; word < words.length; word++) {
            switch (words[word]) {
                case "priority" -> priority = Integer.parseInt(words[++word]);
                case "gpu" -> gpu = true;
                case "asks" -> asks = Integer.parseInt(words[++word]);
                case "group" -> standing = new Demand.Standing(words[++word], Integer.parseInt(words[++word]));
                case "holds" -> {
                    while (++word < words.length) {
                        boolean leaving = words[word].endsWith("!");
                        String slots = leaving ? words[word].substring(0, words[word].length() - 1) : words[word];
                        held.add(new Holding(
                                held.size() + 1,
                                List.of(slots.split("\\+")).stream()
                                        .map(SlotId::new)
                                        .toList(),
                                leaving));
                    }
                }
                default -> throw new IllegalArgumentException("unknown word '" + words[word] + "'");
            }
        }
        return new Demand(
                new JobId(words[0]),
                new UserName("user"),
                "",
                priority,
                START.plusSeconds(number),
                START.plusSeconds(number),
                gpu,
                width,
                words[1].equals("elastic")
                        ? new Shape.Elastic(workers, asks, asks < workers ? "it asks for " + asks : "")
                        : new Shape.Rigid(workers),
                held,
                standing);
    }

    Plan plan() {
        return Planner.plan(view, demands, Policy.DEFAULT, START.plus(Duration.ofHours(1)));
    }

    /** One line per assignment: job, target, what starts, what leaves, and the reason. */
    static String text(Plan plan) {
        return plan.assignments().stream().map(Scene::line).collect(Collectors.joining("\n"));
    }

    private static String line(Plan.Assignment assignment) {
        StringBuilder line =
                new StringBuilder(assignment.job().value()).append(" ").append(assignment.target());
        assignment
                .starts()
                .forEach(slots -> line.append(" +")
                        .append(slots.stream().map(SlotId::value).collect(Collectors.joining("+"))));
        assignment.leaves().forEach(ordinal -> line.append(" -").append(ordinal));
        return line.append(" | ").append(assignment.reason()).toString();
    }

    /** The same moment just after the plan was carried out: started workers hold slots, others are told to leave. */
    Scene after(Plan plan) {
        return after(plan, START);
    }

    Scene after(Plan plan, Instant now) {
        Map<JobId, Plan.Assignment> assignments =
                plan.assignments().stream().collect(Collectors.toMap(Plan.Assignment::job, assignment -> assignment));
        Set<SlotId> started = new HashSet<>();
        List<Demand> next = new ArrayList<>();
        for (Demand demand : demands) {
            Plan.Assignment assignment = assignments.get(demand.job());
            List<Holding> held = new ArrayList<>();
            int ordinal = 0;
            for (Holding holding : demand.held()) {
                ordinal = Math.max(ordinal, holding.ordinal());
                held.add(new Holding(
                        holding.ordinal(),
                        holding.slots(),
                        holding.leaving() || assignment.leaves().contains(holding.ordinal())));
            }
            for (List<SlotId> slots : assignment.starts()) {
                held.add(new Holding(++ordinal, slots, false));
                started.addAll(slots);
            }
            next.add(with(demand, held, assignment.idle() ? demand.resizedAt() : now));
        }
        return new Scene(
                new ClusterView(view.slots().stream()
                        .map(slot -> new ClusterView.SlotView(
                                slot.slot(), slot.agent(), slot.kind(), slot.free() && !started.contains(slot.slot())))
                        .toList()),
                next);
    }

    /** The same when every leaving worker, and every one that nobody lists, is gone. */
    Scene settled() {
        Map<SlotId, JobId> holders = new HashMap<>();
        List<Demand> next = demands.stream()
                .map(demand -> with(
                        demand,
                        demand.held().stream()
                                .filter(holding -> !holding.leaving())
                                .toList(),
                        demand.resizedAt()))
                .toList();
        next.forEach(demand ->
                demand.held().forEach(holding -> holding.slots().forEach(slot -> holders.put(slot, demand.job()))));
        return new Scene(
                new ClusterView(view.slots().stream()
                        .map(slot -> new ClusterView.SlotView(
                                slot.slot(), slot.agent(), slot.kind(), !holders.containsKey(slot.slot())))
                        .toList()),
                next);
    }

    private static Demand with(Demand demand, List<Holding> held, Instant resizedAt) {
        return demand.holding(held, resizedAt);
    }
}
