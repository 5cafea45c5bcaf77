package concertina.server;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/**
 * What the command line shows of a job, as our own API tells it.
 *
 * @param slots ids of the slots its living workers hold
 * @param steps steps of the whole job, 0 when unknown
 */
record JobRow(
        String id,
        String creator,
        String framework,
        String state,
        String reason,
        List<String> slots,
        int generation,
        long step,
        long steps,
        @Nullable Double loss,
        @Nullable Double accuracy,
        @Nullable Double testAccuracy,
        String model,
        String weightsSha256) {
    private static final String PATH = "/concertina/v1/jobs";

    JobRow {
        slots = List.copyOf(slots);
    }

    static JobRow read(ServerClient client, String job) throws InterruptedException {
        return of(client.get(PATH + "/" + ServerClient.encoded(job)));
    }

    /** All jobs of the caller, oldest first. */
    static List<JobRow> list(ServerClient client) throws InterruptedException {
        List<JobRow> rows = new ArrayList<>();
        client.get(PATH).path("jobs").forEach(job -> rows.add(of(job)));
        return rows;
    }

    static JobRow of(JsonNode job) {
        List<String> slots = new ArrayList<>();
        for (JsonNode worker : job.path("workers")) {
            if (worker.path("alive").asBoolean(false)) {
                worker.path("slots").forEach(slot -> slots.add(slot.asString()));
            }
        }
        return new JobRow(
                job.path("id").asString(""),
                job.path("creator").asString(""),
                job.path("spec").path("framework").asString(""),
                job.path("state").asString(""),
                job.path("reason").asString(""),
                slots,
                job.path("generation").asInt(0),
                job.path("step").asLong(0),
                job.path("steps").asLong(0),
                number(job.path("loss")),
                number(job.path("accuracy")),
                number(job.path("testAccuracy")),
                job.path("model").asString(""),
                job.path("weightsSha256").asString(""));
    }

    boolean ended() {
        return state.equals("FINISHED") || state.equals("KILLED") || state.equals("ERROR");
    }

    private static @Nullable Double number(JsonNode value) {
        return value.isNumber() ? value.doubleValue() : null;
    }
}
