package concertina.api;

import static org.assertj.core.api.Assertions.assertThat;

import concertina.api.Routes.Access;
import concertina.api.Routes.Route;
import java.io.IOException;
import java.io.InputStream;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.JsonNode;
import tools.jackson.dataformat.yaml.YAMLMapper;

class RoutesTest extends ServedTest {
    private static final Pattern OF_ONE_JOB = Pattern.compile("/\\{id}");

    private static String concrete(Route route) {
        return route.path().replaceAll("[{<]\\w+[}>]", "x");
    }

    private static String ofJob(Route route, String id) {
        return OF_ONE_JOB
                .matcher(route.path())
                .replaceFirst("/" + id)
                .replace("{type}", "stdout")
                .replaceAll("[{<]\\w+[}>]", "1");
    }

    private HttpResponse<String> call(Route route, HttpRequest.Builder request) {
        return server.send(request.method(
                route.method(),
                route.method().equals("GET")
                        ? HttpRequest.BodyPublishers.noBody()
                        : HttpRequest.BodyPublishers.ofString("{}")));
    }

    @Test
    void onlyHealthLogonAndTheClientProgramAreOpen() {
        assertThat(server.api.routes().stream()
                        .filter(route -> route.access() == Access.OPEN)
                        .map(Route::path))
                .containsExactlyInAnyOrder("/healthz", "/auth/v1/logon", "/ui/tools/dlicmd.py");
    }

    @Test
    void everyOtherRouteIsRefusedWithoutCredentialsAndWithWrongOnes() {
        List<Route> guarded = server.api.routes().stream()
                .filter(route -> route.access() != Access.OPEN)
                .toList();
        assertThat(guarded).hasSizeGreaterThan(40);
        for (Route route : guarded) {
            HttpRequest.Builder bare = HttpRequest.newBuilder(server.uri(concrete(route)));
            assertThat(call(route, bare).statusCode())
                    .as("%s without credentials", route)
                    .isEqualTo(401);
            HttpRequest.Builder wrong = HttpRequest.newBuilder(server.uri(concrete(route)))
                    .header("Authorization", TestServer.basic("bob", "guess"));
            assertThat(call(route, wrong).statusCode())
                    .as("%s with a wrong password", route)
                    .isEqualTo(401);
            HttpRequest.Builder forged = HttpRequest.newBuilder(server.uri(concrete(route)))
                    .header("X-Auth-Token", "eyJhbGciOiJub25lIn0.e30.");
            assertThat(call(route, forged).statusCode())
                    .as("%s with a forged token", route)
                    .isEqualTo(401);
        }
    }

    @Test
    void anAgentsTokenOpensNoUsersRouteAndAUserNoAdministratorsRoute() {
        for (Route route : server.api.routes()) {
            switch (route.access()) {
                case OPEN, AGENT -> {}
                case USER ->
                    assertThat(call(route, server.asAgent(concrete(route))).statusCode())
                            .as("%s", route)
                            .isEqualTo(401);
                case ADMIN -> {
                    assertThat(call(route, server.asAgent(concrete(route))).statusCode())
                            .as("%s", route)
                            .isEqualTo(401);
                    assertThat(call(route, server.as("bob", concrete(route))).statusCode())
                            .as("%s", route)
                            .isEqualTo(403);
                }
            }
        }
    }

    @Test
    void whoeverAsksForAnothersJobGetsNothingOnAnyRoute() {
        String id = server.submitted("bob", "--exec-start PyTorch --model-main main.py");
        List<Route> ofOneJob = server.api.routes().stream()
                .filter(route -> route.access() == Access.USER
                        && OF_ONE_JOB.matcher(route.path()).find())
                .toList();
        assertThat(ofOneJob).hasSizeGreaterThan(12);
        for (Route route : ofOneJob) {
            HttpResponse<String> anothers = call(route, server.as("eve", ofJob(route, id)));
            HttpResponse<String> nobodys = call(route, server.as("eve", ofJob(route, "concertina-77")));
            assertThat(anothers.statusCode()).as("%s", route).isIn(400, 404).isEqualTo(nobodys.statusCode());
            assertThat(anothers.body()).as("%s", route).isEqualTo(nobodys.body().replace("concertina-77", id));
        }
        assertThat(server.json("bob", "/platform/rest/deeplearning/v1/execs")).hasSize(1);
    }

    @Test
    void noRouteAnswersNonsenseWithAnIncident() {
        for (Route route : server.api.routes()) {
            HttpRequest.Builder request = route.access() == Access.AGENT
                    ? server.asAgent(concrete(route) + "?path=x&limit=x&offset=x")
                    : server.as("ada", concrete(route) + "?path=x&limit=x&offset=x&start=-1&lastlines=x&state=x");
            assertThat(call(route, request).statusCode()).as("%s", route).isLessThan(500);
        }
    }

    @Test
    void theDescriptionAndTheRegisteredRoutesAgreeBothWays() throws IOException {
        Set<String> described = new TreeSet<>();
        List<String> incomplete = new ArrayList<>();
        try (InputStream file = RoutesTest.class.getResourceAsStream("/concertina/api/openapi.yaml")) {
            JsonNode paths = new YAMLMapper().readTree(file).get("paths");
            for (String path : paths.propertyNames()) {
                for (String method : paths.get(path).propertyNames()) {
                    if (method.equals("parameters")) {
                        continue;
                    }
                    described.add(method.toUpperCase(java.util.Locale.ROOT) + " " + path);
                    JsonNode operation = paths.get(path).get(method);
                    if (!operation.path("summary").isString()
                            || operation.path("responses").isEmpty()) {
                        incomplete.add(method + " " + path);
                    }
                    boolean open = operation.path("security").isArray()
                            && operation.path("security").isEmpty();
                    Route route = server.api.routes().stream()
                            .filter(one -> brackets(one.path()).equals(path)
                                    && one.method().equalsIgnoreCase(method))
                            .findFirst()
                            .orElse(null);
                    if (route != null) {
                        assertThat(open).as("%s %s is open", method, path).isEqualTo(route.access() == Access.OPEN);
                    }
                }
            }
        }
        Set<String> registered = server.api.routes().stream()
                .map(route -> route.method() + " " + brackets(route.path()))
                .collect(Collectors.toCollection(TreeSet::new));
        assertThat(described).isEqualTo(registered);
        assertThat(incomplete).isEmpty();
    }

    @Test
    void theDescriptionIsServed() {
        assertThat(server.get("bob", "/concertina/v1/openapi.yaml").body()).startsWith("openapi: 3.1");
    }

    private static String brackets(String path) {
        return path.replace('<', '{').replace('>', '}');
    }
}
