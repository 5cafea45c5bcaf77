package concertina.schedule;

import concertina.model.AgentId;
import concertina.model.JobId;
import concertina.model.Slot;
import concertina.model.SlotId;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/**
 * The slots while one plan is made: which are still to be had, which are reserved for a job that waits, which are taken.
 * A slot that can be had need not be free yet: a leaving worker's comes back, an elastic job gives its extra ones back.
 * Used by one call of the planner and then dropped; not thread-safe.
 */
final class Pool {
    /** How soon, and at whose cost, a slot can be had; cheapest first. */
    enum Supply {
        /** Nobody holds it. */
        FREE,
        /** Its worker is on its way out. */
        RETURNING,
        /** Its worker is above the size its job has just been given. */
        SURPLUS,
        /** An elastic job holds it beyond its first worker and would have to give it back. */
        EXTRA
    }

    private enum Claim {
        OPEN,
        RESERVED,
        TAKEN
    }

    /** Which slots will do, whether those reserved for waiting jobs may be used too, and at what cost at most. */
    record Terms(boolean cpu, boolean gpu, boolean reserved, Supply dearest) {
        Terms(boolean cpu, boolean gpu, boolean reserved) {
            this(cpu, gpu, reserved, Supply.EXTRA);
        }

        Terms upTo(Supply limit) {
            return new Terms(cpu, gpu, reserved, limit);
        }

        boolean accepts(Slot.Kind kind) {
            return switch (kind) {
                case CPU -> cpu;
                case GPU -> gpu;
            };
        }
    }

    /** One slot. Rank and priority are those of the holder and decide who gives back first. */
    static final class Cell {
        final SlotId slot;
        final Slot.Kind kind;
        private final int index;
        private final Room room;
        private Claim claim = Claim.OPEN;
        private Supply supply = Supply.FREE;
        private int priority;
        private int rank;
        /** Whether a waiting job counts on it, even while another uses it. */
        private boolean awaited;

        @Nullable
        JobId holder;

        private Cell(SlotId slot, Slot.Kind kind, int index, Room room) {
            this.slot = slot;
            this.kind = kind;
            this.index = index;
            this.room = room;
        }

        boolean free() {
            return supply == Supply.FREE;
        }

        boolean taken() {
            return claim == Claim.TAKEN;
        }

        AgentId agent() {
            return room.agent;
        }
    }

    /** Cheapest first; among extra slots those of low priority, then of the highest rank, so large jobs give first. */
    private static final Comparator<Cell> CHEAPEST = Comparator.<Cell, Supply>comparing(cell -> cell.supply)
            .thenComparingInt(cell -> cell.priority)
            .thenComparing(cell -> cell.rank, Comparator.reverseOrder())
            .thenComparingInt(cell -> cell.index);

    /** Slots of one kind on one agent. */
    private static final class Shelf {
        final TreeSet<Cell> open = new TreeSet<>(CHEAPEST);
        final TreeSet<Cell> reserved = new TreeSet<>(CHEAPEST);
        int total;
        /** How many of the open ones can be had at each cost, and of the reserved ones. */
        final int[] openBySupply = new int[Supply.values().length];

        final int[] reservedBySupply = new int[Supply.values().length];
        /** Of taken ones, how many a waiting job counts on. */
        int takenAwaited;

        int available(Terms terms) {
            if (terms.dearest() == Supply.EXTRA) {
                return open.size() + (terms.reserved() ? reserved.size() : 0);
            }
            int slots = 0;
            for (int supply = 0; supply <= terms.dearest().ordinal(); supply++) {
                slots += openBySupply[supply] + (terms.reserved() ? reservedBySupply[supply] : 0);
            }
            return slots;
        }

        int available(Supply supply, boolean reservedToo) {
            return openBySupply[supply.ordinal()] + (reservedToo ? reservedBySupply[supply.ordinal()] : 0);
        }

        int taken() {
            return total - open.size() - reserved.size();
        }
    }

    private static final class Tally {
        int total;
        int open;
        int reserved;
        int takenAwaited;

        int unawaited() {
            return total - open - reserved - takenAwaited;
        }
    }

    private static final class Room {
        final AgentId agent;
        final Shelf cpu = new Shelf();
        final Shelf gpu = new Shelf();

        Room(AgentId agent) {
            this.agent = agent;
        }

