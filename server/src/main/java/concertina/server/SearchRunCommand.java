package concertina.server;

import concertina.model.ConcertinaException;
import concertina.server.SubmitCommand.Submission;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;

/**
 * Begins a search whose trials all run one script: from options, every word after the framework travelling as it is, or from a file that
 * holds the request as the search API takes it.
 */
@Command(
        name = "run",
        description = "Begin a search; prints its name.",
        mixinStandardHelpOptions = true,
        footer = {
            "",
            "Instead of FRAMEWORK, a FILE with the whole request (JSON, or a Python dict; - for standard input) and after it",
            "the script or folder that modelSpec.args names:  concertina search run --follow request.json train.py",
            "",
            "A trial finds its values in config.json and leaves val_dict_list.json in RESULT_DIR (docs/search.md).",
            "Options of this command come before FRAMEWORK; what follows it is as for 'submit'. Example:",
            "  concertina search run --param rate=0.001..0.1:log --param layers=1..4:int --param optimizer=sgd,adam \\",
            "    --trials 20 --parallel 2 --follow PyTorch --model-main train.py"
        })
final class SearchRunCommand implements Callable<Integer> {
    @Mixin
    private DataOption data = new DataOption();

    @Option(
            names = {"-p", "--param"},
            paramLabel = "SPACE",
            description = "NAME=LOW..HIGH, behind it :int, :log or :step=S; or NAME=VALUE,VALUE,…; once for each.")
    private List<String> parameters = new ArrayList<>();

    @Option(
            names = "--when",
            paramLabel = "CONDITION",
            description = "A hyperparameter that exists only for some values of an earlier one, NAME:OTHER=VALUE,…")
    private List<String> conditions = new ArrayList<>();

    @Option(
            names = "--algorithm",
            paramLabel = "NAME",
            description = "Who proposes points; ${DEFAULT-VALUE} unless given.")
    private String algorithm = "Auto";

    @Option(names = "--set", paramLabel = "NAME=VALUE", description = "A parameter of the algorithm, as RandomSeed=2.")
    private Map<String, String> settings = new TreeMap<>();

    @Option(
            names = "--trials",
            paramLabel = "N",
            description = "Trials at most, -1 for no limit; ${DEFAULT-VALUE} unless given.")
    private int trials = 20;

    @Option(names = "--parallel", paramLabel = "N", description = "Trials at a time; ${DEFAULT-VALUE} unless given.")
    private int parallel = 1;

    @Option(names = "--minutes", paramLabel = "N", description = "End after so many minutes.")
    private int minutes = -1;

    @Option(names = "--metric", paramLabel = "NAME", description = "What counts; loss unless given.")
    private String metric = "";

    @Option(names = "--maximize", description = "Make the metric as large as can be, not as small.")
    private boolean maximize;

    @Option(
            names = "--objective",
            paramLabel = "METRIC",
            description =
                    "In place of --metric: METRIC or METRIC:maximize, once for each of several that are sought at once.")
    private List<String> objectives = new ArrayList<>();

    @Option(
            names = "--constraint",
            paramLabel = "BOUND",
            description = "A bound to keep, \"memory<=16\" or \"accuracy>=0.9\"; once for each.")
    private List<String> constraints = new ArrayList<>();

    @Option(
            names = "--warm-start",
            paramLabel = "SEARCH",
            description = "An earlier search whose trials the algorithm learns from first; once for each.")
    private List<String> earlier = new ArrayList<>();

    @Option(
            names = "--stop-early",
            paramLabel = "RULE",
            description =
                    "Stop trials that report worse than others: median, or asha:STEPS with the steps of a whole trial.")
    private String stopEarly = "";

    @Option(
            names = "--converged",
            paramLabel = "N",
            description = "End when the best value has not improved in so many trials in a row.")
    private int patience;

    @Option(names = "--name", paramLabel = "NAME", description = "Name of the search; made up unless given.")
    private String name = "";

    @Option(
            names = {"-f", "--follow"},
            description = "Show the trials until the search has ended.")
    private boolean follow;

