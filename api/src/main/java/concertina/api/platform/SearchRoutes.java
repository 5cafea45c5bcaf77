package concertina.api.platform;

import concertina.api.OwnedSearches;
import concertina.api.Routes;
import concertina.api.Uploads;
import concertina.identity.Caller;
import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import concertina.search.Parameter;
import concertina.search.Point;
import concertina.search.Value;
import concertina.trials.SearchView;
import io.javalin.http.Context;
import java.io.IOException;
import java.math.BigInteger;
import java.util.LinkedHashMap;
import java.util.Map;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** What our own API adds to searches. Thread-safe. */
final class SearchRoutes {
    private static final String POINTS = PlatformApi.BASE + "/searches/{name}/points";
    private static final int BODY_LIMIT_BYTES = 64 << 10;
    private static final JsonMapper JSON = JsonMapper.builder().build();

    private final OwnedSearches searches;
    private final Uploads uploads;

    SearchRoutes(OwnedSearches searches, Uploads uploads) {
        this.searches = searches;
        this.uploads = uploads;
    }

    void register(Routes routes) {
        routes.user("POST", POINTS, this::enqueue);
    }

    private void enqueue(Context context, Caller caller) throws IOException {
        SearchView search = searches.find(caller, context.pathParam("name"));
        JsonNode posted = object(uploads.small(context, BODY_LIMIT_BYTES));
        Map<String, Value> values = new LinkedHashMap<>();
        for (Parameter parameter : search.spec().parameters()) {
            if (posted.has(parameter.name())) {
                values.put(parameter.name(), value(parameter, posted.get(parameter.name())));
            }
        }
        for (String name : posted.propertyNames()) {
            if (!values.containsKey(name)) {
                throw ConcertinaException.invalid("name of a hyperparameter", name, names(search));
            }
        }
        searches.searches().enqueue(search.name(), search.creator(), new Point(values));
        context.status(204);
    }

    private static String names(SearchView search) {
        return String.join(
                ", ", search.spec().parameters().stream().map(Parameter::name).toList());
    }

    private static JsonNode object(byte[] body) {
        try {
            JsonNode posted = JSON.readTree(body);
            if (posted.isObject()) {
                return posted;
            }
        } catch (JacksonException malformed) {
            throw noObject();
        }
        throw noObject();
    }

    private static ConcertinaException noObject() {
        return new ConcertinaException(
                ErrorCode.INVALID_ARGUMENT, "the body is no point, accepted: a JSON object of names and values");
    }

    private static Value value(Parameter parameter, JsonNode posted) {
        String text = posted.asString("");
        try {
            return switch (parameter) {
                case Parameter.Choice choice ->
                    choice.values().stream()
                            .filter(value -> value.text().equals(text) || same(value, posted))
                            .findFirst()
                            .orElse(new Value.Word(text));
                case Parameter.Whole ignored -> new Value.Whole(Long.parseLong(text));
                case Parameter.Real ignored -> new Value.Real(Double.parseDouble(text));
            };
        } catch (IllegalArgumentException notANumber) {
            throw ConcertinaException.invalid(
                    parameter.name(), text, parameter instanceof Parameter.Whole ? "a whole number" : "a number");
        }
    }

    private static boolean same(Value value, JsonNode posted) {
        return posted.isNumber()
                && switch (value) {
                    case Value.Real real -> real.value() == posted.doubleValue();
                    case Value.Whole whole ->
                        posted.isIntegralNumber()
                                ? posted.bigIntegerValue().equals(BigInteger.valueOf(whole.value()))
                                : whole.value() == posted.doubleValue();
                    case Value.Word ignored -> false;
                };
    }
}
