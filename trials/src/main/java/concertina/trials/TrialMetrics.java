package concertina.trials;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.core.StreamReadConstraints;
import tools.jackson.core.json.JsonFactory;
import tools.jackson.core.json.JsonReadFeature;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * Reads {@code val_dict_list.json}: a list of objects, or one object, each with some metrics and maybe the step. Python writes NaN and
 * Infinity as words, which is no JSON but is read; they are no measurement.
 */
final class TrialMetrics {
    static final String FILE = "val_dict_list.json";
    private static final int LIMIT_BYTES = 16 << 20;
    private static final int DEPTH = 20;
    static final JsonMapper JSON = JsonMapper.builder(JsonFactory.builder()
                    .streamReadConstraints(StreamReadConstraints.builder()
                            .maxNestingDepth(DEPTH)
                            .build())
                    .build())
            .enable(JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS)
            .enable(tools.jackson.databind.DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
            .build();

    private TrialMetrics() {}

    /** The result of a trial whose job ended in good order and left these files of that name. */
    static TrialResult read(SearchSpec spec, List<Path> files) {
        if (files.isEmpty()) {
            return new TrialResult.Failed("it wrote no RESULT_DIR/" + FILE);
        }
        try {
            byte[] bytes;
            // A script may have put a link to somebody else's file there.
            try (InputStream in = Files.newInputStream(files.getFirst(), LinkOption.NOFOLLOW_LINKS)) {
                bytes = in.readNBytes(LIMIT_BYTES + 1);
            }
            if (bytes.length > LIMIT_BYTES) {
                return new TrialResult.Failed(
                        FILE + " has more than " + LIMIT_BYTES + " bytes, accepted: at most " + LIMIT_BYTES);
            }
            CharBuffer text = StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes));
            return result(spec, text.toString());
        } catch (CharacterCodingException notText) {
            return new TrialResult.Failed(FILE + " is not UTF-8");
        } catch (IOException unreadable) {
            return new TrialResult.Failed(FILE + " cannot be read: " + unreadable.getMessage());
        }
    }

    static TrialResult result(SearchSpec spec, String text) {
        JsonNode root;
        try {
            root = JSON.readTree(text);
        } catch (JacksonException notJson) {
            return new TrialResult.Failed(FILE + " is not JSON: " + oneLine(notJson.getOriginalMessage()));
        }
        List<JsonNode> entries = new ArrayList<>();
        if (root.isObject()) {
            entries.add(root);
        } else if (root.isArray()) {
            root.forEach(entries::add);
        } else {
            return new TrialResult.Failed(FILE + " holds " + shown(root) + ", accepted: a list of objects");
        }
        for (JsonNode entry : entries) {
            if (!entry.isObject()) {
                return new TrialResult.Failed(FILE + " lists " + shown(entry) + ", accepted: a list of objects");
            }
        }
        return result(spec, entries);
    }

    private static TrialResult result(SearchSpec spec, List<JsonNode> entries) {
        Set<String> needed = new LinkedHashSet<>();
        spec.objectives().forEach(objective -> needed.add(objective.metric()));
        spec.constraints().forEach(constraint -> needed.add(constraint.metric()));
        for (String metric : needed) {
            String mistake = mistake(metric, entries);
            if (mistake != null) {
                return new TrialResult.Failed(mistake);
            }
        }
        List<JsonNode> counting = spec.oneEntry() ? whole(needed, entries) : entries;
        if (counting.isEmpty()) {
            return new TrialResult.Failed(
                    "no entry of " + FILE + " has a finite number for each of " + String.join(", ", needed));
        }
        List<MetricSummary> summaries = new ArrayList<>();
        needed.forEach(metric -> summary(metric, counting).ifPresent(summaries::add));
        spec.reported().keySet().stream()
                .filter(metric -> !needed.contains(metric))
                .forEach(metric -> summary(metric, entries).ifPresent(summaries::add));
        return new TrialResult.Measured(summaries);
    }

    /** Entries that have a finite number of every metric. */
    private static List<JsonNode> whole(Set<String> metrics, List<JsonNode> entries) {
        return entries.stream()
                .filter(entry -> metrics.stream().allMatch(metric -> finite(entry.path(metric))))
                .toList();
    }

    /** What is wrong with a metric that a trial must have; null when it can be used. */
    private static @Nullable String mistake(String metric, List<JsonNode> entries) {
        boolean written = false;
        boolean known = false;
        for (JsonNode entry : entries) {
            JsonNode value = entry.path(metric);
            if (!value.isMissingNode() && !value.isNumber()) {
                return "metric '" + metric + "' is " + shown(value) + " in " + FILE + ", accepted: a number";
            }
            written |= !value.isMissingNode();
            known |= finite(value);
        }
        return known
                ? null
                : written
                        ? "metric '" + metric + "' is never a finite number in " + FILE
                        : "metric '" + metric + "' is missing in " + FILE + known(entries);
    }

    private static boolean finite(JsonNode value) {
        return value.isNumber() && Double.isFinite(value.doubleValue());
    }

    /** Empty where no entry has a finite number of the metric. */
    private static Optional<MetricSummary> summary(String metric, List<JsonNode> entries) {
        double[] values = entries.stream()
                .map(entry -> entry.path(metric))
                .filter(TrialMetrics::finite)
                .mapToDouble(JsonNode::doubleValue)
                .toArray();
        if (values.length == 0) {
            return Optional.empty();
        }
        double min = Arrays.stream(values).min().orElseThrow();
        double max = Arrays.stream(values).max().orElseThrow();
        return Optional.of(new MetricSummary(metric, min, max, values[values.length - 1]));
    }

    private static String known(List<JsonNode> entries) {
        if (entries.isEmpty()) {
            return ", which is empty";
        }
        Set<String> names = new LinkedHashSet<>(entries.getLast().propertyNames());
        return names.isEmpty()
                ? ""
                : ", which holds "
                        + oneLine(String.join(", ", names.stream().limit(10).toList()));
    }

    private static String shown(JsonNode node) {
        return "'" + oneLine(node.toString()) + "'";
    }

    private static String oneLine(String text) {
        String line = text.replaceAll("\\p{Cntrl}+", " ").strip();
        return line.length() > 100 ? line.substring(0, 100) + "…" : line;
    }
}
