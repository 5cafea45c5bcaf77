package concertina.train;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** What a worker's runtime says, read from the untyped form of docs/protocol.md. */
sealed interface WorkerMessage {
    record Prepared(String address, int logicalWorkers, long stepsPerEpoch, long epochs) implements WorkerMessage {}

    record Formed(int generation) implements WorkerMessage {}

    record Unformed(int generation, String error) implements WorkerMessage {}

    record Switched(int generation, long step, double pauseMillis) implements WorkerMessage {}

    record Broken(int generation, long step, String error) implements WorkerMessage {}

    record Progress(
            int generation,
            long epoch,
            long step,
            long steps,
            @Nullable Double loss,
            @Nullable Double accuracy,
            int wanted)
            implements WorkerMessage {}

    /**
     * What a worker's watch sees of its training thread.
     *
     * @param step completed steps
     * @param phase {@code waiting}, {@code computing}, or another, which may take long
     * @param late whether that takes longer than the worker allows
     * @param waitsFor whom it waits for
     * @param where the script's innermost lines
     * @param microMillis recent time per micro-batch, 0 when not known
     */
    record Beat(
            int generation,
            long step,
            String phase,
            long seconds,
            boolean late,
            List<String> waitsFor,
            String where,
            double microMillis)
            implements WorkerMessage {
        public Beat {
            waitsFor = List.copyOf(waitsFor);
        }

        boolean waiting() {
            return phase.equals("waiting");
        }

        boolean mayTakeLong() {
            return !waiting() && !phase.equals("computing");
        }
    }

    record Left(int generation, long step) implements WorkerMessage {}

    record Done(
            long step, @Nullable Double testLoss, @Nullable Double testAccuracy, String weightsSha256, String model)
            implements WorkerMessage {}

    record Failed(String error) implements WorkerMessage {}

    /** It has no memory for the job's state and ends. */
    record Short(String error) implements WorkerMessage {}

    /**
     * Reads a message. Empty for an unknown type or when a member is missing or of the wrong kind: the script shares the
     * worker's process, so nothing that comes from there may be trusted to be well formed.
     */
    static Optional<WorkerMessage> read(Map<String, Object> fields) {
        try {
            return Optional.ofNullable(
                    switch (text(fields, "type")) {
                        case "prepared" ->
                            new Prepared(
                                    text(fields, "address"),
                                    whole(fields, "logicalWorkers"),
                                    count(fields, "stepsPerEpoch"),
                                    count(fields, "epochs"));
                        case "formed" -> new Formed(whole(fields, "generation"));
                        case "unformed" -> new Unformed(whole(fields, "generation"), optionalText(fields, "error"));
                        case "switched" ->
                            new Switched(
                                    whole(fields, "generation"),
                                    count(fields, "step"),
                                    Optional.ofNullable(number(fields, "pauseMillis"))
                                            .orElse(0.0));
                        case "broken" ->
                            new Broken(
                                    whole(fields, "generation"), count(fields, "step"), optionalText(fields, "error"));
                        case "progress" ->
                            new Progress(
                                    whole(fields, "generation"),
                                    count(fields, "epoch"),
                                    count(fields, "step"),
                                    count(fields, "steps"),
                                    number(fields, "loss"),
                                    number(fields, "accuracy"),
                                    fields.get("wanted") instanceof Number ? Math.max(1, whole(fields, "wanted")) : 0);
                        case "beat" ->
                            new Beat(
                                    whole(fields, "generation"),
                                    count(fields, "step"),
                                    text(fields, "phase"),
                                    count(fields, "seconds"),
                                    Boolean.TRUE.equals(fields.get("late")),
                                    fields.get("for") instanceof List<?> names
                                            ? names.stream()
                                                    .map(String::valueOf)
                                                    .toList()
                                            : List.of(),
                                    oneLine(optionalText(fields, "where")),
                                    Optional.ofNullable(number(fields, "microMillis"))
                                            .orElse(0.0));
                        case "left" -> new Left(whole(fields, "generation"), count(fields, "step"));
                        case "done" ->
                            new Done(
                                    count(fields, "step"),
                                    number(fields, "testLoss"),
                                    number(fields, "testAccuracy"),
                                    optionalText(fields, "weightsSha256"),
                                    optionalText(fields, "model"));
                        case "failed" -> new Failed(oneLine(optionalText(fields, "error")));
                        case "short" -> new Short(oneLine(optionalText(fields, "error")));
                        default -> null;
                    });
        } catch (IllegalArgumentException malformed) {
            return Optional.empty();
        }
    }

    /** The text on one line of bearable length, fit for a reason. */
    static String oneLine(String text) {
        String line = text.strip().replaceAll("\\s*\\R\\s*", " ").replaceAll("\\p{Cntrl}", " ");
        return line.length() > 500 ? line.substring(0, 500) + "…" : line;
    }

    private static String text(Map<String, Object> fields, String name) {
        if (fields.get(name) instanceof String value) {
            return value;
        }
        throw new IllegalArgumentException(name);
    }

    private static String optionalText(Map<String, Object> fields, String name) {
        return fields.get(name) instanceof String value ? value : "";
    }

    private static int whole(Map<String, Object> fields, String name) {
        long value = count(fields, name);
        if (value != (int) value) {
            throw new IllegalArgumentException(name);
        }
        return (int) value;
    }

    private static long count(Map<String, Object> fields, String name) {
        if (fields.get(name) instanceof Number value) {
            return value.longValue();
        }
        throw new IllegalArgumentException(name);
    }

    private static @Nullable Double number(Map<String, Object> fields, String name) {
        return fields.get(name) instanceof Number value && Double.isFinite(value.doubleValue())
                ? value.doubleValue()
                : null;
    }
}
