package concertina.server;

import java.io.PrintStream;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import tools.jackson.databind.JsonNode;

/**
 * A search before somebody's eyes: a table drawn anew in its place on a terminal, otherwise a line for each change. Owned by one thread.
 */
final class SearchScreen {
    private static final long PAUSE_MILLIS = 500;
    private static final int MOST_LINES = 500;

    /** Lines that the head, the heading and the prompt take. */
    private static final int OTHER_LINES = 6;

    private final ServerClient client;
    private final String search;
    private final PrintStream out;
    private final boolean terminal =
            System.console() != null && System.console().isTerminal();
    private int drawn;

    SearchScreen(ServerClient client, String search, PrintStream out) {
        this.client = client;
        this.search = search;
        this.out = out;
    }

    void once() throws InterruptedException {
        JsonNode found = client.get(SearchCommand.path(search));
        SearchTable.head(found).forEach(out::println);
        List<String> trials = SearchTable.trials(found);
        if (!trials.isEmpty()) {
            out.println();
            trials.forEach(out::println);
        }
    }

    /** Shows until the search has ended; 0 when it finished, 1 when it was stopped or failed. */
    int follow() throws InterruptedException {
        int latest = terminal ? Math.max(3, size("LINES", 24) - OTHER_LINES) : MOST_LINES;
        Map<Long, String> known = new HashMap<>();
        while (true) {
            JsonNode found = client.get(SearchCommand.path(search) + "?latest=" + latest);
            if (terminal) {
                draw(found);
            } else {
                SearchTable.changes(found, known).forEach(out::println);
            }
            String state = found.path("state").asString("");
            if (!state.equals("SUBMITTED") && !state.equals("RUNNING")) {
                if (!terminal) {
                    SearchTable.head(found).forEach(out::println);
                }
                return state.equals("FINISHED") ? 0 : 1;
            }
            TimeUnit.MILLISECONDS.sleep(PAUSE_MILLIS);
        }
    }

    private void draw(JsonNode found) {
        List<String> lines = new ArrayList<>(SearchTable.head(found));
        lines.add("");
        lines.addAll(SearchTable.trials(found));
        int width = Math.max(40, size("COLUMNS", 120));
        StringBuilder frame = new StringBuilder();
        if (drawn > 0) {
            frame.append("\u001b[").append(drawn).append('A');
        }
        for (String line : lines) {
            frame.append("\u001b[2K")
                    .append(line.length() < width ? line : line.substring(0, width - 2) + "…")
                    .append('\n');
        }
        frame.append("\u001b[J");
        drawn = lines.size();
        out.print(frame);
        out.flush();
    }

    private static int size(String variable, int standard) {
        try {
            return Integer.parseInt(System.getenv().getOrDefault(variable, ""));
        } catch (NumberFormatException unknown) {
            return standard;
        }
    }
}
