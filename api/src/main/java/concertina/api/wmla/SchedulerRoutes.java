package concertina.api.wmla;

import concertina.api.Answers;
import concertina.api.LogFiles;
import concertina.api.OwnedJobs;
import concertina.api.Parameters;
import concertina.api.Routes;
import concertina.identity.Caller;
import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import concertina.train.ClusterStatus.AgentStatus;
import concertina.train.ClusterStatus.SlotStatus;
import concertina.train.JobView;
import concertina.train.JobView.WorkerView;
import io.javalin.http.Context;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import org.jspecify.annotations.Nullable;

/**
 * The scheduler's view of jobs: applications, their logs, the one instance group and the resource plans. Lists hold the
 * caller's jobs, for an administrator everybody's. Thread-safe.
 */
final class SchedulerRoutes {
    private static final String APPLICATIONS = WmlaApi.BASE + "/scheduler/applications";
    private static final String APPLICATION = APPLICATIONS + "/{id}";
    private static final String ENGINE = WmlaApi.BASE + "/scheduler/engine/applications";
    private static final String PLANS = WmlaApi.BASE + "/resplans";
    private static final int MAX_LIST = 100_000;
    private static final int MAX_LINES = 10_000_000;
    private static final List<String> APPLICATION_FIELDS = List.of(
            "id",
            "applicationid",
            "applicationname",
            "type",
            "state",
            "slots",
            "demandslots",
            "username",
            "submittedtime",
            "timestamp",
            "endtime",
            "framework");
    private static final List<String> ENGINE_FIELDS = List.of(
            "id",
            "consumer",
            "submit_user",
            "name",
            "priority",
            "type",
            "state",
            "task12n_num",
            "used_gpu",
            "used_cpu",
            "submit_time",
            "start_time",
            "end_time",
            "framework");

    private final WmlaOptions options;
    private final OwnedJobs jobs;

    SchedulerRoutes(WmlaOptions options, OwnedJobs jobs) {
        this.options = options;
        this.jobs = jobs;
    }

    void register(Routes routes) {
        routes.user("GET", APPLICATIONS, this::applications);
        routes.user("PUT", APPLICATION + "/stop", (context, caller) -> {
            jobs.stop(caller, context.pathParam("id"));
            context.status(204);
        });
        routes.user("GET", APPLICATION + "/driver/logs/{type}", (context, caller) -> driverLog(context, caller, false));
        routes.user(
                "GET",
                APPLICATION + "/driver/logs/{type}/download",
                (context, caller) -> driverLog(context, caller, true));
        routes.user(
                "GET",
                APPLICATION + "/executor/{number}/logs/{type}",
                (context, caller) -> executorLog(context, caller, false));
        routes.user(
                "GET",
                APPLICATION + "/executor/{number}/logs/{type}/download",
                (context, caller) -> executorLog(context, caller, true));
        routes.user("GET", ENGINE, this::engineApplications);
        routes.user(
                "GET",
                ENGINE + "/{id}",
                (context, caller) ->
                        Answers.json(context, List.of(Views.engine(jobs.find(caller, context.pathParam("id"))))));
        routes.user("GET", WmlaApi.BASE + "/scheduler/kubernetesobjects", (context, caller) -> {
            Parameters.oneOf(context, "type", "pod", "paralleljob");
            Answers.json(context, List.of());
        });
        routes.user("GET", WmlaApi.BASE + "/scheduler/instances", this::instances);
        routes.user(
                "GET",
                WmlaApi.BASE + "/scheduler/applicationStatistic",
                (context, caller) -> Answers.json(
                        context,
                        ConsoleRoutes.counts(jobs.visible(caller).stream()
                                .map(JobView::state)
                                .toList())));
        routes.user(
                "GET", PLANS + "/resplantree", (context, caller) -> Answers.json(context, List.of(root(), standard())));
        routes.user("GET", PLANS + "/resplan/{name}", this::plan);
        routes.admin("DELETE", PLANS + "/resplan/{name}", (context, caller) -> fixedPlans());
        routes.admin("POST", PLANS + "/resplan", (context, caller) -> fixedPlans());
        routes.admin("PUT", PLANS + "/resplan", (context, caller) -> fixedPlans());
    }

    private void applications(Context context, Caller caller) {
        List<Map<String, Object>> items = jobs.visible(caller).stream()
                .map(job -> Views.application(job, options.namespace()))
                .filter(item -> matches(context, "applicationid", item.get("applicationid")))
                .filter(item -> matches(context, "applicationname", item.get("applicationname")))
                .filter(item -> matches(context, "driverid", item.get("applicationid")))
                .filter(item -> sameInstance(context))
                .filter(item -> contains(context, item))
                .toList();
        items = Views.inStates(items, Parameters.list(context, "state"));
        Answers.json(context, page(context, items, APPLICATION_FIELDS));
    }

    private void engineApplications(Context context, Caller caller) {
        List<Map<String, Object>> items =
                jobs.visible(caller).stream().map(Views::engine).toList();
        items = Views.inStates(items, Parameters.list(context, "state"));
        Answers.json(context, page(context, items, ENGINE_FIELDS));
    }

    private boolean sameInstance(Context context) {
        return Parameters.text(context, "sigId")
                .map(wanted -> wanted.equals(instanceId()) || wanted.equals(options.namespace()))
                .orElse(true);
    }

    private static boolean matches(Context context, String parameter, @Nullable Object value) {
        return Parameters.text(context, parameter)
                .map(wanted -> wanted.equals(value))
                .orElse(true);
    }

