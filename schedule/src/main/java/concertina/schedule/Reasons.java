package concertina.schedule;

import concertina.model.JobId;
import concertina.schedule.Planner.Job;
import concertina.schedule.Pool.Cell;
import concertina.schedule.Pool.Terms;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * The sentences that tell a job's owner what it holds or waits for, and why. Used by one call of the planner; decides
 * nothing, not thread-safe.
 */
final class Reasons {
    private static final int JOBS_NAMED = 3;

    private final Pool pool;
    private final List<JobId> reservedFor = new ArrayList<>();

    Reasons(Pool pool) {
        this.pool = pool;
    }

    /**
     * What elastic jobs of one priority share.
     *
     * @param slots slots of all of them together and those nobody could use
     * @param spare those nobody could use
     */
    record Share(int slots, int spare, int jobs, int priority) {}

    Share share(List<Job> level, boolean gpu) {
        int jobs = 0;
        int spare = pool.available(new Terms(!gpu, true, true));
        int slots = spare;
        for (Job job : level) {
            if (job.elastic() && job.size() > 0 && job.demand.gpu() == gpu) {
                jobs++;
                slots += job.size() * job.width();
            }
        }
        return new Share(slots, spare, jobs, level.getFirst().demand.priority());
    }

    void reservedFor(Job job) {
        reservedFor.add(job.id());
    }

    /** Why a job can never start in this cluster. */
    String impossible(Job job) {
        Terms terms = job.terms(false);
        int total = pool.total(terms);
        long need = (long) job.least() * job.width();
        if (pool.total(new Terms(true, true, false)) == 0) {
            return "waits: no agent is connected, so there is no slot";
        }
        if (total == 0) {
            return "cannot start: needs a GPU, the cluster has none";
        }
        if (total < need) {
            return "cannot start: needs " + slots(need, job) + " at once, the whole cluster has " + total;
        }
        return "cannot start: needs " + workers(job) + ", the largest agent has " + pool.largest(terms)
                + " and all agents " + "together have room for " + pool.capacity(job.width(), terms)
                + " of these workers";
    }

    /** Why a job that could start in an empty cluster does not; called before slots are reserved for it. */
    String blocked(Job job) {
        Terms open = job.terms(false);
        Terms all = job.terms(true);
        int need = job.least() * job.width();
        int had = pool.available(open);
        int reserved = pool.available(all) - had;
        int total = pool.total(all);
        int taken = total - had - reserved;
        StringBuilder text = new StringBuilder("waits: needs ").append(slots(need, job));
        if (need > 1) {
            text.append(" at once");
        }
        text.append(", ").append(had).append(" of ").append(total).append(" can be had");
        if (taken > 0) {
            text.append(", ").append(taken).append(" taken by ").append(names(pool.takers(job.demand.gpu())));
        }
        if (reserved > 0) {
            text.append(", ")
                    .append(reserved)
                    .append(" kept for ")
                    .append(names(reservedFor))
                    .append(" ahead of it");
        }
        if (had >= need) {
            text.append("; not where they help: it needs ").append(workers(job));
        }
        return text.toString();
    }

    /** Why a job has the size it was given. */
    String placed(Job job, Share share, boolean settling) {
        return job.elastic() ? elastic(job, share, settling) : rigid(job);
    }

    private String rigid(Job job) {
        int need = job.most() * job.width();
        if (job.running()) {
            int held = job.living.size() * job.width();
            return "holds " + slots(held, job)
                    + where(job.living.stream().map(worker -> worker.cells).toList()) + " until it ends";
        }
        if (!job.starts.isEmpty()) {
            return "starts on " + slots(need, job) + where(job.placed);
        }
        if (job.leaving) {
            return "waits: its former workers are still ending";
        }
        return "waits: needs " + slots(need, job) + (need > 1 ? " at once, " : ", ") + supply(job);
    }

