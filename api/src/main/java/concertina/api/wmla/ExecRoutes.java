package concertina.api.wmla;

import concertina.api.Answers;
import concertina.api.LogFiles;
import concertina.api.OwnedJobs;
import concertina.api.Parameters;
import concertina.api.Routes;
import concertina.api.Uploads;
import concertina.api.Uploads.FilePart;
import concertina.api.Uploads.Form;
import concertina.identity.Caller;
import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import concertina.model.JobId;
import concertina.model.JobSpec;
import concertina.train.JobView;
import io.javalin.http.Context;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** Submit, watch and fetch jobs. Thread-safe. */
final class ExecRoutes {
    private static final String EXECS = WmlaApi.BASE + "/execs";
    private static final String EXEC = EXECS + "/{id}";
    private static final int MAX_LIST = 100_000;
    private static final List<String> SORT_FIELDS =
            List.of("id", "creator", "state", "appName", "createTime", "numWorker", "framework", "elastic");
    private static final JsonMapper JSON = JsonMapper.builder().build();

    private final WmlaOptions options;
    private final Uploads uploads;
    private final OwnedJobs jobs;
    private final ServerScripts scripts;

    ExecRoutes(WmlaOptions options, Uploads uploads, OwnedJobs jobs) {
        this.options = options;
        this.uploads = uploads;
        this.jobs = jobs;
        this.scripts = new ServerScripts(options.scriptFolders());
    }

    void register(Routes routes) {
        routes.user("POST", EXECS, this::submit);
        routes.user("GET", EXECS, this::list);
        routes.user("DELETE", EXECS, this::deleteOwn);
        routes.user("GET", EXEC, (context, caller) -> Answers.json(context, exec(context, found(context, caller))));
        routes.user("DELETE", EXEC, (context, caller) -> {
            jobs.delete(caller, context.pathParam("id"));
            context.status(204);
        });
        routes.user("POST", EXEC + "/stop", (context, caller) -> {
            jobs.stop(caller, context.pathParam("id"));
            context.status(204);
        });
        routes.user("GET", EXEC + "/log", this::log);
        routes.user("GET", EXEC + "/result", this::result);
        routes.user("POST", EXEC + "/deploy", (context, caller) -> {
            found(context, caller);
            throw new ConcertinaException(
                    ErrorCode.INVALID_ARGUMENT,
                    "deploy is not available, accepted: download the model with " + EXECS + "/<id>/result");
        });
    }

    private JobView found(Context context, Caller caller) {
        return jobs.find(caller, context.pathParam("id"));
    }

    private void submit(Context context, Caller caller) throws IOException, InterruptedException {
        Optional<String> args = Parameters.text(context, "args");
        boolean gpu = jobs.clusterHasGpus();
        // A wrong flag or a full quota is told before the upload is read.
        if (args.isPresent()) {
            SubmitLine.parse(args.get(), null, gpu);
        }
        jobs.jobs().checkQuota(caller.user());
        try (Form form = uploads.receive(context)) {
            JsonNode data = form.field("data").map(ExecRoutes::data).orElse(null);
            String line = args.or(() -> fromData(data))
                    .orElseThrow(() -> ConcertinaException.invalid(
                            "args", "", "a command line such as --exec-start PyTorch --model-main a.py"));
            JobSpec spec = SubmitLine.parse(line, data, gpu);
            JobView job = submit(
                    caller, spec, form.files().isEmpty() ? null : form.files().getFirst());
            Answers.json(context, exec(context, job));
        }
    }

    private JobView submit(Caller caller, JobSpec spec, @Nullable FilePart upload) throws IOException {
        if (upload == null) {
            if (spec.userCommand().isEmpty()) {
                scripts.check(spec.modelMain());
            }
            JobSpec bare = SubmitLine.withoutCode(spec);
            return jobs.jobs().submit(jobs.jobs().nextId(), caller.user(), bare, false);
        }
        JobId id = jobs.jobs().nextId();
        boolean submitted = false;
        try {
            JobSpec placed = SubmitLine.withCode(
                    spec, jobs.files().storeCode(id, caller.user(), upload.fileName(), upload.path()));
            JobView job = jobs.jobs().submit(id, caller.user(), placed, true);
            submitted = true;
            return job;
        } finally {
            if (!submitted) {
                jobs.files().delete(id, caller.user());
            }
        }
    }