    private static boolean contains(Context context, Map<String, Object> item) {
        Optional<String> search = Parameters.text(context, "search").map(text -> text.toLowerCase(Locale.ROOT));
        return search.isEmpty()
                || List.of("applicationid", "applicationname", "username").stream()
                        .anyMatch(member -> String.valueOf(item.get(member))
                                .toLowerCase(Locale.ROOT)
                                .contains(search.get()));
    }

    private static List<Map<String, Object>> page(
            Context context, List<Map<String, Object>> items, List<String> fields) {
        List<Map<String, Object>> sorted = items;
        Optional<String> sort = Parameters.text(context, "sort");
        Optional<String> order = Parameters.oneOf(context, "order", "asc", "desc");
        if (sort.isPresent() || order.isPresent()) {
            String member = sort.orElse("id");
            boolean minus = member.startsWith("-");
            boolean descending = order.map("desc"::equals).orElse(minus);
            sorted = Views.sorted(items, "sort", minus ? member.substring(1) : member, descending, fields);
        }
        int start = Parameters.whole(context, "start", 0, Integer.MAX_VALUE).orElse(0);
        int length = Parameters.whole(context, "length", 0, MAX_LIST).orElse(MAX_LIST);
        return sorted.stream().skip(start).limit(length).toList();
    }

    private void driverLog(Context context, Caller caller, boolean download) throws IOException {
        JobView job = jobs.find(caller, context.pathParam("id"));
        if (job.workers().isEmpty()) {
            sendLog(context, job, Optional.empty(), "driver", download);
        } else {
            sendLog(context, job, Optional.of(job.workers().getFirst()), "driver", download);
        }
    }

    private void executorLog(Context context, Caller caller, boolean download) throws IOException {
        JobView job = jobs.find(caller, context.pathParam("id"));
        String number = context.pathParam("number");
        int count = job.workers().size();
        int index = number.matches("\\d{1,9}") ? Integer.parseInt(number) : 0;
        if (index < 1 || index > Math.max(1, count)) {
            throw new ConcertinaException(
                    ErrorCode.NOT_FOUND,
                    "executor is '" + number + "', accepted: a whole number from 1 to " + Math.max(1, count));
        }
        Optional<WorkerView> worker =
                count == 0 ? Optional.empty() : Optional.of(job.workers().get(index - 1));
        sendLog(context, job, worker, "executor-" + index, download);
    }

    /** A job whose first worker has not started has empty logs. */
    private void sendLog(Context context, JobView job, Optional<WorkerView> worker, String who, boolean download)
            throws IOException {
        String type = context.pathParam("type");
        String file = switch (type) {
            case "stdout" -> job.spec().framework().elastic() ? "output" : "stdout";
            case "stderr" -> "stderr";
            case "launcherlog" -> "launcher";
            default -> throw ConcertinaException.invalid("log type", type, "one of stdout, stderr, launcherlog");
        };
        Optional<Integer> lines = Parameters.whole(context, "lastlines", 1, MAX_LINES);
        context.contentType("text/plain; charset=utf-8");
        if (download) {
            context.contentType("application/octet-stream")
                    .header(
                            "Content-Disposition",
                            "attachment;filename=" + Answers.headerName(job.id() + "-" + who + "-" + type + ".log"));
        }
        if (worker.isEmpty()) {
            context.result("");
            return;
        }
        Path path = jobs.files()
                .folder(job.id(), job.creator())
                .resolve(worker.get().logFolder())
                .resolve(file);
        context.result(lines.isPresent() ? LogFiles.lastLines(path, lines.get()) : LogFiles.from(path, 0));
    }

    private void instances(Context context, Caller caller) {
        Map<String, Object> instance = new LinkedHashMap<>();
        instance.put("uuid", instanceId());
        instance.put("name", options.namespace());
        instance.put("version", options.version());
        instance.put("masterUrl", ExecRoutes.baseUrl(options, context));
        instance.put("executionUser", System.getProperty("user.name", ""));
        instance.put("state", "Started");
        instance.put("historyServerUrl", "");
        Answers.json(context, List.of(instance));
    }

    private String instanceId() {
        return UUID.nameUUIDFromBytes(options.namespace().getBytes(StandardCharsets.UTF_8))
                .toString();
    }

    private void plan(Context context, Caller caller) {
        String name = context.pathParam("name");
        if (name.equals("root")) {
            Answers.json(context, root());
        } else if (name.equals("default")) {
            Answers.json(context, standard());
        } else {
            throw new ConcertinaException(
                    ErrorCode.NOT_FOUND, "resource plan is '" + name + "', accepted: one of root, default");
        }
    }

    private static void fixedPlans() {
        throw new ConcertinaException(
                ErrorCode.INVALID_ARGUMENT,
                "resource plans are fixed: one consumer, default, shares everything among its users");
    }

    private Map<String, Object> root() {
        return node("1", "0", "root");
    }

    private Map<String, Object> standard() {
        return node("2", "1", "default");
    }

    private Map<String, Object> node(String id, String parent, String name) {
        List<SlotStatus> slots = jobs.jobs().cluster().agents().stream()
                .filter(AgentStatus::connected)
                .flatMap(agent -> agent.slots().stream())
                .toList();
        Map<String, Object> share = new LinkedHashMap<>();
        share.put("name", name);
        share.put("shareRatio", 1);
        share.put("slots", slots.size());
        share.put("slotsHeld", slots.stream().filter(slot -> slot.job() != null).count());
        Map<String, Object> node = new LinkedHashMap<>();
        node.put("id", id);
        node.put("pid", parent);
        node.put("name", name);
        node.put("childTreeDto", share);
        return node;
    }
}
