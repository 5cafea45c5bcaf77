package concertina.server;

import concertina.model.AgentHello;
import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import java.io.IOException;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/**
 * Shows the product's promise on real data: two elastic jobs share four slots, the first gives two away and gets them
 * back, and both end with the weights of an undisturbed run, which is computed here to compare. Ends everything it
 * started, also when interrupted.
 */
@Command(
        name = "demo",
        description = "Two elastic jobs share four slots; at most three minutes.",
        mixinStandardHelpOptions = true)
final class DemoCommand implements Callable<Integer> {
    private static final int SLOTS = 4;
    private static final Duration FRAME = Duration.ofMillis(200);
    private static final Duration LIMIT = Duration.ofMinutes(10);
    private static final Duration LEAD = Duration.ofSeconds(5);
    private static final int INTERRUPTED = 130;

    @Option(names = "--first-epochs", defaultValue = "80", hidden = true, description = "Length of the first job.")
    private int firstEpochs;

    @Option(names = "--second-epochs", defaultValue = "25", hidden = true, description = "Length of the second job.")
    private int secondEpochs;

    private final PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    private final boolean terminal =
            System.console() != null && System.console().isTerminal();
    private final long started = System.nanoTime();
    private final List<Process> references = new ArrayList<>();
    private int drawnLines;

    /** Whether what was started is being ended; set by the main thread or the shutdown hook, whichever comes first. */
    private volatile boolean ending;

    @Override
    public Integer call() throws InterruptedException, IOException {
        if (firstEpochs < 1 || secondEpochs < 1) {
            throw ConcertinaException.invalid(
                    "--first-epochs", firstEpochs + " " + secondEpochs, "whole numbers from 1");
        }
        DataFolder folder = new DataFolder(Home.path().resolve(".concertina").resolve("demo"));
        Installation installation = new Installation(folder);
        installation.stop();
        clear(folder.root());
        Thread cleaner = new Thread(() -> interrupted(installation), "demo-cleaner");
        Runtime.getRuntime().addShutdownHook(cleaner);
        try {
            return run(folder, installation) ? 0 : 1;
        } catch (ConcertinaException disturbed) {
            if (!ending) {
                throw disturbed;
            }
            return INTERRUPTED;
        } finally {
            if (!ending) {
                ending = true;
                end(installation);
            }
        }
    }

    private boolean run(DataFolder folder, Installation installation) throws InterruptedException, IOException {
        out.println("Starting a server and an agent with " + SLOTS + " CPU slots …");
        Configuration configuration = Configuration.DEFAULT;
        installation.startServer(null, configuration, Map.of("CONCERTINA_HTTPS_PORT", "0"));
        installation.startAgent(configuration, SLOTS);
        try (ServerClient client = new ServerClient(Access.read(folder.clientFile()))) {
            ClusterPage page = new ClusterPage(client);
            installation.awaitAgent(() -> page.connected(Installation.AGENT));
            List<String> slots =
                    page.read().stream().map(ClusterPage.SlotRow::slot).toList();
            List<DemoJob> jobs = new ArrayList<>();
            List<JobRow> rows = watch(client, slots, jobs);
            return conclude(client, folder, jobs, rows);
        }
    }

    /** A submitted job and what its script was told. */
    private record DemoJob(String id, List<String> scriptArguments) {}

    /** Runs both jobs to their end, drawing every change. */
    private List<JobRow> watch(ServerClient client, List<String> slots, List<DemoJob> jobs)
            throws InterruptedException, IOException {
        jobs.add(submit(client, firstEpochs, 1));
        Optional<DemoScene> before = Optional.empty();
        @Nullable Duration training = null;
        while (true) {
            List<JobRow> rows = new ArrayList<>();
            for (DemoJob job : jobs) {
                rows.add(JobRow.read(client, job.id()));
            }
            DemoScene scene = new DemoScene(elapsed(), slots, rows, sentence(rows));
            draw(scene, before);
            before = Optional.of(scene);
            JobRow first = rows.getFirst();
            if (training == null && first.slots().size() == SLOTS && first.step() > 0) {
                training = elapsed();
            }
            boolean leads = training != null && elapsed().minus(training).compareTo(LEAD) > 0;
            if (jobs.size() == 1 && (leads || first.ended())) {
                jobs.add(submit(client, secondEpochs, 2));
            } else if (jobs.size() == 2 && rows.stream().allMatch(JobRow::ended)) {
                return rows;
            }
            if (elapsed().compareTo(LIMIT) > 0) {
                throw new ConcertinaException(
                        ErrorCode.ENGINE_FAILED, "the jobs did not end within " + LIMIT.toMinutes() + " minutes");
            }
            Thread.sleep(FRAME);
        }
    }