    @Parameters(index = "0", paramLabel = "FRAMEWORK", description = "As for 'submit'; or a FILE with the request.")
    private String framework = "";

    @Parameters(index = "1..*", paramLabel = "WORD", description = "As for 'submit': --model-main FILE, …")
    private List<String> words = new ArrayList<>();

    @Override
    public Integer call() throws InterruptedException, IOException {
        boolean posted = parameters.isEmpty() && (framework.equals("-") || Files.isRegularFile(Path.of(framework)));
        Submission submission = posted ? code() : Submission.of(framework, words);
        String request = posted
                ? SearchRequestFile.read(framework)
                : request(submission.line()).toString();
        try (ServerClient client = data.client()) {
            String created;
            Path folder = submission.folder();
            if (folder == null) {
                created = client.createSearch(request, submission.file(), submission.fileName());
            } else {
                Path archive = CodeArchive.pack(folder);
                try {
                    created = client.createSearch(request, archive, submission.fileName());
                } finally {
                    Files.delete(archive);
                }
            }
            System.out.println(created);
            return follow ? new SearchScreen(client, created, System.out).follow() : 0;
        }
    }

    /** What goes with a request that a file holds. */
    private Submission code() {
        if (words.size() > 1) {
            throw ConcertinaException.invalid(
                    "what follows the request's file", String.join(" ", words), "one script or folder");
        }
        return words.isEmpty() ? new Submission("", null, null, "") : SearchRequestFile.code(Path.of(words.getFirst()));
    }

    /** What the search API is sent. */
    private ObjectNode request(String line) {
        if (parameters.isEmpty()) {
            throw ConcertinaException.invalid(
                    "--param", "", "at least one; or instead of FRAMEWORK a file that holds the request");
        }
        if (trials != -1 && trials < 1) {
            throw ConcertinaException.invalid("--trials", Integer.toString(trials), "1 or more, or -1 for no limit");
        }
        if (minutes != -1 && minutes < 1) {
            throw ConcertinaException.invalid("--minutes", Integer.toString(minutes), "1 or more");
        }
        if (parallel < 1) {
            throw ConcertinaException.invalid("--parallel", Integer.toString(parallel), "1 or more");
        }
        ObjectNode request = JsonNodeFactory.instance.objectNode();
        if (!name.isBlank()) {
            request.put("hpoName", name);
        }
        request.putObject("modelSpec").put("args", line);
        ObjectNode definition = request.putObject("algoDef");
        definition.put("algorithm", algorithm);
        definition.put("maxJobNum", trials);
        definition.put("maxParalleJobNum", parallel);
        definition.put("maxRunTime", minutes);
        goals(definition);
        ArrayNode set = definition.putArray("algoParams");
        settings.forEach((key, value) -> set.addObject().put("name", key).put("value", value));
        ArrayNode space = request.putArray("hyperParams");
        parameters.forEach(text -> space.add(SearchParameter.read(text)));
        conditions.forEach(text -> SearchParameter.condition(text, space));
        return request;
    }

    private void goals(ObjectNode definition) {
        if (objectives.isEmpty()) {
            definition.put("objectiveMetric", metric.isEmpty() ? "loss" : metric);
            definition.put("objective", maximize ? "maximize" : "minimize");
        } else if (!metric.isEmpty() || maximize) {
            throw ConcertinaException.invalid(
                    "--objective", String.join(" ", objectives), "either --objective or --metric and --maximize");
        } else {
            ArrayNode list = definition.putArray("objectives");
            objectives.forEach(text -> list.add(SearchGoal.objective(text)));
        }
        if (!constraints.isEmpty()) {
            ArrayNode list = definition.putArray("constraints");
            constraints.forEach(text -> list.add(SearchGoal.constraint(text)));
        }
        if (!stopEarly.isEmpty()) {
            definition.set("earlyStopping", SearchGoal.stopping(stopEarly));
        }
        if (patience != 0) {
            definition.putObject("stopWhenConverged").put("patience", patience);
        }
        if (!earlier.isEmpty()) {
            ArrayNode list = definition.putObject("warmStart").putArray("searches");
            earlier.forEach(list::add);
        }
    }
}
