package concertina.api.wmla;

import concertina.api.Answers;
import concertina.api.OwnedJobs;
import concertina.api.OwnedSearches;
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
import concertina.trials.SearchView;
import io.javalin.http.Context;
import java.io.IOException;
import java.net.URLDecoder;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.random.RandomGenerator;
import org.jspecify.annotations.Nullable;

/** Hyperparameter searches of both generations. Thread-safe. */
final class HyperSearchRoutes {
    private static final String SEARCHES = WmlaApi.BASE + "/hypersearch";
    private static final String SEARCH = SEARCHES + "/{name}";
    private static final String DATA = "data";
    private static final int BODY_LIMIT_BYTES = 1 << 20;

    private final Uploads uploads;
    private final OwnedJobs jobs;
    private final OwnedSearches searches;
    private final ServerScripts scripts;
    private final RandomGenerator seeds;

    HyperSearchRoutes(
            WmlaOptions options, Uploads uploads, OwnedJobs jobs, OwnedSearches searches, RandomGenerator seeds) {
        this.uploads = uploads;
        this.jobs = jobs;
        this.searches = searches;
        this.scripts = new ServerScripts(options.scriptFolders());
        this.seeds = seeds;
    }

    void register(Routes routes) {
        routes.user(
                "GET",
                SEARCHES,
                (context, caller) -> Answers.stream(context, Answers.each(searches.visible(caller), SearchTask::of)));
        routes.user("POST", SEARCHES, this::create);
        routes.user("DELETE", SEARCHES, (context, caller) -> {
            searches.own(caller).forEach(search -> deleteIfThere(search, caller));
            context.status(204);
        });
        routes.user("GET", SEARCH, (context, caller) -> Answers.stream(context, SearchTask.of(found(context, caller))));
        routes.user("PUT", SEARCH, this::stop);
        routes.user("PUT", SEARCH + "/force", this::stop);
        routes.user("PUT", SEARCH + "/restart", (context, caller) -> {
            SearchView search = found(context, caller);
            Answers.stream(
                    context,
                    SearchTask.of(searches.searches().restart(search.name(), search.creator(), caller.user())));
        });
        routes.user("DELETE", SEARCH, (context, caller) -> {
            delete(found(context, caller), caller);
            context.status(204);
        });
    }

    private void delete(SearchView search, Caller caller) {
        searches.searches().delete(search.name(), search.creator(), caller.user());
    }

    private void deleteIfThere(SearchView search, Caller caller) {
        try {
            delete(search, caller);
        } catch (ConcertinaException refused) {
            if (refused.code() != ErrorCode.NOT_FOUND) {
                throw refused;
            }
        }
    }

    private SearchView found(Context context, Caller caller) {
        return searches.find(caller, context.pathParam("name"));
    }

    // --- Create
    // ---------------------------------------------------------------------------------------------------------

    private void create(Context context, Caller caller) throws IOException, InterruptedException {
        try (Form form = uploads.receive(context)) {
            SearchRequest request = SearchRequest.read(data(context, form));
            boolean firstGeneration = request.firstGeneration() && basic(context);
            String name = name(request, caller, firstGeneration);
            searches.searches().checkNew(name, caller.user());
            List<SearchView> earlier = request.warmStart().stream()
                    .map(each -> searches.find(caller, each))
                    .toList();
            if (Parameters.oneOf(context, "checkOnly", "true", "false")
                    .filter("true"::equals)
                    .isPresent()) {
                searches.searches()
                        .check(name, caller.user(), request.spec(job(request), null, seeds.nextLong()), earlier);
                context.status(204);
                return;
            }
            Optional<FilePart> model = form.files().stream()
                    .filter(file -> !file.name().equals(DATA))
                    .findFirst();
            create(name, caller, request, earlier, job(request), model.orElse(null));
            answer(context, name, firstGeneration);
        }
    }

    private String name(SearchRequest request, Caller caller, boolean firstGeneration) {
        String given = request.name();
        String user = caller.user().value();
        return given != null
                ? given
                : searches.searches().freeName(firstGeneration ? user : user.toLowerCase(Locale.ROOT));
    }

