package concertina.api.wmla;

import concertina.api.Answers;
import concertina.api.Authentication;
import concertina.api.OwnedJobs;
import concertina.api.Routes;
import concertina.identity.Caller;
import concertina.identity.Identity.Token;
import concertina.model.JobState;
import concertina.train.ClusterStatus;
import concertina.train.ClusterStatus.AgentStatus;
import io.javalin.http.Context;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Logon, configuration, health, frameworks and the command-line client. Thread-safe. */
final class ConsoleRoutes {
    private static final String CLIENT = "/concertina/api/dlicmd.py";

    private final WmlaOptions options;
    private final Authentication authentication;
    private final OwnedJobs jobs;
    private final byte[] client;

    ConsoleRoutes(WmlaOptions options, Authentication authentication, OwnedJobs jobs) {
        this.options = options;
        this.authentication = authentication;
        this.jobs = jobs;
        this.client = client();
    }

    void register(Routes routes) {
        // Open, because it is where credentials are turned into a token; it proves them itself.
        routes.open("GET", "/auth/v1/logon", this::logon);
        routes.user("POST", "/auth/v1/logoff", this::logoff);
        // Open: a public program, fetched with wget before anybody has logged on.
        routes.open(
                "GET",
                "/ui/tools/dlicmd.py",
                context -> context.contentType("text/x-python; charset=utf-8").result(client));
        routes.user("GET", WmlaApi.BASE + "/conf", this::configuration);
        routes.user("GET", WmlaApi.BASE + "/status", this::status);
        routes.user(
                "GET",
                WmlaApi.BASE + "/execs/frameworks",
                (context, caller) -> Answers.json(context, Views.frameworks()));
    }

    private void logon(Context context) {
        Caller caller = authentication.basic(context);
        Token token = authentication.identity().issue(caller);
        Map<String, Object> answer = new LinkedHashMap<>();
        answer.put("username", caller.user().value());
        answer.put("role", caller.admin() ? "Admin" : "User");
        answer.put(
                "permissions",
                caller.admin()
                        ? List.of("administrator", "can_provision", "manage_catalog", "access_catalog")
                        : List.of("access_catalog", "can_provision"));
        answer.put("accessToken", token.value());
        answer.put("expiresIn", token.expiresInSeconds());
        answer.put("message", "success");
        context.header("Cache-Control", "no-store");
        Answers.json(context, answer);
    }

    private void logoff(Context context, Caller caller) {
        authentication.token(context).ifPresent(authentication.identity()::revoke);
        Answers.json(context, Map.of("username", caller.user().value(), "message", "success"));
    }

    private void configuration(Context context, Caller caller) {
        Map<String, String> configuration = new LinkedHashMap<>();
        configuration.put("MSD_ENABLED", "true");
        configuration.put("DLI_DATA_FS", options.dataFolder().toString());
        configuration.put("DLI_RESULT_FS", options.resultFolder().toString());
        configuration.put("DLI_SHARED_FS", options.sharedFolder().toString());
        configuration.put("NAMESPACE", options.namespace());
        configuration.put("VERSION", options.version());
        Answers.json(context, configuration);
    }

    private void status(Context context, Caller caller) {
        ClusterStatus cluster = jobs.jobs().cluster();
        long slots = cluster.agents().stream()
                .filter(AgentStatus::connected)
                .mapToLong(agent -> agent.slots().size())
                .sum();
        long held = cluster.agents().stream()
                .filter(AgentStatus::connected)
                .flatMap(agent -> agent.slots().stream())
                .filter(slot -> slot.job() != null)
                .count();
        Map<String, Object> status = new LinkedHashMap<>();
        status.put("status", "OK");
        status.put("version", options.version());
        status.put(
                "agents",
                cluster.agents().stream().filter(AgentStatus::connected).count());
        status.put("slots", slots);
        status.put("slotsFree", slots - held);
        status.put(
                "execs",
                counts(jobs.visible(caller).stream().map(job -> job.state()).toList()));
        Answers.json(context, status);
    }

    /** How many of each state, every state's word once. */
    static Map<String, Long> counts(List<JobState> states) {
        Map<String, Long> counts = new LinkedHashMap<>();
        for (JobState state : JobState.values()) {
            counts.merge(
                    Views.word(state), states.stream().filter(state::equals).count(), Long::sum);
        }
        return counts;
    }

    private static byte[] client() {
        try (InputStream stream = ConsoleRoutes.class.getResourceAsStream(CLIENT)) {
            if (stream == null) {
                throw new IllegalStateException("the build lacks " + CLIENT);
            }
            return stream.readAllBytes();
        } catch (IOException failure) {
            throw new UncheckedIOException(failure);
        }
    }
}
