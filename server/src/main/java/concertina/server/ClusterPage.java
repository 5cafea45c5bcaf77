package concertina.server;

import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import java.util.ArrayList;
import java.util.List;
import tools.jackson.databind.JsonNode;

/** Agents and slots as our own API tells them. Owned by one thread. */
final class ClusterPage {
    private static final String PATH = "/concertina/v1/cluster";

    private final ServerClient client;

    ClusterPage(ServerClient client) {
        this.client = client;
    }

    /** One slot and who holds it; job is empty when nobody does. */
    record SlotRow(String slot, String label, String agent, boolean connected, String job) {}

    List<SlotRow> read() throws InterruptedException {
        List<SlotRow> rows = new ArrayList<>();
        for (JsonNode agent : client.get(PATH).path("agents")) {
            for (JsonNode slot : agent.path("slots")) {
                rows.add(new SlotRow(
                        slot.path("id").asString(""),
                        slot.path("label").asString(""),
                        agent.path("agent").asString(""),
                        agent.path("connected").asBoolean(false),
                        slot.path("job").asString(slot.path("held").asBoolean(false) ? "somebody else" : "")));
            }
        }
        return rows;
    }

    /** Whether the agent has joined; a server that does not answer counts as no. Throws NOT_AUTHENTICATED. */
    boolean connected(String agent) {
        try {
            return read().stream().anyMatch(row -> row.agent().equals(agent) && row.connected());
        } catch (ConcertinaException notYet) {
            if (notYet.code() == ErrorCode.NOT_AUTHENTICATED) {
                throw notYet;
            }
            return false;
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
            return false;
        }
    }

    /** What there is, in words: "4 CPU shares". */
    String slots() throws InterruptedException {
        List<SlotRow> rows = read();
        String label = rows.isEmpty() ? "" : rows.getFirst().label();
        return rows.size() + (label.isEmpty() ? "" : " × " + label);
    }
}