    /** The text of the field, wherever clients put it: a form field, a file part of that name, an urlencoded body, the body itself. */
    private String data(Context context, Form form) throws IOException {
        Optional<String> text = form.text(DATA, BODY_LIMIT_BYTES);
        if (text.isPresent()) {
            return text.get();
        }
        String type = context.contentType() == null ? "" : context.contentType().toLowerCase(Locale.ROOT);
        byte[] bytes = type.startsWith("multipart/form-data") ? new byte[0] : uploads.small(context, BODY_LIMIT_BYTES);
        if (type.startsWith("application/x-www-form-urlencoded")) {
            // A character for each byte, as they are put together again before they are read as text.
            for (String pair : new String(bytes, StandardCharsets.ISO_8859_1).split("&", -1)) {
                if (pair.startsWith(DATA + "=")) {
                    return decoded(pair.substring(DATA.length() + 1));
                }
            }
        }
        String body = Uploads.utf8(bytes, "the body");
        if (body.isBlank()) {
            throw ConcertinaException.invalid(DATA, "", "a JSON object or a Python dict in the form field data");
        }
        return body;
    }

    private static String decoded(String text) {
        try {
            byte[] bytes = URLDecoder.decode(text, StandardCharsets.ISO_8859_1).getBytes(StandardCharsets.ISO_8859_1);
            return Uploads.utf8(bytes, DATA);
        } catch (IllegalArgumentException malformed) {
            throw ConcertinaException.invalid(
                    DATA, text.length() > 100 ? text.substring(0, 100) + "…" : text, "percent-encoded UTF-8");
        }
    }

    private JobSpec job(SearchRequest request) {
        try {
            return SubmitLine.parse(request.args(), null, jobs.clusterHasGpus());
        } catch (ConcertinaException refused) {
            throw SearchRequest.inArguments(refused);
        }
    }

    private void create(
            String name,
            Caller caller,
            SearchRequest request,
            List<SearchView> earlier,
            JobSpec job,
            @Nullable FilePart model)
            throws IOException {
        long seed = seeds.nextLong();
        if (model == null) {
            try {
                if (job.userCommand().isEmpty()) {
                    scripts.check(job.modelMain());
                }
            } catch (ConcertinaException refused) {
                throw SearchRequest.inArguments(refused);
            }
            searches.searches()
                    .create(name, caller.user(), request.spec(SubmitLine.withoutCode(job), null, seed), earlier);
            return;
        }
        JobId code = searches.searches().expectCode(caller.user());
        boolean created = false;
        try {
            JobSpec placed = placed(job, caller, code, model);
            searches.searches().create(name, caller.user(), request.spec(placed, code, seed), earlier);
            created = true;
        } finally {
            if (!created) {
                searches.searches().discardCode(code, caller.user());
            }
        }
    }

    private JobSpec placed(JobSpec job, Caller caller, JobId code, FilePart model) throws IOException {
        var stored = jobs.files().storeCode(code, caller.user(), model.fileName(), model.path());
        try {
            return SubmitLine.withCode(job, stored);
        } catch (ConcertinaException refused) {
            throw SearchRequest.inArguments(refused);
        }
    }

    /** The first generation is told by what only it sends: an instance group, with name and password on every call. */
    private static boolean basic(Context context) {
        String header = context.header("Authorization");
        return context.header("X-Auth-Token") == null
                && header != null
                && header.strip().toLowerCase(Locale.ROOT).startsWith("basic ");
    }

    private static void answer(Context context, String name, boolean firstGeneration) {
        if (firstGeneration) {
            Answers.json(context, name);
            return;
        }
        Map<String, Object> answer = new LinkedHashMap<>();
        answer.put("uid", name);
        answer.put(
                "href",
                SEARCHES + "/" + URLEncoder.encode(name, StandardCharsets.UTF_8).replace("+", "%20"));
        Answers.json(context, answer);
    }

    // --- Change
    // ---------------------------------------------------------------------------------------------------------

    private void stop(Context context, Caller caller) {
        SearchView search = found(context, caller);
        try {
            searches.searches().stop(search.name(), search.creator(), caller.user());
        } catch (ConcertinaException refused) {
            if (refused.code() == ErrorCode.CONFLICT) {
                throw new ConcertinaException(
                        ErrorCode.INVALID_ARGUMENT, "Model tuning " + search.name() + " is already stopped.", refused);
            }
            throw refused;
        }
        context.status(204);
    }
}
