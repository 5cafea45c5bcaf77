package concertina.train;

import concertina.model.AgentCommand;
import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import concertina.train.Agents.NumberedCommand;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Commands of one agent session, numbered from 1 and kept until acknowledged. Soft: a new session starts an empty one. Guarded
 * by its own lock, so that a waiting poll holds up nobody. Thread-safe.
 */
final class CommandQueue {
    private final ReentrantLock lock = new ReentrantLock();
    private final Condition changed = lock.newCondition();
    private final Deque<NumberedCommand> waiting = new ArrayDeque<>();
    private long last;
    private boolean closed;

    void add(AgentCommand command) {
        lock.lock();
        try {
            last++;
            waiting.add(new NumberedCommand(last, command));
            changed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    /** Ends the session: whoever waits is told that it is unknown. */
    void close() {
        lock.lock();
        try {
            closed = true;
            changed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    /** Commands above the acknowledged number, as soon as there are any; empty when the time is over. */
    List<NumberedCommand> await(long acknowledged, Duration atMost) throws InterruptedException {
        lock.lock();
        try {
            while (!waiting.isEmpty() && waiting.getFirst().sequence() <= acknowledged) {
                waiting.removeFirst();
            }
            long left = atMost.toNanos();
            while (!closed && waiting.isEmpty() && left > 0) {
                left = changed.awaitNanos(left);
            }
            if (closed) {
                throw unknownSession();
            }
            return List.copyOf(waiting);
        } finally {
            lock.unlock();
        }
    }

    static ConcertinaException unknownSession() {
        return new ConcertinaException(ErrorCode.CONFLICT, "unknown session");
    }
}