    private static DemoJob submit(ServerClient client, int epochs, int seed) throws InterruptedException, IOException {
        List<String> script = List.of("--epochs", Integer.toString(epochs), "--seed", Integer.toString(seed));
        List<String> words = new ArrayList<>(List.of(
                "--exec-start",
                "edtPyTorch",
                "--model-dir",
                "digits",
                "--model-main",
                "main.py",
                "--numWorker",
                Integer.toString(SLOTS)));
        words.addAll(script);
        Path archive = CodeArchive.pack(example());
        try {
            return new DemoJob(client.submit(ServerClient.quoted(words), archive, "digits.modelDir.tar"), script);
        } finally {
            Files.delete(archive);
        }
    }

    private static Path example() {
        return Home.path().resolve("examples").resolve("digits");
    }

    private static String sentence(List<JobRow> rows) {
        JobRow last =
                rows.stream().filter(row -> !row.ended()).reduce((a, b) -> b).orElse(rows.getLast());
        return last.id() + ": " + last.reason();
    }

    private void interrupted(Installation installation) {
        if (ending) {
            return;
        }
        ending = true;
        out.println();
        out.println("Stopping what was started …");
        end(installation);
    }

    private void draw(DemoScene scene, Optional<DemoScene> before) {
        if (ending) {
            return;
        }
        if (!terminal) {
            scene.changesSince(before).forEach(out::println);
            return;
        }
        StringBuilder frame = new StringBuilder();
        if (drawnLines > 0) {
            frame.append("\u001b[").append(drawnLines).append('A');
        }
        List<String> lines = scene.table(columns(), true);
        for (String line : lines) {
            frame.append("\u001b[2K").append(line).append('\n');
        }
        frame.append("\u001b[J");
        drawnLines = lines.size();
        out.print(frame);
        out.flush();
    }

    private static int columns() {
        try {
            return Math.max(40, Integer.parseInt(System.getenv().getOrDefault("COLUMNS", "120")));
        } catch (NumberFormatException odd) {
            return 120;
        }
    }

    /** Fetches both models, computes the undisturbed runs and compares. */
    private boolean conclude(ServerClient client, DataFolder folder, List<DemoJob> jobs, List<JobRow> rows)
            throws InterruptedException, IOException {
        out.println();
        boolean good = true;
        for (JobRow row : rows) {
            if (!row.state().equals("FINISHED")) {
                out.println(row.id() + " ended as " + row.state() + ": " + row.reason());
                good = false;
            }
        }
        if (!good) {
            return false;
        }
        List<Path> models = new ArrayList<>();
        for (JobRow row : rows) {
            Path results = folder.root().resolve("models").resolve(row.id());
            List<Path> files = ResultCommand.fetch(client, row.id(), results);
            String wanted = row.model().replaceFirst("^model/", "");
            models.add(files.stream()
                    .filter(file -> file.endsWith(wanted))
                    .findFirst()
                    .orElseThrow(() -> new ConcertinaException(
                            ErrorCode.ENGINE_FAILED, row.id() + " left no model " + row.model())));
            out.println(row.id() + "  test accuracy " + JobsCommand.number("%.2f %%", row.testAccuracy()) + "  model "
                    + near(models.getLast()));
        }
        out.println("Computing both jobs again, undisturbed, on one slot each, to compare …");
        for (int i = 0; i < jobs.size(); i++) {
            references.add(reference(folder, jobs.get(i), rows.get(i)));
        }
        for (int i = 0; i < jobs.size(); i++) {
            good &= same(folder, rows.get(i), models.get(i), references.get(i));
        }
        out.println(String.format(Locale.ROOT, "Done in %.0f s.", elapsed().toMillis() / 1000.0));
        return good;
    }

    /** A path as short as it can be told from where the user stands. */
    private static Path near(Path path) {
        Path here = Path.of("").toAbsolutePath();
        return path.startsWith(here) ? here.relativize(path) : path;
    }

