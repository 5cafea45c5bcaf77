package concertina.it;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;
import static org.assertj.core.api.Assumptions.assumeThat;

import concertina.model.AgentHello;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

/** Notebooks in real Jupyter kernels: they submit, watch and fetch without a script and without holding a slot. */
class NotebookTest {
    private static final int SLOTS = 2;
    private static final Duration LIMIT = Duration.ofSeconds(60);
    private static final Path RESOURCES = Platform.home().resolve("it/src/test/resources/notebook");
    private static final Path EXAMPLE = Platform.home().resolve("examples/notebook/digits.ipynb");

    @TempDir
    private static Path folder;

    private static Platform platform;
    private static Client client;

    @BeforeAll
    static void start() {
        platform = Platform.start(folder.resolve("platform"), SLOTS);
        client = platform.administrator();
    }

    @AfterAll
    static void stop() {
        platform.close();
    }

    @Test
    void theExampleDrawsItsCourseAndBringsBackTheWeightsOfAPlainScript() throws IOException {
        List<JsonNode> cells = execute(EXAMPLE);

        String training = text(cells, "edt_m.train");
        assertThat(training)
                .containsPattern("Job wmla-" + client.user() + "-notebook-\\d+ finishes with state FINISHED\\.\n"
                        + "driver service subprocess \\d+ stopped\n");
        assertThat(text(cells, "edt_m.download")).containsPattern("Save model:  /\\S+\\.zip\n");
        List<byte[]> pictures = pictures(cells);
        assertThat(pictures).hasSize(1);
        assertThat(pictures.getFirst()).startsWith(0x89, 'P', 'N', 'G');
        String digest = text(cells, "weights_digest").replace("sha256", "").strip();
        assertThat(client.job(job(training)).get("weightsSha256").asString()).isEqualTo(digest);
        assertThat(digest).isEqualTo(plainScript(example()));
    }

    @Test
    void aKerasModelTrainsOnTwoWorkersAndComesBackWithTheWeightsOfAPlainScript() throws IOException {
        assumeThat(Platform.pythonFinds("tensorflow")).isTrue();
        Path cellsFile = RESOURCES.resolve("keras_cells.py");
        Path scratch = Files.createTempDirectory(folder, "keras");

        List<JsonNode> cells =
                executeWith(Map.of("TEST_GATE", scratch.resolve("gate").toString()), cellsFile);

        JsonNode job = client.job(job(text(cells, "edt_m.train")));
        assertThat(client.exec(job(text(cells, "edt_m.train"))).get("framework").asString())
                .isEqualTo("edtTensorflow");
        assertThat(Elastic.size(job)).isEqualTo(2);
        assertThat(pictures(cells))
                .hasSize(1)
                .first()
                .satisfies(picture -> assertThat(picture).startsWith(0x89, 'P', 'N', 'G'));
        String digest = text(cells, "sha256").replace("sha256", "").strip();
        assertThat(text(cells, "as Keras loads it").lines().toList().getLast()).endsWith(" " + digest);
        assertThat(job.get("weightsSha256").asString()).isEqualTo(digest);
        assertThat(digest)
                .isEqualTo(plainScript(Arrays.asList(Files.readString(cellsFile).split("# %%\n"))));
    }

    @Test
    void interruptingTheKernelStopsTheJobAndNotTheKernel() throws IOException {
        List<JsonNode> cells = execute(RESOURCES.resolve("interrupted.py"), "is submitted as");

        assertThat(cells.get(1).get("error").asString()).isEqualTo("KeyboardInterrupt");
        String said = cells.get(1).get("text").asString();
        client.awaitState(job(said), "KILLED", LIMIT);
        assertThat(said).contains("(" + job(said) + ") was told to stop.");
        assertThat(cells.get(2).get("text").asString()).contains("the kernel lives, job " + job(said));
    }