        Shelf shelf(Slot.Kind kind) {
            return kind == Slot.Kind.GPU ? gpu : cpu;
        }

        int total(Terms terms) {
            return (terms.cpu() ? cpu.total : 0) + (terms.gpu() ? gpu.total : 0);
        }

        int available(Terms terms) {
            return (terms.cpu() ? cpu.available(terms) : 0) + (terms.gpu() ? gpu.available(terms) : 0);
        }

        int available(Supply supply, Terms terms) {
            return (terms.cpu() ? cpu.available(supply, terms.reserved()) : 0)
                    + (terms.gpu() ? gpu.available(supply, terms.reserved()) : 0);
        }

        int open(Terms terms) {
            return (terms.cpu() ? cpu.open.size() : 0) + (terms.gpu() ? gpu.open.size() : 0);
        }

        /** Taken slots that no waiting job counts on yet. */
        int unawaited(Terms terms) {
            return (terms.cpu() ? cpu.taken() - cpu.takenAwaited : 0)
                    + (terms.gpu() ? gpu.taken() - gpu.takenAwaited : 0);
        }
    }

    private final List<Room> rooms;
    /** All agents together, by counts alone. */
    private final Tally cpu = new Tally();

    private final Tally gpu = new Tally();
    private final Map<Terms, Map<Integer, Integer>> capacities = new HashMap<>();
    private final Map<SlotId, Cell> cells = new LinkedHashMap<>();
    private final Set<JobId> takers = new LinkedHashSet<>();
    private final Set<JobId> gpuTakers = new LinkedHashSet<>();

    Pool(ClusterView view) {
        Map<AgentId, Room> byAgent = new LinkedHashMap<>();
        for (ClusterView.SlotView slot : view.slots()) {
            Room room = byAgent.computeIfAbsent(slot.agent(), Room::new);
            Cell cell = new Cell(slot.slot(), slot.kind(), cells.size(), room);
            cell.supply = slot.free() ? Supply.FREE : Supply.RETURNING;
            if (cells.putIfAbsent(slot.slot(), cell) == null) {
                room.shelf(cell.kind).total++;
                tally(cell.kind).total++;
            }
        }
        rooms = List.copyOf(byAgent.values());
        cells.values().forEach(this::put);
    }

    /** The slots among these that are in the cluster; a lost agent's are not. */
    List<Cell> cells(List<SlotId> slots) {
        List<Cell> found = new ArrayList<>(slots.size());
        for (SlotId slot : slots) {
            Cell cell = cells.get(slot);
            if (cell != null) {
                found.add(cell);
            }
        }
        return found;
    }

    /** Notes who holds a slot and how it can be had; slots that must stay with their holder are taken afterwards. */
    void held(Cell cell, JobId holder, Supply supply, int priority, int rank) {
        remove(cell);
        cell.holder = holder;
        cell.supply = supply;
        cell.priority = priority;
        cell.rank = rank;
        put(cell);
    }

    /** Marks a slot that nobody has taken as sure to come back, because its holder's new size is known. */
    void surplus(Cell cell) {
        if (cell.claim != Claim.TAKEN && cell.supply == Supply.EXTRA) {
            remove(cell);
            cell.supply = Supply.SURPLUS;
            put(cell);
        }
    }

    void take(Cell cell, JobId job) {
        remove(cell);
        cell.claim = Claim.TAKEN;
        if (cell.awaited) {
            cell.room.shelf(cell.kind).takenAwaited++;
            tally(cell.kind).takenAwaited++;
        }
        takers.add(job);
        if (cell.kind == Slot.Kind.GPU) {
            gpuTakers.add(job);
        }
    }