    /** Runs the job's script by itself in one process: no server, no agent, nothing but Python. */
    private static Process reference(DataFolder folder, DemoJob job, JobRow row) throws IOException {
        Path place = folder.root().resolve("undisturbed").resolve(row.id());
        Files.createDirectories(place);
        List<String> command = new ArrayList<>(
                List.of(Home.python().toString(), example().resolve("main.py").toString()));
        command.addAll(job.scriptArguments());
        ProcessBuilder builder = new ProcessBuilder(command)
                .directory(place.toFile())
                .redirectErrorStream(true)
                .redirectOutput(place.resolve("output").toFile());
        Map<String, String> environment = builder.environment();
        environment.keySet().removeIf(name -> name.startsWith("CONCERTINA_"));
        environment.put("PYTHONPATH", Home.path().resolve("python").toString());
        environment.put("CONCERTINA_LOGICAL_WORKERS", Integer.toString(SLOTS));
        environment.put("RESULT_DIR", place.toString());
        environment.put("LOG_DIR", place.resolve("log").toString());
        environment.put("CHECKPOINT_DIR", place.resolve("checkpoint").toString());
        // As many as each worker had: another number of threads may add in another order.
        String threads =
                Integer.toString(AgentHello.threads(Runtime.getRuntime().availableProcessors(), SLOTS, 1));
        environment.put("OMP_NUM_THREADS", threads);
        environment.put("MKL_NUM_THREADS", threads);
        environment.put("CUDA_VISIBLE_DEVICES", "");
        return builder.start();
    }

    private boolean same(DataFolder folder, JobRow row, Path model, Process reference)
            throws InterruptedException, IOException {
        Path place = folder.root().resolve("undisturbed").resolve(row.id());
        await(reference);
        if (ending) {
            throw new ConcertinaException(ErrorCode.ENGINE_FAILED, "the demo was interrupted");
        }
        if (reference.exitValue() != 0) {
            out.println(row.id() + "  the undisturbed run failed, see " + place.resolve("output"));
            return false;
        }
        String ours = digest(model);
        String undisturbed = digest(place.resolve(row.model()));
        boolean same = ours.equals(undisturbed) && ours.equals(row.weightsSha256());
        out.println(row.id() + "  weights identical to an undisturbed one-slot run: "
                + (same
                        ? "yes (sha256 " + ours + ")"
                        : "no (sha256 " + ours + ", reported " + row.weightsSha256() + ", undisturbed " + undisturbed
                                + ")"));
        return same;
    }

    /** Waits for an undisturbed run; a terminal sees the seconds pass. */
    private void await(Process reference) throws InterruptedException {
        while (!reference.waitFor(1, TimeUnit.SECONDS)) {
            if (terminal && !ending) {
                out.print(String.format(Locale.ROOT, "\r%5.0f s ", elapsed().toMillis() / 1000.0));
                out.flush();
            }
        }
        if (terminal) {
            out.print("\r\u001b[2K");
        }
    }

    /** SHA-256 over the weights in a model file, as the training engine defines it. */
    private static String digest(Path model) throws IOException, InterruptedException {
        String program = "import sys, torch; from concertina.state import weights_digest;"
                + " print(weights_digest(torch.load(sys.argv[1], map_location='cpu', weights_only=True)))";
        ProcessBuilder builder = new ProcessBuilder(Home.python().toString(), "-c", program, model.toString())
                .redirectError(ProcessBuilder.Redirect.DISCARD);
        builder.environment().put("PYTHONPATH", Home.path().resolve("python").toString());
        Process process = builder.start();
        String digest = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip();
        if (process.waitFor() != 0 || digest.isEmpty()) {
            throw new ConcertinaException(ErrorCode.ENGINE_FAILED, "the model " + model + " cannot be read");
        }
        return digest;
    }

    private Duration elapsed() {
        return Duration.ofNanos(System.nanoTime() - started);
    }

    private void end(Installation installation) {
        try {
            for (Process reference : references) {
                reference.destroy();
                if (!reference.waitFor(5, TimeUnit.SECONDS)) {
                    reference.destroyForcibly();
                }
            }
            installation.stop();
        } catch (InterruptedException late) {
            Thread.currentThread().interrupt();
        }
    }

    private static void clear(Path folder) throws IOException {
        if (!Files.exists(folder)) {
            return;
        }
        try (Stream<Path> paths = Files.walk(folder)) {
            paths.sorted(Comparator.reverseOrder()).forEach(DemoCommand::delete);
        }
    }

    private static void delete(Path path) {
        try {
            Files.deleteIfExists(path);
        } catch (IOException failed) {
            throw new UncheckedIOException(failed);
        }
    }
}