    private static JsonNode data(String text) {
        try {
            JsonNode data = JSON.readTree(text);
            if (data.isObject()) {
                return data;
            }
        } catch (JacksonException notJson) {
            throw notData(text);
        }
        throw notData(text);
    }

    private static ConcertinaException notData(String text) {
        String start = text.length() > 100 ? text.substring(0, 100) + "…" : text;
        return ConcertinaException.invalid("data", start, "a JSON object with args, hardwareSpec, dataSource");
    }

    private static Optional<String> fromData(@Nullable JsonNode data) {
        if (data == null) {
            return Optional.empty();
        }
        JsonNode args = data.path("args");
        return args.isString() && !args.asString().isBlank() ? Optional.of(args.asString()) : Optional.empty();
    }

    private void list(Context context, Caller caller) {
        List<Map<String, Object>> execs =
                jobs.own(caller).stream().map(job -> exec(context, job)).toList();
        execs = Views.inStates(execs, Parameters.list(context, "state"));
        Optional<String> sort = Parameters.text(context, "sort_by");
        if (sort.isPresent()) {
            int colon = sort.get().indexOf(':');
            String field = colon < 0 ? sort.get() : sort.get().substring(0, colon);
            String order = colon < 0 ? "asc" : sort.get().substring(colon + 1);
            if (!order.equals("asc") && !order.equals("desc")) {
                throw ConcertinaException.invalid("sort_by", sort.get(), "<field>:asc or <field>:desc");
            }
            execs = Views.sorted(execs, "sort_by", field, order.equals("desc"), SORT_FIELDS);
        }
        int limit = Parameters.whole(context, "limit", 0, MAX_LIST).orElse(MAX_LIST);
        Answers.json(context, execs.stream().limit(limit).toList());
    }

    private void deleteOwn(Context context, Caller caller) throws IOException {
        for (JobView job : jobs.own(caller)) {
            jobs.delete(caller, job.id().value());
        }
        context.status(204);
    }

    private void log(Context context, Caller caller) throws IOException {
        JobView job = found(context, caller);
        List<Path> files = new ArrayList<>();
        for (String name : logNames(
                Parameters.oneOf(context, "logType", "outlog", "errlog", "outerrlog")
                        .orElse(""),
                job.spec().framework().elastic())) {
            files.addAll(jobs.files().find(job.id(), job.creator(), "log/*/" + name));
        }
        String accept = context.header("Accept");
        if (accept != null && LogFiles.prefersJson(accept)) {
            context.contentType("application/json");
            try (InputStream text = LogFiles.concatenated(files)) {
                LogFiles.writeJsonString(text, context.outputStream());
            }
        } else {
            context.contentType("text/plain; charset=utf-8").result(LogFiles.concatenated(files));
        }
    }

    /**
     * Which files of a worker's log folder a log type means. An elastic job keeps {@code stdout} for the training log alone, so
     * what its processes printed lies in {@code output}.
     */
    static List<String> logNames(String logType, boolean elastic) {
        String printed = elastic ? "output" : "stdout";
        return switch (logType) {
            case "outlog" -> List.of(printed);
            case "errlog" -> List.of("stderr");
            case "outerrlog" -> List.of(printed, "stderr");
            default -> List.of("stdout");
        };
    }

    private void result(Context context, Caller caller) throws IOException {
        JobView job = found(context, caller);
        Path zip = jobs.files().zipResult(job.id(), job.creator());
        context.header(
                "Content-Disposition",
                "attachment;filename=dlpd-model-" + Answers.headerName(job.id().value()) + "-result.zip;size="
                        + Files.size(zip));
        Answers.temporaryFile(context, zip, "application/zip");
    }

    private Map<String, Object> exec(Context context, JobView job) {
        return Views.exec(job, jobs.files(), baseUrl(options, context), options.namespace());
    }

    static String baseUrl(WmlaOptions options, Context context) {
        String host = context.host();
        return options.publicUrl().isEmpty() && host != null ? context.scheme() + "://" + host : options.publicUrl();
    }
}
