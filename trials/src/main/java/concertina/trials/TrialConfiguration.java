package concertina.trials;

import concertina.search.Point;
import concertina.search.Value;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.json.JsonMapper;

/** Writes what a trial finds in {@code config.json}: one flat object, numbers as numbers. Pure. */
final class TrialConfiguration {
    private static final JsonMapper JSON = JsonMapper.builder().build();

    private TrialConfiguration() {}

    static String text(Point point, String resourceName, @Nullable Double resource) {
        Map<String, Object> values = new LinkedHashMap<>();
        point.values().forEach((name, value) -> values.put(name, plain(value)));
        if (resource != null && !resourceName.isEmpty()) {
            values.put(resourceName, whole(resource));
        }
        return JSON.writeValueAsString(values) + "\n";
    }

    private static Object plain(Value value) {
        return switch (value) {
            case Value.Real real -> real.value();
            case Value.Whole whole -> whole.value();
            case Value.Word word -> word.value();
        };
    }

    /** A script that counts with it cannot take 3.0 for 3. */
    private static Object whole(double resource) {
        if (resource == Math.rint(resource) && Math.abs(resource) < 1e15) {
            return (long) resource;
        }
        return resource;
    }
}
