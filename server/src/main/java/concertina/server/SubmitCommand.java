package concertina.server;

import concertina.model.ConcertinaException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Sends a script and its folder to the server; every word after the framework travels as it is. */
@Command(
        name = "submit",
        description = "Run a script as a job; prints the job's id.",
        mixinStandardHelpOptions = true,
        footer = {
            "",
            "Options of this command come before FRAMEWORK; what follows it is the exec API's own line. Examples:",
            "  concertina submit edtPyTorch --model-dir examples/digits --model-main main.py --numWorker 4",
            "  concertina submit --follow PyTorch --model-main train.py --epochs 3"
        })
final class SubmitCommand implements Callable<Integer> {
    private static final String MAIN = "--model-main";
    private static final String DIRECTORY = "--model-dir";

    @Mixin
    private DataOption data = new DataOption();

    @Option(
            names = {"-f", "--follow"},
            description = "Print the training log until the job has ended.")
    private boolean follow;

    @Parameters(
            index = "0",
            paramLabel = "FRAMEWORK",
            description = "edtPyTorch, edtTensorflow, PyTorch, distPyTorch, tensorflow or disttensorflow.")
    private String framework = "";

    @Parameters(
            index = "1..*",
            paramLabel = "WORD",
            description = "--model-main FILE, --model-dir FOLDER, --numWorker N, …; unknown ones reach the script.")
    private List<String> words = new ArrayList<>();

    @Override
    public Integer call() throws InterruptedException, IOException {
        Submission submission = Submission.of(framework, words);
        try (ServerClient client = data.client()) {
            String job;
            Path folder = submission.folder();
            if (folder == null) {
                job = client.submit(submission.line(), submission.file(), submission.fileName());
            } else {
                Path archive = CodeArchive.pack(folder);
                try {
                    job = client.submit(submission.line(), archive, submission.fileName());
                } finally {
                    Files.delete(archive);
                }
            }
            System.out.println(job);
            return follow ? LogsCommand.follow(client, job, LogStream.TRAINING) : 0;
        }
    }

    /**
     * What is sent.
     *
     * @param line the exec API's command line
     * @param folder code to pack; null for none
     * @param file single script to send; null for none
     * @param fileName name under which the code is sent
     */
    record Submission(
            String line, @Nullable Path folder, @Nullable Path file, String fileName) {
        /** Finds out what to send: the folder of {@code --model-dir}, else the script itself if it lies here. */
        static Submission of(String framework, List<String> words) {
            List<String> sent = new ArrayList<>(List.of("--exec-start", framework));
            Path folder = null;
            Path main = null;
            int mainAt = -1;
            boolean platform = true;
            for (int i = 0; i < words.size(); i++) {
                String word = words.get(i);
                platform &= !word.equals("--");
                sent.add(word);
                if (!platform) {
                    continue;
                }
                String flag = word.contains("=") ? word.substring(0, word.indexOf('=')) : word;
                if (!flag.equals(MAIN) && !flag.equals(DIRECTORY)) {
                    continue;
                }
                String value;
                if (word.contains("=")) {
                    value = word.substring(word.indexOf('=') + 1);
                    sent.set(sent.size() - 1, flag);
                } else if (i + 1 < words.size()) {
                    value = words.get(++i);
                } else {
                    throw ConcertinaException.invalid(flag, "", flag.equals(MAIN) ? "a script" : "a folder");
                }
                if (flag.equals(DIRECTORY)) {
                    folder = Path.of(value);
                    sent.add(
                            folder.toAbsolutePath().normalize().getFileName() == null
                                    ? value
                                    : folder.toAbsolutePath()
                                            .normalize()
                                            .getFileName()
                                            .toString());
                } else {
                    main = Path.of(value);
                    mainAt = sent.size();
                    sent.add(value);
                }
            }
            if (folder != null) {
                if (!Files.isDirectory(folder)) {
                    throw ConcertinaException.invalid(DIRECTORY, folder.toString(), "a folder on this machine");
                }
                String name = folder.toAbsolutePath().normalize().getFileName() + ".modelDir.tar";
                return new Submission(ServerClient.quoted(sent), folder, null, name);
            }
            if (main != null && Files.isRegularFile(main)) {
                String name = main.getFileName().toString();
                sent.set(mainAt, name);
                return new Submission(ServerClient.quoted(sent), null, main, name);
            }
            return new Submission(ServerClient.quoted(sent), null, null, "");
        }
    }
}
