package concertina.train;

import java.time.Duration;

/**
 * What the platform's owner may choose about the life of jobs.
 *
 * @param namespace first part of every job id
 * @param unfinishedJobsPerUser more are refused
 * @param heartbeat an agent silent for longer is lost
 * @param gathering how long prepared workers wait for others that are still loading, before they form a generation
 * @param forming how long the members of a generation may take to connect to each other
 * @param answering how long a worker may take to say where it stands after its generation broke, before it is killed
 * @param stopGrace time between TERM and KILL, and for a worker that is about to exit by itself
 * @param leftoverGrace how long other workers may run on after the one that wrote the final files has exited
 * @param shippingGrace how long a stopped or failed job waits for its last log lines
 * @param deaths so many deaths without a completed step in between fail a job
 * @param patience how long workers may take
 * @param slowness how slow workers may be
 * @param logs how much of a worker's log files is kept
 */
public record TrainOptions(
        String namespace,
        int unfinishedJobsPerUser,
        Duration heartbeat,
        Duration gathering,
        Duration forming,
        Duration answering,
        Duration stopGrace,
        Duration leftoverGrace,
        Duration shippingGrace,
        int deaths,
        Patience patience,
        Slowness slowness,
        Logs logs) {
    public static final TrainOptions DEFAULT = new TrainOptions(
            "concertina",
            1000,
            Duration.ofSeconds(30),
            Duration.ofSeconds(2),
            Duration.ofSeconds(30),
            Duration.ofMinutes(10),
            Duration.ofSeconds(10),
            Duration.ofSeconds(30),
            Duration.ofSeconds(15),
            5,
            Patience.DEFAULT,
            Slowness.DEFAULT,
            Logs.DEFAULT);

    public TrainOptions withUnfinishedJobsPerUser(int limit) {
        return new TrainOptions(
                namespace,
                limit,
                heartbeat,
                gathering,
                forming,
                answering,
                stopGrace,
                leftoverGrace,
                shippingGrace,
                deaths,
                patience,
                slowness,
                logs);
    }

    public TrainOptions withSlowness(Slowness other) {
        return new TrainOptions(
                namespace,
                unfinishedJobsPerUser,
                heartbeat,
                gathering,
                forming,
                answering,
                stopGrace,
                leftoverGrace,
                shippingGrace,
                deaths,
                patience,
                other,
                logs);
    }

    /**
     * How long workers may take before they count as hung; zero means for ever.
     *
     * @param hang least time without a sign of work in a step, and of silence while others wait, before a worker is replaced
     * @param longWork the same between two steps (evaluation, callbacks, files)
     * @param loading from the start of an elastic worker to its call of {@code train}
     * @param gang how long the others of a gang may run on after some ended in good order
     * @param loads so many workers in a row that did not load in time: no more are tried
     */
    public record Patience(Duration hang, Duration longWork, Duration loading, Duration gang, int loads) {
        public static final Patience DEFAULT = new Patience(
                Duration.ofSeconds(60), Duration.ofHours(1), Duration.ofMinutes(30), Duration.ofHours(1), 3);
    }

    /**
     * How much of a log file is kept when it grows longer than that.
     *
     * @param firstMegabytes its beginning
     * @param lastMegabytes its end
     */
    public record Logs(int firstMegabytes, int lastMegabytes) {
        public static final Logs DEFAULT = new Logs(64, 64);
    }

    /**
     * How slow workers may be, beside the median of their job's others, in time per micro-batch; a factor of zero is none.
     *
     * @param factor so many times slower is named
     * @param period for how long that must last, for either
     * @param replacementFactor so many times slower is replaced
     * @param replacements at most so many per job
     */
    public record Slowness(int factor, Duration period, int replacementFactor, int replacements) {
        public static final Slowness DEFAULT = new Slowness(2, Duration.ofSeconds(60), 4, 3);
    }
}
