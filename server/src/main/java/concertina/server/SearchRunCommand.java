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

/** Begins a search whose trials all run one script; every word after the framework travels as it is. */
@Command(
        name = "run",
        description = "Begin a search; prints its name.",
        mixinStandardHelpOptions = true,
        footer = {
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
            required = true,
            description = "NAME=LOW..HIGH, behind it :int, :log or :step=S; or NAME=VALUE,VALUE,…; once for each.")
    private List<String> parameters = new ArrayList<>();

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

    @Option(names = "--metric", paramLabel = "NAME", description = "What counts; ${DEFAULT-VALUE} unless given.")
    private String metric = "loss";

    @Option(names = "--maximize", description = "Make the metric as large as can be, not as small.")
    private boolean maximize;

    @Option(names = "--name", paramLabel = "NAME", description = "Name of the search; made up unless given.")
    private String name = "";

    @Option(
            names = {"-f", "--follow"},
            description = "Show the trials until the search has ended.")
    private boolean follow;

    @Parameters(index = "0", paramLabel = "FRAMEWORK", description = "As for 'submit'.")
    private String framework = "";

    @Parameters(index = "1..*", paramLabel = "WORD", description = "As for 'submit': --model-main FILE, …")
    private List<String> words = new ArrayList<>();

    @Override
    public Integer call() throws InterruptedException, IOException {
        Submission submission = Submission.of(framework, words);
        String request = request(submission.line()).toString();
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

    /** What the search API is sent. */
    private ObjectNode request(String line) {
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
        definition.put("objectiveMetric", metric);
        definition.put("objective", maximize ? "maximize" : "minimize");
        ArrayNode set = definition.putArray("algoParams");
        settings.forEach((key, value) -> set.addObject().put("name", key).put("value", value));
        ArrayNode space = request.putArray("hyperParams");
        parameters.forEach(text -> space.add(SearchParameter.read(text)));
        return request;
    }
}