    @Test
    void anErrorOfTheJobShowsTheUsersOwnLinesFirst() throws IOException {
        JsonNode cell = execute(RESOURCES.resolve("failing.py")).get(1);

        List<String> lines = new ArrayList<>();
        cell.get("lines").forEach(line -> lines.add(line.asString()));
        assertThat(cell.get("error").asString()).isEqualTo("JobFailed");
        assertThat(lines.get(0)).isEqualTo("Traceback (most recent call last):");
        assertThat(lines.get(1)).endsWith("in datasets");
        assertThat(lines.get(2)).contains("return shape([\"name\"]), None");
        assertThat(lines).anyMatch(line -> line.equals("KeyError: \"no column 'age' among ['name']\""));
        assertThat(lines.getLast()).contains("ended in state ERROR");
        client.awaitState(job(cell.get("text").asString()), "ERROR", LIMIT);
    }

    @Test
    void oneKernelTrainsTwiceAsTwoJobsTheSecondFromTheWeightsOfTheFirst() throws IOException {
        List<JsonNode> cells = execute(RESOURCES.resolve("twice.py"));

        String[] words =
                cells.get(2).get("text").asString().lines().toList().getLast().split(" ");
        assertThat(words).as(cells.toString()).hasSize(4);
        assertThat(words[2]).isNotEqualTo(words[0]);
        assertThat(words[3]).isNotEqualTo(words[1]);
        assertThat(client.job(words[0]).get("weightsSha256").asString()).isEqualTo(words[1]);
        assertThat(client.job(words[2]).get("weightsSha256").asString()).isEqualTo(words[3]);
    }

    @Test
    void aPythonFunctionIsSearchedInJobsOfItsOwn() throws IOException {
        String output = run(
                List.of(python(), RESOURCES.resolve("search.py").toString()),
                Map.of("CONCERTINA_DATA", platform.data().toString()));

        JsonNode result = Client.parse(output.lines().toList().getLast());
        assertThat(result.get("state").asString()).isEqualTo("FINISHED");
        double best = Double.POSITIVE_INFINITY;
        List<Integer> numbers = new ArrayList<>();
        for (JsonNode trial : result.get("trials")) {
            numbers.add(trial.get(0).asInt());
            client.awaitState(trial.get(1).asString(), "FINISHED", LIMIT);
            double rate = trial.get(3).get("rate").asDouble();
            boolean far = trial.get(3).get("kind").asString().equals("far");
            assertThat(trial.get(2).asDouble()).isCloseTo((rate - 0.25) * (rate - 0.25) + (far ? 1 : 0), within(1e-9));
            best = Math.min(best, trial.get(2).asDouble());
        }
        assertThat(numbers).containsExactly(-1, 0, 1, 2, 3, 4);
        assertThat(result.get("best").asDouble()).isEqualTo(best);
        assertThat(result.get("importance").toString()).isEqualTo("[\"kind\",\"rate\"]");
        assertThat(result.get("lines").asInt()).isEqualTo(6);
        assertThat(result.get("failure").asString()).contains("no column 2");
        assertThat(result.get("early").toString()).isEqualTo("[\"FINISHED\",\"STOPPED\"]");
    }

    /** What every code cell showed: {@code text}, {@code error}, {@code lines} of the error, {@code pictures}, {@code source}. */
    private static List<JsonNode> execute(Path notebook, String... interruptOn) throws IOException {
        return executeWith(Map.of(), notebook, interruptOn);
    }

    private static List<JsonNode> executeWith(Map<String, String> variables, Path notebook, String... interruptOn)
            throws IOException {
        List<String> command =
                new ArrayList<>(List.of(python(), RESOURCES.resolve("drive.py").toString(), notebook.toString()));
        command.addAll(Arrays.asList(interruptOn));
        Map<String, String> environment = new HashMap<>(variables);
        environment.put("EXEC_TYPE", "notebook");
        environment.put("CONCERTINA_DATA", platform.data().toString());
        environment.put("TMPDIR", Files.createTempDirectory(folder, "kernel").toString());
        JsonNode shown = Client.parse(run(command, environment));
        List<JsonNode> cells = new ArrayList<>();
        shown.forEach(cells::add);
        return cells;
    }