    /**
     * Takes slots for workers, each on one agent: for a gang on as few agents as possible, then where the fewest slots must
     * be given back or waited for, then beside the job's own workers, then where the least is left over.
     *
     * @return the slots of each worker, or nothing when not all of them fit
     */
    @Nullable
    List<List<Cell>> place(JobId job, int workers, int slotsPerWorker, boolean gang, Terms terms, Set<AgentId> own) {
        if (available(terms) < workers * slotsPerWorker) {
            return null;
        }
        int room = 0;
        for (Room candidate : rooms) {
            room += candidate.available(terms) / slotsPerWorker;
            if (room >= workers) {
                break;
            }
        }
        if (room < workers) {
            return null;
        }
        List<List<Cell>> placed = new ArrayList<>(workers);
        while (placed.size() < workers) {
            Room best = null;
            int bestFit = 0;
            for (Room candidate : rooms) {
                int fit = Math.min(gang ? workers - placed.size() : 1, candidate.available(terms) / slotsPerWorker);
                if (fit > 0
                        && (best == null
                                || fit > bestFit
                                || fit == bestFit && better(candidate, best, fit * slotsPerWorker, terms, own))) {
                    best = candidate;
                    bestFit = fit;
                }
            }
            if (best == null) {
                throw new IllegalStateException("room for " + workers + " workers was counted but not found");
            }
            for (int worker = 0; worker < bestFit; worker++) {
                List<Cell> taken = new ArrayList<>(slotsPerWorker);
                for (int slot = 0; slot < slotsPerWorker; slot++) {
                    Cell cell = cheapest(best, terms);
                    take(cell, job);
                    taken.add(cell);
                }
                taken.sort(Comparator.comparingInt(cell -> cell.index));
                placed.add(taken);
            }
        }
        return placed;
    }

    private static boolean better(Room candidate, Room best, int slots, Terms terms, Set<AgentId> own) {
        int cost = givenBack(candidate, slots, terms) - givenBack(best, slots, terms);
        if (cost == 0) {
            cost = awaited(candidate, slots, terms) - awaited(best, slots, terms);
        }
        if (cost != 0) {
            return cost < 0;
        }
        cost = gpus(candidate, slots, terms) - gpus(best, slots, terms);
        if (cost != 0 && terms.cpu()) {
            return cost < 0;
        }
        boolean mine = own.contains(candidate.agent);
        if (mine != own.contains(best.agent)) {
            return mine;
        }
        return candidate.available(terms) < best.available(terms);
    }

    private static int givenBack(Room room, int slots, Terms terms) {
        return Math.max(0, slots - room.available(terms) + room.available(Supply.EXTRA, terms));
    }

    private static int awaited(Room room, int slots, Terms terms) {
        return Math.max(0, slots - room.available(Supply.FREE, terms));
    }

    private static int gpus(Room room, int slots, Terms terms) {
        return Math.max(0, slots - room.cpu.available(terms));
    }

    private static Cell cheapest(Room room, Terms terms) {
        Cell best = null;
        for (Slot.Kind kind : List.of(Slot.Kind.CPU, Slot.Kind.GPU)) {
            if (terms.accepts(kind)) {
                Shelf shelf = room.shelf(kind);
                best = cheaper(best, terms.reserved() && !shelf.reserved.isEmpty() ? shelf.reserved.first() : null);
                best = cheaper(best, shelf.open.isEmpty() ? null : shelf.open.first());
            }
        }
        if (best == null) {
            throw new IllegalStateException("no slot left on " + room.agent);
        }
        return best;
    }

    private static @Nullable Cell cheaper(@Nullable Cell best, @Nullable Cell other) {
        if (best == null || other == null) {
            return best == null ? other : best;
        }
        return other.supply.compareTo(best.supply) < 0 ? other : best;
    }

    /**
     * Keeps slots for workers that do not all fit now, where the fewest are missing. Slots that are taken count too: they
     * come back when their jobs end. Nobody else may take what is kept, so what is missing can only become less.
     *
     * @return whether there was anything left to keep
     */
    boolean reserve(int workers, int slotsPerWorker, Terms terms) {
        if (available(terms) == 0
                && (terms.cpu() ? cpu.unawaited() : 0) + (terms.gpu() ? gpu.unawaited() : 0) < slotsPerWorker) {
            return false;
        }
        int left = workers;
        for (Room room : rooms) {
            int whole = Math.min(left, room.open(terms) / slotsPerWorker);
            keep(room, whole * slotsPerWorker, terms);
            left -= whole;
        }
        List<Room> partial = new ArrayList<>();
        for (Room room : rooms) {
            if (room.open(terms) > 0 && room.open(terms) + room.unawaited(terms) >= slotsPerWorker) {
                partial.add(room);
            }
        }
        partial.sort(Comparator.comparingInt(room -> -room.open(terms)));
        for (Room room : partial) {
            if (left > 0) {
                keep(room, slotsPerWorker, terms);
                left--;
            }
        }
        for (Room room : rooms) {
            int whole = Math.min(left, (room.open(terms) + room.unawaited(terms)) / slotsPerWorker);
            keep(room, whole * slotsPerWorker, terms);
            left -= whole;
        }
        return left < workers;
    }

