package concertina.server;

import java.util.Locale;

/** Which of a job's logs. */
enum LogStream {
    /** What the script's logger wrote; of a job that is not elastic, its standard output. */
    TRAINING("training"),
    STDOUT("output"),
    STDERR("error"),
    /** What the platform did to start the workers. */
    LAUNCHER("launcher");

    private final String label;

    LogStream(String label) {
        this.label = label;
    }

    /** The name our own API knows it by. */
    String label() {
        return label;
    }

    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }
}