    private String elastic(Job job, Share share, boolean settling) {
        int most = job.most() * job.width();
        int held = job.living.size() * job.width();
        int target = job.size() * job.width();
        int soon = held + job.starts.size() * job.width();
        String of = " of at most " + slots(most, job);
        String why = ": " + why(job, share);
        if (!job.leaves.isEmpty()) {
            int after = held - job.leaves.size() * job.width();
            return "shrinks from " + held + " to " + after + of
                    + (target > after ? " and then grows to " + target + " elsewhere" : "") + why;
        }
        if (held == 0 && soon == 0) {
            return job.leaving
                    ? "waits: its former workers are still ending"
                    : "waits for its first " + (job.width() == 1 ? kind(job) + "slot" : slots(job.width(), job)) + ": "
                            + supply(job);
        }
        String now = held == 0
                ? "starts with " + soon
                : soon > held ? "grows from " + held + " to " + soon : "holds " + held;
        if (target == soon) {
            return now + of + why;
        }
        String then;
        if (settling) {
            then = "once its size has settled";
        } else if (job.leaving) {
            then = "once its own leaving workers are gone";
        } else {
            then = "when they are free, " + supply(job);
        }
        return now + of + ", goes to " + target + " " + then + why;
    }

    private String why(Job job, Share share) {
        int size = job.size();
        int next = job.nextSize();
        if (next == size && !job.boundReason().isEmpty()) {
            return job.boundReason();
        }
        if (next == size) {
            return size == 1 ? "it can use no second worker" : "it can use no more";
        }
        int step = (next - size) * job.width();
        if (share.spare() >= job.width() && next > size + 1 && step > share.spare()) {
            int tried = size + share.spare() / job.width();
            return "worker " + (size + 1) + (tried > size + 1 ? " to " + tried : "") + " would not make it faster, "
                    + job.most() + " logical workers on " + tried + " still take "
                    + UsefulSizes.rounds(job.most(), size) + " rounds";
        }
        if (share.jobs() == 1) {
            return slots(share.slots(), job) + " " + (share.slots() == 1 ? "is" : "are")
                    + " left for elastic jobs of priority " + share.priority() + others(job);
        }
        Demand.Standing standing = job.demand.standing();
        return slots(share.slots(), job) + " " + (share.slots() == 1 ? "is" : "are") + " shared fairly by "
                + share.jobs() + " elastic jobs of priority " + share.priority()
                + (standing == null ? "" : ", of those of " + standing.group() + " the leading one grows first");
    }

    private String others(Job job) {
        Set<JobId> takers = new LinkedHashSet<>(pool.takers(job.demand.gpu()));
        takers.remove(job.id());
        return takers.isEmpty() ? "" : ", the others are taken by " + names(takers);
    }

    /** How the slots a job was given come to be free. */
    private static String supply(Job job) {
        int free = 0;
        Map<@Nullable JobId, Integer> returning = new LinkedHashMap<>();
        for (List<Cell> worker : job.placed) {
            for (Cell cell : worker) {
                if (cell.free()) {
                    free++;
                } else {
                    returning.merge(cell.holder, 1, Integer::sum);
                }
            }
        }
        List<String> parts = new ArrayList<>();
        parts.add(free + " free");
        returning.forEach((holder, count) -> parts.add(count
                + (count == 1 ? " comes back from " : " come back from ")
                + (holder == null ? "a job that ended" : holder)));
        return String.join(", ", parts);
    }

    private String slots(long count, Job job) {
        return count + " " + kind(job) + (count == 1 ? "slot" : "slots");
    }

    private String kind(Job job) {
        if (job.demand.gpu() || pool.total(new Terms(true, false, false)) == 0) {
            return "GPU ";
        }
        return pool.total(new Terms(false, true, false)) == 0 ? "CPU " : "";
    }

    private static String workers(Job job) {
        int workers = job.least();
        if (job.width() == 1) {
            return workers + (workers == 1 ? " worker" : " workers") + " of 1 slot";
        }
        return workers + (workers == 1 ? " worker" : " workers") + " of " + job.width() + " slots on one agent";
    }

    private static String where(List<List<Cell>> workers) {
        Set<String> agents = new LinkedHashSet<>();
        workers.forEach(cells -> cells.forEach(cell -> agents.add(cell.agent().value())));
        return agents.isEmpty() ? "" : " on " + list(agents);
    }

    private static String names(Collection<JobId> jobs) {
        if (jobs.size() > JOBS_NAMED + 1) {
            String first = jobs.stream().limit(JOBS_NAMED).map(JobId::value).collect(Collectors.joining(", "));
            return first + " and " + (jobs.size() - JOBS_NAMED) + " more";
        }
        return list(jobs.stream().map(JobId::value).toList());
    }

    private static String list(Collection<String> names) {
        List<String> all = List.copyOf(names);
        if (all.size() == 1) {
            return all.getFirst();
        }
        return String.join(", ", all.subList(0, all.size() - 1)) + " and " + all.getLast();
    }
}