    /** Keeps the dearest first: elastic jobs use those in the meantime, and free ones stay for jobs that may start. */
    private void keep(Room room, int slots, Terms terms) {
        int left = slots;
        for (Slot.Kind kind : List.of(Slot.Kind.CPU, Slot.Kind.GPU)) {
            Shelf shelf = room.shelf(kind);
            while (left > 0 && terms.accepts(kind) && !shelf.open.isEmpty()) {
                Cell cell = shelf.open.last();
                remove(cell);
                cell.claim = Claim.RESERVED;
                cell.awaited = true;
                put(cell);
                left--;
            }
        }
        for (Slot.Kind kind : List.of(Slot.Kind.CPU, Slot.Kind.GPU)) {
            Shelf shelf = room.shelf(kind);
            if (terms.accepts(kind)) {
                int awaited = Math.min(left, shelf.taken() - shelf.takenAwaited);
                shelf.takenAwaited += awaited;
                tally(kind).takenAwaited += awaited;
                left -= awaited;
            }
        }
    }

    /** Takes workers' present slots again; does nothing and answers false when one of them is taken already. */
    boolean retake(List<Cell> held, JobId job) {
        for (Cell cell : held) {
            if (cell.taken()) {
                return false;
            }
        }
        held.forEach(cell -> take(cell, job));
        return true;
    }

    /** Undoes {@link #take}. */
    void giveUp(List<Cell> taken) {
        for (Cell cell : taken) {
            if (cell.awaited) {
                cell.room.shelf(cell.kind).takenAwaited--;
                tally(cell.kind).takenAwaited--;
            }
            cell.claim = cell.awaited ? Claim.RESERVED : Claim.OPEN;
            put(cell);
        }
    }

    private void put(Cell cell) {
        Shelf shelf = cell.room.shelf(cell.kind);
        switch (cell.claim) {
            case OPEN -> {
                shelf.open.add(cell);
                tally(cell.kind).open++;
                shelf.openBySupply[cell.supply.ordinal()]++;
            }
            case RESERVED -> {
                shelf.reserved.add(cell);
                tally(cell.kind).reserved++;
                shelf.reservedBySupply[cell.supply.ordinal()]++;
            }
            case TAKEN -> throw new IllegalStateException(cell.slot + " is taken");
        }
    }

    private void remove(Cell cell) {
        Shelf shelf = cell.room.shelf(cell.kind);
        switch (cell.claim) {
            case OPEN -> {
                shelf.open.remove(cell);
                tally(cell.kind).open--;
                shelf.openBySupply[cell.supply.ordinal()]--;
            }
            case RESERVED -> {
                shelf.reserved.remove(cell);
                tally(cell.kind).reserved--;
                shelf.reservedBySupply[cell.supply.ordinal()]--;
            }
            case TAKEN -> throw new IllegalStateException(cell.slot + " is taken twice");
        }
    }

    private Tally tally(Slot.Kind kind) {
        return kind == Slot.Kind.GPU ? gpu : cpu;
    }

    int total(Terms terms) {
        return (terms.cpu() ? cpu.total : 0) + (terms.gpu() ? gpu.total : 0);
    }

    /** Slots that can be had, sooner or later, without waiting for a job to end. */
    int available(Terms terms) {
        return (terms.cpu() ? cpu.open + (terms.reserved() ? cpu.reserved : 0) : 0)
                + (terms.gpu() ? gpu.open + (terms.reserved() ? gpu.reserved : 0) : 0);
    }

    /** Most slots of one agent. */
    int largest(Terms terms) {
        return rooms.stream().mapToInt(room -> room.total(terms)).max().orElse(0);
    }

    /** Workers that fit into the cluster when it is empty. */
    int capacity(int slotsPerWorker, Terms terms) {
        return capacities
                .computeIfAbsent(terms, any -> new HashMap<>())
                .computeIfAbsent(
                        slotsPerWorker,
                        width -> rooms.stream()
                                .mapToInt(room -> room.total(terms) / width)
                                .sum());
    }

    /** Jobs that have taken slots, or GPU slots alone, in the order in which they took them. */
    Set<JobId> takers(boolean gpu) {
        return gpu ? gpuTakers : takers;
    }
}
