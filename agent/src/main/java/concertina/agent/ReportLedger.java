package concertina.agent;

import concertina.model.AgentHello.KnownWorker;
import concertina.model.AgentReport;
import concertina.model.JobId;
import concertina.model.WorkerId;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * What the agent still has to tell, in order, and what it would have to tell again to a server that lost its memory: of
 * every worker not yet forgotten its start, the last message of each type, its end; once the server has its end, that alone and
 * the start. Thread-safe; its lock is the object itself. While the server is away, newer progress takes the place of older.
 */
final class ReportLedger {
    /** From this many waiting reports on, progress is thinned further. */
    private static final int ROOMY = 1000;

    private final Map<WorkerId, Memory> workers = new LinkedHashMap<>();
    private final Deque<Entry> waiting = new ArrayDeque<>();
    private long lastNumber;

    /** A report and its place in the order of everything ever told. */
    record Entry(long number, AgentReport report) {}

    /** What a hello says about workers, and the number of the last report it covers. */
    record Snapshot(List<KnownWorker> workers, long covers) {}

    private static final class Memory {
        private AgentReport.@Nullable Started started;
        private final Map<String, AgentReport> messages = new LinkedHashMap<>();
        private AgentReport.@Nullable Exited exited;
        private AgentReport.@Nullable Shipped shipped;
        private long lastNumber;

        void keep(AgentReport report) {
            switch (report) {
                case AgentReport.Started it -> started = it;
                case AgentReport.Message it -> {
                    String type = type(it);
                    messages.remove(type);
                    messages.put(type, it);
                }
                case AgentReport.Exited it -> exited = it;
                case AgentReport.Shipped it -> shipped = it;
            }
        }

        /** What was said matters no more once the end is known: a job may have thousands of workers, one after the other. */
        void settle(long acknowledged) {
            if (exited != null && shipped != null && lastNumber <= acknowledged) {
                messages.clear();
            }
        }

        List<AgentReport> reports() {
            List<AgentReport> reports = new ArrayList<>();
            if (started != null) {
                reports.add(started);
            }
            reports.addAll(messages.values());
            if (exited != null) {
                reports.add(exited);
            }
            if (shipped != null) {
                reports.add(shipped);
            }
            return reports;
        }
    }

    /** Takes note of a worker before anything happened to it; false when it is known already. */
    synchronized boolean know(WorkerId worker) {
        return workers.putIfAbsent(worker, new Memory()) == null;
    }

    /** Adds a report of a known worker; those of forgotten ones are dropped. */
    synchronized void add(AgentReport report) {
        Memory memory = workers.get(report.worker());
        if (memory == null) {
            return;
        }
        memory.keep(report);
        if (waiting.size() >= ROOMY && progress(report)) {
            waiting.removeIf(
                    entry -> progress(entry.report()) && entry.report().worker().equals(report.worker()));
        }
        waiting.add(new Entry(++lastNumber, report));
        memory.lastNumber = lastNumber;
        notifyAll();
    }

    private static boolean progress(AgentReport report) {
        return report instanceof AgentReport.Message message && type(message).equals("progress");
    }

    private static String type(AgentReport.Message message) {
        return message.message().get("type") instanceof String type ? type : "";
    }

    /** The oldest reports that are not acknowledged; waits until there is one. */
    synchronized List<Entry> oldest(int atMost) throws InterruptedException {
        while (waiting.isEmpty()) {
            wait();
        }
        List<Entry> entries = new ArrayList<>();
        for (Iterator<Entry> each = waiting.iterator(); each.hasNext() && entries.size() < atMost; ) {
            entries.add(each.next());
        }
        return entries;
    }

    /** The server has everything up to this number. */
    synchronized void acknowledge(long number) {
        waiting.removeIf(entry -> entry.number() <= number);
        workers.values().forEach(memory -> memory.settle(number));
    }

    synchronized Snapshot snapshot() {
        List<KnownWorker> known = new ArrayList<>();
        workers.forEach((worker, memory) -> known.add(new KnownWorker(worker, memory.reports())));
        return new Snapshot(known, lastNumber);
    }

    /** Drops everything about a job's workers, told or not. */
    synchronized void forget(JobId job) {
        workers.keySet().removeIf(worker -> worker.job().equals(job));
        waiting.removeIf(entry -> entry.report().worker().job().equals(job));
    }
}
