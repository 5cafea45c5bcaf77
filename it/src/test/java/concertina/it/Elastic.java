package concertina.it;

import concertina.model.AgentHello;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import tools.jackson.databind.JsonNode;

/** The elastic job of these tests, its undisturbed run, and how to read a job's workers from the platform's description. */
final class Elastic {
    private static final Path FOLDER = Platform.home().resolve("it/src/test/resources/elastic");

    private Elastic() {}

    /** The scripts as an upload. */
    static Upload upload() {
        return Upload.file("elastic.modelDir.tar", Archives.gzippedTar(Archives.folder(FOLDER, "elastic/")));
    }

    /** A submission's command line for that script. */
    static String arguments(int workers, String rest) {
        return "--exec-start edtPyTorch --cs-datastore-meta type=fs --numWorker " + workers
                + " --workerDeviceNum 1 --model-dir elastic --model-main main.py " + rest;
    }

    /**
     * What the same script does in one process, without any platform.
     *
     * @param weightsSha256 digest of the weights it reaches
     * @param microBatches how many it computes on the way
     */
    record Undisturbed(String weightsSha256, long microBatches) {}

    /** @param slots how many the agent offers whose workers are compared, since that decides their number of threads */
    static Undisturbed undisturbed(Path scratch, int slots, String... arguments) {
        return undisturbedScript(scratch, slots, "main.py", arguments);
    }

    /** The same for the trial of a search; {@code config.json} and what else it needs lie in the folder. */
    static Undisturbed undisturbedTrial(Path scratch, int slots) {
        return undisturbedScript(scratch, slots, "trial.py");
    }

    private static Undisturbed undisturbedScript(Path scratch, int slots, String script, String... arguments) {
        List<String> command = new ArrayList<>(
                List.of(Platform.python(), FOLDER.resolve(script).toString()));
        command.addAll(List.of(arguments));
        int processors = Runtime.getRuntime().availableProcessors();
        run(scratch, AgentHello.threads(processors, slots, 1), command);
        return new Undisturbed(
                digest(scratch, scratch.resolve("model/train/model_epoch_final.pth")), sum(scratch.resolve("counts")));
    }

    /** SHA-256 of a saved model's weights, computed from the file alone. */
    static String digest(Path scratch, Path model) {
        return run(
                        scratch,
                        1,
                        List.of(Platform.python(), FOLDER.resolve("digest.py").toString(), model.toString()))
                .strip();
    }

    /** Process ids of the workers that live, in order of their ordinals. */
    static List<Long> livingProcesses(JsonNode job) {
        List<Long> processes = new ArrayList<>();
        for (JsonNode worker : job.get("workers")) {
            if (worker.get("alive").asBoolean() && worker.get("processId").asLong() > 0) {
                processes.add(worker.get("processId").asLong());
            }
        }
        return processes;
    }

    /** Micro-batches that all processes of a job have begun, counted by the script itself in the agent's own folder. */
    static long microBatches(Platform platform, String agent, String user, String job) {
        Path counts = platform.data()
                .resolve("agents")
                .resolve(agent)
                .resolve("results")
                .resolve(user)
                .resolve("batchworkdir")
                .resolve(job)
                .resolve("counts");
        return sum(counts);
    }

    /** The same from the files that reached the server. */
    static long shippedMicroBatches(Platform platform, String user, String job) {
        return sum(platform.resultFolder(user, job).resolve("counts"));
    }

    private static long sum(Path counts) {
        try (Stream<Path> files = Files.list(counts)) {
            long sum = 0;
            for (Path file : files.toList()) {
                String text = Files.readString(file);
                sum += text.endsWith("\n") ? Long.parseLong(text.strip()) : 0;
            }
            return sum;
        } catch (NoSuchFileException notYet) {
            return 0;
        } catch (IOException failed) {
            throw new UncheckedIOException(failed);
        }
    }

    static boolean runs(long process) {
        return ProcessHandle.of(process).filter(ProcessHandle::isAlive).isPresent();
    }

    /** Ends a process that belongs to this test's platform, without a chance to tidy up. */
    static void kill(long process) {
        ProcessHandle.of(process).ifPresent(ProcessHandle::destroyForcibly);
    }

    /** Members of the generation that runs now; 0 before the first. */
    static int size(JsonNode job) {
        JsonNode switches = job.get("switches");
        return switches.isEmpty()
                ? 0
                : switches.get(switches.size() - 1).get("members").asInt();
    }

    private static String run(Path scratch, int threads, List<String> command) {
        try {
            Files.createDirectories(scratch);
            Path output = Files.createTempFile(scratch, "output", ".txt");
            Path errors = Files.createTempFile(scratch, "errors", ".txt");
            ProcessBuilder builder = new ProcessBuilder(command)
                    .directory(scratch.toFile())
                    .redirectOutput(output.toFile())
                    .redirectError(errors.toFile());
            builder.environment()
                    .putAll(Map.of(
                            "PYTHONPATH",
                            Platform.home().resolve("python").toString(),
                            "RESULT_DIR",
                            scratch.toString(),
                            "OMP_NUM_THREADS",
                            Integer.toString(threads)));
            int code = builder.start().waitFor();
            if (code != 0) {
                throw new AssertionError(
                        command + " ended with " + code + ": " + Files.readString(errors, StandardCharsets.UTF_8));
            }
            return Files.readString(output, StandardCharsets.UTF_8);
        } catch (IOException failed) {
            throw new UncheckedIOException(failed);
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(interrupted);
        }
    }
}
