package concertina.search;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** A value for each parameter that exists under the others' values, in the order of the space. */
public record Point(Map<String, Value> values) {
    public Point {
        values = Collections.unmodifiableMap(new LinkedHashMap<>(values));
    }

    /** Null where the parameter does not exist in this point. */
    public @Nullable Value get(String name) {
        return values.get(name);
    }
}
