package concertina.trials;

import java.io.IOException;

/** A process that runs one plug-in. Used by one thread; any other may close it. */
public interface PluginHost extends AutoCloseable {
    /** Starts processes. Thread-safe. */
    interface Starter {
        PluginHost start(Plugin plugin) throws IOException;
    }

    /**
     * Sends a line and waits for the answering one.
     *
     * @throws IOException when the process is gone or does not answer in time; it is of no use after that
     */
    String call(String request) throws IOException;

    /** What the process last printed, for people to read; all of it once it is closed. */
    String log();

    /** Ends the process; a call under way fails. */
    @Override
    void close();
}
