package concertina.api.platform;

import concertina.api.Answers;
import concertina.api.LogFiles;
import concertina.api.OwnedJobs;
import concertina.api.Parameters;
import concertina.api.ResultPaths;
import concertina.api.Routes;
import concertina.identity.Caller;
import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import concertina.train.JobView;
import concertina.train.JobView.WorkerView;
import concertina.wire.Json;
import io.javalin.http.Context;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** Jobs in full: state, workers, generations, logs that can be followed, files. Thread-safe. */
final class JobRoutes {
    private static final String JOBS = PlatformApi.BASE + "/jobs";
    private static final String JOB = JOBS + "/{id}";
    private static final int MAX_FILES = 100_000;

    /** Of workers that are gone and of switches, both of which a job may have thousands of: so many of the latest are shown. */
    private static final int LATEST = 500;

    private static final int LATEST_IN_A_LIST = 20;
    private static final JsonMapper JSON = Json.mapper();

    private final OwnedJobs jobs;

    JobRoutes(OwnedJobs jobs) {
        this.jobs = jobs;
    }

    void register(Routes routes) {
        routes.user(
                "GET",
                JOBS,
                (context, caller) -> Answers.json(
                        context,
                        Map.of(
                                "jobs",
                                jobs.visible(caller).stream()
                                        .map(job -> json(job, LATEST_IN_A_LIST))
                                        .toList())));
        routes.user("GET", JOB, (context, caller) -> Answers.json(context, json(found(context, caller), LATEST)));
        routes.user(
                "POST",
                JOB + "/resume",
                (context, caller) -> Answers.json(context, json(jobs.resume(caller, context.pathParam("id")), LATEST)));
        routes.user("GET", JOB + "/log", this::log);
        routes.user("GET", JOB + "/files", this::list);
        routes.user("GET", JOB + "/files/<path>", this::file);
    }

    private JobView found(Context context, Caller caller) {
        return jobs.find(caller, context.pathParam("id"));
    }

    /**
     * The view's members under their own names, except that only the names of environment variables are shown, and of workers that
     * are gone and of switches only so many of the latest, with two members that count the others.
     */
    private static ObjectNode json(JobView job, int latest) {
        List<WorkerView> workers = job.livingAndLatest(latest);
        List<JobView.Switch> all = job.switches();
        List<JobView.Switch> switches = all.subList(Math.max(0, all.size() - latest), all.size());
        ObjectNode node = JSON.valueToTree(job.with(workers, switches));
        node.put("workersLeftOut", job.workers().size() - workers.size());
        node.put("switchesLeftOut", all.size() - switches.size());
        ObjectNode spec = (ObjectNode) node.get("spec");
        spec.put("framework", job.spec().framework().label());
        ArrayNode names = spec.putArray("environment");
        job.spec().environment().keySet().stream().sorted().forEach(names::add);
        return node;
    }

    private void log(Context context, Caller caller) throws IOException, InterruptedException {
        JobView job = found(context, caller);
        String stream = Parameters.oneOf(context, "stream", "training", "output", "error", "launcher")
                .orElse("training");
        boolean follow = Parameters.oneOf(context, "follow", "true", "false")
                .map("true"::equals)
                .orElse(false);
        Optional<Integer> worker = Parameters.whole(context, "worker", 1, Integer.MAX_VALUE);
        long offset = Parameters.offset(context, "offset").orElse(0L);
        if (offset > 0 && worker.isEmpty()) {
            throw ConcertinaException.invalid(
                    "offset", Long.toString(offset), "only together with worker, because it counts in one file");
        }
        String name = fileName(stream, job.spec().framework().elastic());
        context.contentType("text/plain; charset=utf-8");
        if (follow) {
            // The raw stream, because what the framework wraps around it does not pass a flush on.
            LogFollower follower = new LogFollower(context.res().getOutputStream(), offset);
            follower.follow(
                    () -> files(jobs.find(caller, context.pathParam("id")), name, worker),
                    () -> jobs.find(caller, context.pathParam("id")).state().finalState());
            return;
        }
        List<Path> files = files(job, name, worker);
        if (worker.isPresent()) {
            context.result(LogFiles.from(files.getFirst(), offset));
        } else {
            context.result(LogFiles.concatenated(files));
        }
    }

    /** An elastic job keeps {@code stdout} for the training log alone; what its processes printed lies in {@code output}. */
    private static String fileName(String stream, boolean elastic) {
        return switch (stream) {
            case "output" -> elastic ? "output" : "stdout";
            case "error" -> "stderr";
            case "launcher" -> "launcher";
            default -> "stdout";
        };
    }

    private List<Path> files(JobView job, String name, Optional<Integer> worker) throws IOException {
        if (worker.isEmpty()) {
            return jobs.files().find(job.id(), job.creator(), "log/*/" + name);
        }
        String folder = job.workers().stream()
                .filter(view -> view.ordinal() == worker.get())
                .map(WorkerView::logFolder)
                .findFirst()
                .orElseThrow(() -> new ConcertinaException(
                        ErrorCode.NOT_FOUND, "job " + job.id() + " has no worker " + worker.get()));
        return List.of(
                jobs.files().folder(job.id(), job.creator()).resolve(folder).resolve(name));
    }

    private void list(Context context, Caller caller) throws IOException {
        JobView job = found(context, caller);
        Path folder = jobs.files().folder(job.id(), job.creator());
        List<Map<String, Object>> entries = new ArrayList<>();
        if (Files.isDirectory(folder)) {
            try (Stream<Path> paths = Files.walk(folder)) {
                for (Path path :
                        (Iterable<Path>) paths.filter(path -> Files.isRegularFile(path, LinkOption.NOFOLLOW_LINKS))
                                .limit(MAX_FILES)::iterator) {
                    Map<String, Object> entry = new LinkedHashMap<>();
                    entry.put("path", folder.relativize(path).toString());
                    entry.put("size", Files.size(path));
                    entry.put("modifiedAt", Files.getLastModifiedTime(path).toInstant());
                    entries.add(entry);
                }
            }
        }
        Answers.json(context, Map.of("files", entries));
    }

    private void file(Context context, Caller caller) throws IOException {
        JobView job = found(context, caller);
        Path file = ResultPaths.existing(jobs.files().folder(job.id(), job.creator()), context.pathParam("path"));
        context.header(
                "Content-Disposition", "attachment;filename=" + Answers.headerName(String.valueOf(file.getFileName())));
        context.contentType("application/octet-stream").result(Files.newInputStream(file));
    }
}
