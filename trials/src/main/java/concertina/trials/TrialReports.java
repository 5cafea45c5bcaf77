package concertina.trials;

import concertina.model.UserName;
import concertina.train.JobFiles;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;

/**
 * Reads what the job of one trial reports as it runs: the lines that {@code concertina.report} and {@code EMetrics} append below
 * {@code log/}, as far as the server has them. Reads on where it ended, and of long files so much at a time. Used by one thread.
 */
final class TrialReports {
    private static final Logger LOG = LoggerFactory.getLogger(TrialReports.class);
    private static final String FILES = "log/**/{reports,evaluation-metrics}.txt";
    private static final int MOST_FILES = 100;
    private static final int PIECE_BYTES = 1 << 20;
    private static final int MOST_PIECES = 16;

    /** So many looks at files that are known come to one look for further ones. */
    private static final int LOOKS_AT_FILES = 10;

    /** So many reports of a trial count whatever their steps; then each must be somewhat further on, which bounds their number. */
    private static final int ALL_COUNT = 100;

    private static final double FURTHER = 1.02;

    private final JobFiles files;
    private final UserName user;
    private final TrialLife trial;
    private final Objective objective;
    private final Map<Path, Long> offsets = new HashMap<>();
    private List<Path> paths = List.of();
    private int looks;

    TrialReports(JobFiles files, UserName user, TrialLife trial, Objective objective) {
        this.files = files;
        this.user = user;
        this.trial = trial;
        this.objective = objective;
    }

    /**
     * Reports that are new, in order of their steps, each later than those that were recorded.
     *
     * @param last whether nothing comes any more, so that no file may be missed
     */
    List<TrialReport> read(boolean last) throws IOException {
        if (last || paths.isEmpty() || ++looks % LOOKS_AT_FILES == 0) {
            List<Path> all = files.find(trial.job, user, FILES);
            paths = List.copyOf(all.subList(0, Math.min(MOST_FILES, all.size())));
        }
        List<TrialReport> found = new ArrayList<>();
        for (Path path : paths) {
            try {
                int pieces = 0;
                while (pieces < MOST_PIECES && piece(path, found)) {
                    pieces++;
                }
            } catch (IOException unreadable) {
                LOG.debug("reports of trial {} are read later: {}", trial.number, unreadable.toString());
            }
        }
        found.sort(Comparator.comparingDouble(TrialReport::step));
        return thinned(found);
    }

    private List<TrialReport> thinned(List<TrialReport> found) {
        List<TrialReport> kept = new ArrayList<>();
        double last = trial.lastStep;
        int count = trial.reports;
        for (TrialReport report : found) {
            if (report.step() > last && (count < ALL_COUNT || report.step() >= last * FURTHER)) {
                kept.add(report);
                last = report.step();
                count++;
            }
        }
        return kept;
    }

    /** Takes up the next whole lines of a file. Returns whether there may be more. */
    private boolean piece(Path path, List<TrialReport> found) throws IOException {
        long offset = offsets.getOrDefault(path, 0L);
        long size = Files.readAttributes(path, BasicFileAttributes.class, LinkOption.NOFOLLOW_LINKS)
                .size();
        offset = size < offset ? 0 : offset;
        if (size == offset) {
            return false;
        }
        ByteBuffer piece = ByteBuffer.allocate((int) Math.min(PIECE_BYTES, size - offset));
        try (FileChannel channel = FileChannel.open(path, Set.of(StandardOpenOption.READ, LinkOption.NOFOLLOW_LINKS))) {
            while (piece.hasRemaining() && channel.read(piece, offset + piece.position()) >= 0) {
                // The next read goes on where this one ended.
            }
        }
        byte[] bytes = piece.array();
        int end = piece.position();
        while (end > 0 && bytes[end - 1] != '\n') {
            end--;
        }
        boolean full = piece.position() == PIECE_BYTES;
        new String(bytes, 0, end, StandardCharsets.UTF_8).lines().forEach(line -> add(line, found));
        // A line that fills a whole piece is none of ours and is passed over.
        offsets.put(path, offset + (end == 0 && full ? PIECE_BYTES : end));
        return full;
    }

    private void add(String line, List<TrialReport> found) {
        if (!line.startsWith("{")) {
            return;
        }
        JsonNode root;
        try {
            root = TrialMetrics.JSON.readTree(line);
        } catch (JacksonException notOurs) {
            return;
        }
        boolean evaluation = root.has("grouplabel");
        if (evaluation && !root.path("grouplabel").asString("").equals("test")) {
            return;
        }
        JsonNode step = evaluation ? root.path("etimes").path("iteration").path("value") : root.path("steps");
        JsonNode value =
                evaluation ? root.path("values").path(objective.metric()).path("value") : root.path(objective.metric());
        double at = number(step);
        double measured = number(value);
        if (Double.isFinite(at) && Double.isFinite(measured)) {
            found.add(new TrialReport(trial.number, at, measured));
        }
    }

    /** EMetrics writes numbers as texts. */
    private static double number(JsonNode node) {
        if (node.isNumber()) {
            return node.doubleValue();
        }
        try {
            return node.isString() ? Double.parseDouble(node.asString()) : Double.NaN;
        } catch (NumberFormatException notANumber) {
            return Double.NaN;
        }
    }
}
