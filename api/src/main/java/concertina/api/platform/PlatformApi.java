package concertina.api.platform;

import concertina.api.Answers;
import concertina.api.Authentication;
import concertina.api.Contract;
import concertina.api.OwnedJobs;
import concertina.api.OwnedSearches;
import concertina.api.Routes;
import concertina.api.Uploads;
import concertina.identity.Accounts;
import concertina.identity.Caller;
import concertina.model.ErrorCode;
import concertina.model.JobState;
import concertina.train.ClusterStatus;
import concertina.train.ClusterStatus.AgentStatus;
import concertina.train.ClusterStatus.SlotStatus;
import concertina.train.JobFiles;
import concertina.train.Jobs;
import concertina.trials.Searches;
import io.javalin.http.Context;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** Our own API: jobs in full, their logs and files, the cluster, users, health and metrics. Thread-safe. */
public final class PlatformApi implements Contract {
    static final String BASE = "/concertina/v1";
    private static final String DESCRIPTION = "/concertina/api/openapi.yaml";

    private final String version;
    private final Jobs jobs;
    private final PrometheusMeterRegistry metrics;
    private final JobRoutes jobRoutes;
    private final SearchRoutes searchRoutes;
    private final SearchAnalysisRoutes searchAnalysisRoutes;
    private final UserRoutes userRoutes;
    private final byte[] description;

    public PlatformApi(
            String version,
            Authentication authentication,
            Uploads uploads,
            Jobs jobs,
            JobFiles files,
            Searches searches,
            Accounts accounts,
            PrometheusMeterRegistry metrics) {
        this.version = version;
        this.jobs = jobs;
        this.metrics = metrics;
        this.jobRoutes = new JobRoutes(new OwnedJobs(jobs, files, ErrorCode.NOT_FOUND));
        OwnedSearches owned = new OwnedSearches(searches);
        this.searchRoutes = new SearchRoutes(owned, uploads);
        this.searchAnalysisRoutes = new SearchAnalysisRoutes(owned);
        this.userRoutes = new UserRoutes(accounts, authentication, uploads);
        this.description = description();
        observe();
    }

    @Override
    public void register(Routes routes) {
        // Open, so that a load balancer or a waiting script can ask without credentials; it says nothing about jobs.
        routes.open("GET", "/healthz", context -> Answers.json(context, Map.of("status", "ok", "version", version)));
        routes.user(
                "GET",
                "/metrics",
                (context, caller) -> context.contentType("text/plain; version=0.0.4; charset=utf-8")
                        .result(metrics.scrape()));
        routes.user(
                "GET",
                BASE + "/openapi.yaml",
                (context, caller) -> context.contentType("application/yaml").result(description));
        routes.user("GET", BASE + "/cluster", this::cluster);
        jobRoutes.register(routes);
        searchRoutes.register(routes);
        searchAnalysisRoutes.register(routes);
        userRoutes.register(routes);
    }

    /** Who holds which slot; the job is named only to those who may see it. */
    private void cluster(Context context, Caller caller) {
        List<Map<String, Object>> agents = new ArrayList<>();
        ClusterStatus cluster = jobs.cluster();
        for (AgentStatus agent : cluster.agents()) {
            List<Map<String, Object>> slots = new ArrayList<>();
            for (SlotStatus slot : agent.slots()) {
                slots.add(slot(slot, caller));
            }
            Map<String, Object> entry = new LinkedHashMap<>();
            entry.put("agent", agent.agent().value());
            entry.put("host", agent.host());
            entry.put("connected", agent.connected());
            entry.put("slots", slots);
            agents.add(entry);
        }
        Answers.json(context, Map.of("agents", agents));
    }

    private Map<String, Object> slot(SlotStatus slot, Caller caller) {
        Map<String, Object> entry = new LinkedHashMap<>();
        entry.put("id", slot.slot().id().value());
        entry.put("kind", slot.slot().kind());
        entry.put("device", slot.slot().device());
        entry.put("label", slot.slot().label());
        entry.put("memoryBytes", slot.slot().memoryBytes());
        var job = slot.job();
        entry.put("held", job != null);
        if (job != null
                && jobs.find(job)
                        .filter(view -> caller.mayTouch(view.creator()))
                        .isPresent()) {
            entry.put("job", job.value());
            if (slot.worker() != null) {
                entry.put("worker", slot.worker());
            }
        }
        return entry;
    }

    private void observe() {
        for (JobState state : JobState.values()) {
            Gauge.builder(
                            "concertina.jobs",
                            () -> jobs.list().stream()
                                    .filter(job -> job.state() == state)
                                    .count())
                    .description("Jobs by state")
                    .tag("state", state.name().toLowerCase(Locale.ROOT))
                    .register(metrics);
        }
        for (SlotState state : SlotState.values()) {
            Gauge.builder(
                            "concertina.slots",
                            () -> jobs.cluster().agents().stream()
                                    .flatMap(agent -> agent.slots().stream().map(slot -> SlotState.of(agent, slot)))
                                    .filter(state::equals)
                                    .count())
                    .description("Slots by state; lost are those of agents that do not answer")
                    .tag("state", state.name().toLowerCase(Locale.ROOT))
                    .register(metrics);
        }
    }

    private enum SlotState {
        FREE,
        HELD,
        LOST;

        static SlotState of(AgentStatus agent, SlotStatus slot) {
            if (!agent.connected()) {
                return LOST;
            }
            return slot.job() == null ? FREE : HELD;
        }
    }

    private static byte[] description() {
        try (InputStream stream = PlatformApi.class.getResourceAsStream(DESCRIPTION)) {
            if (stream == null) {
                throw new IllegalStateException("the build lacks " + DESCRIPTION);
            }
            return stream.readAllBytes();
        } catch (IOException failure) {
            throw new UncheckedIOException(failure);
        }
    }
}
