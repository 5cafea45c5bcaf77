package concertina.api.agents;

import concertina.api.Answers;
import concertina.api.Contract;
import concertina.api.Parameters;
import concertina.api.ResultPaths;
import concertina.api.Routes;
import concertina.api.Uploads;
import concertina.model.AgentHello;
import concertina.model.AgentId;
import concertina.model.AgentReport;
import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import concertina.model.JobId;
import concertina.train.Agents;
import concertina.train.Agents.NumberedCommand;
import concertina.train.JobFiles;
import concertina.train.JobView;
import concertina.train.Jobs;
import concertina.wire.Json;
import io.javalin.http.Context;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.json.JsonMapper;

/** The agents' side of docs/protocol.md, section 1. Thread-safe; bodies of files are streamed, never held. */
public final class AgentsApi implements Contract {
    private static final String JOB = "/agent/v1/jobs/{job}";
    private static final String AGENT = "/agent/v1/agents/{agent}";
    private static final int MESSAGE_LIMIT_BYTES = 64 << 20;
    private static final long LOG_LIMIT_BYTES = 64L << 20;
    private static final long FILE_LIMIT_BYTES = 256L << 30;
    private static final Duration FILE_TIMEOUT = Duration.ofHours(6);

    private final Agents agents;
    private final Jobs jobs;
    private final JobFiles files;
    private final Uploads uploads;
    private final Duration longestPoll;
    private final JsonMapper json = Json.mapper();

    /** @param longestPoll how long a poll is held when there is no command */
    public AgentsApi(Agents agents, Jobs jobs, JobFiles files, Uploads uploads, Duration longestPoll) {
        this.agents = agents;
        this.jobs = jobs;
        this.files = files;
        this.uploads = uploads;
        this.longestPoll = longestPoll;
    }

    private record Poll(
            @Nullable String session,
            long acknowledged,
            @Nullable List<Integer> ports) {}

    private record Commands(List<NumberedCommand> commands) {}

    private record Reports(
            @Nullable String session, @Nullable List<AgentReport> reports) {}

    @Override
    public void register(Routes routes) {
        routes.agent("POST", "/agent/v1/join", context -> {
            agents.join(read(context, AgentHello.class));
            context.status(204);
        });
        routes.agent("POST", AGENT + "/poll", this::poll);
        routes.agent("POST", AGENT + "/reports", context -> {
            Reports body = read(context, Reports.class);
            agents.report(
                    new AgentId(context.pathParam("agent")),
                    present("session", body.session()),
                    body.reports() == null ? List.of() : body.reports());
            context.status(204);
        });
        routes.agent("GET", JOB + "/code", this::code);
        routes.agent("GET", JOB + "/checkpoints", this::checkpoints);
        routes.agent("GET", JOB + "/results", this::results);
        routes.agent("GET", JOB + "/files", this::download);
        routes.agent("PUT", JOB + "/files", this::upload);
        routes.agent("DELETE", JOB + "/files", this::remove);
    }

    private void poll(Context context) throws IOException, InterruptedException {
        Poll body = read(context, Poll.class);
        List<NumberedCommand> commands = agents.poll(
                new AgentId(context.pathParam("agent")),
                present("session", body.session()),
                body.acknowledged(),
                body.ports() == null ? List.of() : body.ports(),
                longestPoll);
        Answers.json(context, new Commands(commands));
    }

    private void code(Context context) throws IOException {
        JobView job = job(context);
        JobFiles.Upload upload = files.code(job.id(), job.creator())
                .orElseThrow(() -> new ConcertinaException(ErrorCode.NOT_FOUND, "job " + job.id() + " has no code"));
        context.header("Concertina-Code-Name", upload.fileName());
        Answers.file(context, upload.path(), "application/octet-stream");
    }

    private void checkpoints(Context context) throws IOException {
        Answers.json(context, paths(job(context), "checkpoint/**"));
    }

    /** What a trial that goes on from this job finds: all but code, logs and the checkpoints that the engine itself resumes from. */
    private void results(Context context) throws IOException {
        JobView job = job(context);
        List<String> paths = paths(job, "**");
        Path folder = files.folder(job.id(), job.creator());
        files.code(job.id(), job.creator())
                .ifPresent(
                        upload -> paths.remove(folder.relativize(upload.path()).toString()));
        paths.removeIf(path -> path.startsWith("log/")
                || path.startsWith("_submitted_code/")
                || path.startsWith("checkpoint/") && path.endsWith(".state"));
        Answers.json(context, paths);
    }

    private List<String> paths(JobView job, String glob) throws IOException {
        Path folder = files.folder(job.id(), job.creator());
        List<String> paths = new ArrayList<>();
        for (Path file : files.find(job.id(), job.creator(), glob)) {
            if (Files.isRegularFile(file, LinkOption.NOFOLLOW_LINKS)) {
                paths.add(folder.relativize(file).toString());
            }
        }
        return paths;
    }

    private void download(Context context) throws IOException {
        JobView job = job(context);
        Path file = ResultPaths.existing(files.folder(job.id(), job.creator()), path(context));
        Answers.file(context, file, "application/octet-stream");
    }

    private void upload(Context context) throws IOException {
        JobView job = job(context);
        String path = path(context);
        Optional<Long> given = Parameters.offset(context, "offset");
        if (path.startsWith("log/") && given.isPresent()) {
            long offset = given.get();
            try (InputStream body = uploads.stream(context, LOG_LIMIT_BYTES, FILE_TIMEOUT)) {
                long size = files.write(job.id(), job.creator(), path, offset, body);
                if (size < offset) {
                    context.status(409);
                    Answers.json(context, Map.of("size", size));
                    return;
                }
            }
        } else {
            try (InputStream body = uploads.stream(context, FILE_LIMIT_BYTES, FILE_TIMEOUT)) {
                files.replace(job.id(), job.creator(), path, body);
            }
        }
        context.status(204);
    }

    /** Only checkpoints go: logs and results stay, whatever becomes of the node's own copy. */
    private void remove(Context context) throws IOException {
        JobView job = job(context);
        String path = path(context);
        if (!path.startsWith("checkpoint/")) {
            throw ConcertinaException.invalid("path", path, "a path below checkpoint/");
        }
        files.remove(job.id(), job.creator(), path);
        context.status(204);
    }

    private JobView job(Context context) {
        String id = context.pathParam("job");
        return jobs.find(new JobId(id)).orElseThrow(() -> new ConcertinaException(ErrorCode.NOT_FOUND, "no job " + id));
    }

    private static String path(Context context) {
        return Parameters.text(context, "path")
                .orElseThrow(() -> ConcertinaException.invalid("path", "", "a path below RESULT_DIR"));
    }

    private static String present(String field, @Nullable String value) {
        if (value == null || value.isBlank()) {
            throw ConcertinaException.invalid(field, "", "text that is not empty");
        }
        return value;
    }

    private <T> T read(Context context, Class<T> type) throws IOException {
        try {
            T value = json.readValue(uploads.small(context, MESSAGE_LIMIT_BYTES), type);
            if (value != null) {
                return value;
            }
        } catch (JacksonException malformed) {
            throw new ConcertinaException(
                    ErrorCode.INVALID_ARGUMENT,
                    "the body is not a " + type.getSimpleName() + ": " + malformed.getOriginalMessage(),
                    malformed);
        }
        throw new ConcertinaException(ErrorCode.INVALID_ARGUMENT, "the body is empty, accepted: JSON");
    }
}
