package concertina.api;

import concertina.model.ConcertinaException;
import io.javalin.http.Context;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/** Query parameters, checked. Messages name the parameter, quote its value and say what is accepted. */
public final class Parameters {
    private Parameters() {}

    /** The parameter's value; empty when it is missing or blank. */
    public static Optional<String> text(Context context, String name) {
        String query = context.queryString();
        if (query == null) {
            return Optional.empty();
        }
        // Read here, because the framework takes a value with a broken escape for one that is missing.
        for (String pair : query.split("&", -1)) {
            int equals = pair.indexOf('=');
            if (decoded(equals < 0 ? pair : pair.substring(0, equals)).equals(name)) {
                return Optional.of(equals < 0 ? "" : decoded(pair.substring(equals + 1)))
                        .filter(value -> !value.isBlank());
            }
        }
        return Optional.empty();
    }

    private static String decoded(String text) {
        try {
            return URLDecoder.decode(text, StandardCharsets.UTF_8);
        } catch (IllegalArgumentException malformed) {
            throw ConcertinaException.invalid("query", text, "percent-encoded UTF-8");
        }
    }

    /** A whole number within bounds; empty when it is missing. */
    public static Optional<Integer> whole(Context context, String name, int least, int most) {
        return text(context, name).map(value -> {
            try {
                int number = Integer.parseInt(value.strip());
                if (number >= least && number <= most) {
                    return number;
                }
            } catch (NumberFormatException notANumber) {
                throw ConcertinaException.invalid(name, value, "a whole number from " + least + " to " + most);
            }
            throw ConcertinaException.invalid(name, value, "a whole number from " + least + " to " + most);
        });
    }

    /** A byte offset; empty when it is missing. */
    public static Optional<Long> offset(Context context, String name) {
        return text(context, name).map(value -> {
            if (!value.matches("\\d{1,18}")) {
                throw ConcertinaException.invalid(name, value, "a whole number from 0");
            }
            return Long.parseLong(value);
        });
    }

    /** One of a few words; empty when the parameter is missing. */
    public static Optional<String> oneOf(Context context, String name, String... accepted) {
        return text(context, name).map(value -> {
            if (!Arrays.asList(accepted).contains(value)) {
                throw ConcertinaException.invalid(name, value, "one of " + String.join(", ", accepted));
            }
            return value;
        });
    }

    /** A comma-separated list of words, upper-cased by the caller's convention; empty when the parameter is missing. */
    public static List<String> list(Context context, String name) {
        return text(context, name)
                .map(value -> Arrays.stream(value.split(",", -1))
                        .map(String::strip)
                        .filter(word -> !word.isEmpty())
                        .toList())
                .orElse(List.of());
    }
}