    /** The sources of the example's cells. */
    private static List<String> example() throws IOException {
        List<String> sources = new ArrayList<>();
        for (JsonNode cell : Client.parse(Files.readString(EXAMPLE)).get("cells")) {
            if (cell.get("cell_type").asString().equals("code")) {
                StringBuilder source = new StringBuilder();
                cell.get("source").forEach(line -> source.append(line.asString()));
                sources.add(source.toString());
            }
        }
        return sources;
    }

    /** The cells, without the one that downloads, as a script by itself; the digest it prints. */
    private static String plainScript(List<String> cells) throws IOException {
        StringBuilder script = new StringBuilder();
        cells.stream()
                .filter(cell -> !cell.contains(".download("))
                .forEach(cell -> script.append(cell).append('\n'));
        Path results = Files.createTempDirectory(folder, "plain");
        Path file = Files.writeString(results.resolve("plain.py"), script);
        int threads = AgentHello.threads(Runtime.getRuntime().availableProcessors(), SLOTS, 1);
        String output = run(
                List.of(Platform.python(), file.toString()),
                Map.of(
                        "EXEC_TYPE", "",
                        "RESULT_DIR", results.toString(),
                        "OMP_NUM_THREADS", Integer.toString(threads)));
        return output.lines().toList().getLast().replace("sha256", "").strip();
    }

    /** A Python with Jupyter beside what jobs need; {@code ./concertina test} makes one. */
    private static String python() {
        String chosen = System.getenv("CONCERTINA_NOTEBOOK_PYTHON");
        return chosen == null || chosen.isBlank() ? Platform.python() : chosen;
    }

    private static String run(List<String> command, Map<String, String> environment) throws IOException {
        Path errors = Files.createTempFile(folder, "errors", ".txt");
        ProcessBuilder builder = new ProcessBuilder(command)
                .directory(EXAMPLE.getParent().toFile())
                .redirectError(errors.toFile());
        builder.environment().keySet().removeIf(name -> name.startsWith("CONCERTINA_"));
        builder.environment().putAll(environment);
        builder.environment()
                .put("PYTHONPATH", Platform.home().resolve("python").toString());
        Process process = builder.start();
        process.getOutputStream().close();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        try {
            assertThat(process.waitFor())
                    .as(() -> command + " (set CONCERTINA_NOTEBOOK_PYTHON to a Python with torch, ipykernel, nbclient,"
                            + " matplotlib and cloudpickle, or run ./concertina test)\n" + read(errors))
                    .isZero();
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(interrupted);
        }
        return output;
    }

    private static String read(Path file) {
        try {
            return Files.readString(file);
        } catch (IOException unreadable) {
            return unreadable.toString();
        }
    }

    private static String text(List<JsonNode> cells, String source) {
        JsonNode cell = cells.stream()
                .filter(each -> each.get("source").asString().contains(source))
                .findFirst()
                .orElseThrow();
        assertThat(cell.get("error").asString()).as(cell.toString()).isEmpty();
        return cell.get("text").asString();
    }

    private static List<byte[]> pictures(List<JsonNode> cells) {
        List<byte[]> pictures = new ArrayList<>();
        cells.forEach(cell -> cell.get("pictures")
                .forEach(picture -> pictures.add(Base64.getMimeDecoder().decode(picture.asString()))));
        return pictures;
    }

    private static String job(String said) {
        return said.lines()
                .filter(line -> line.contains(" is submitted as "))
                .map(line -> line.substring(line.lastIndexOf(' ') + 1, line.length() - 1))
                .findFirst()
                .orElseThrow(() -> new AssertionError("no job was submitted: " + said));
    }
}
