package concertina.api.wmla;

import concertina.api.NaturalOrder;
import concertina.model.ConcertinaException;
import concertina.model.Framework;
import concertina.model.JobState;
import concertina.model.SlotId;
import concertina.train.JobFiles;
import concertina.train.JobView;
import concertina.train.JobView.WorkerView;
import java.nio.file.Path;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** A job as the exec API's clients know it: exec object, scheduler application, engine application. Pure. */
final class Views {
    /** States that clients may filter by; jobs only ever show the five of {@link #word}. */
    private static final Set<String> STATES = Set.of(
            "NEW",
            "SUBMITTED",
            "PENDING",
            "PENDING_JOB_SCHEDULER",
            "PENDING_CRD_SCHEDULER",
            "WAITING",
            "LAUNCHING",
            "RUNNING",
            "RECOVERING",
            "UNKNOWN",
            "FINISHED",
            "KILLED",
            "FAILED",
            "ERROR");

    private static final NaturalOrder NATURAL = new NaturalOrder();

    /** Of a job's workers that are gone, so many of the latest are listed. */
    private static final int LATEST = 500;

    private Views() {}

    /** Pollers end at any word for a living job other than these three. */
    static String word(JobState state) {
        return switch (state) {
            case PENDING -> "PENDING_CRD_SCHEDULER";
            case STARTING -> "SUBMITTED";
            case RUNNING -> "RUNNING";
            case FINISHED -> "FINISHED";
            case KILLED -> "KILLED";
            case ERROR -> "ERROR";
        };
    }

    /** Flat, scalars only, keys in the order that clients have recorded; {@code reason} is our own addition at the end. */
    static Map<String, Object> exec(JobView job, JobFiles files, String baseUrl, String namespace) {
        Map<String, Object> exec = new LinkedHashMap<>();
        String id = job.id().value();
        Path code = files.folder(job.id(), job.creator()).resolve("_submitted_code");
        exec.put("id", id);
        exec.put("args", job.spec().arguments() + " ");
        exec.put("submissionId", id);
        exec.put("creator", job.creator().value());
        exec.put("state", word(job.state()));
        exec.put("appId", id);
        exec.put("schedulerUrl", baseUrl);
        exec.put("modelFileOwnerName", namespace);
        exec.put(
                "workDir",
                job.spec().modelDirectory().isEmpty()
                        ? code.toString()
                        : code.resolve(job.spec().modelDirectory()).toString());
        exec.put("appName", job.spec().applicationName());
        exec.put("createTime", job.submittedAt().truncatedTo(ChronoUnit.SECONDS).toString());
        exec.put("elastic", job.spec().framework().elastic());
        exec.put("nameSpace", namespace);
        exec.put("numWorker", job.spec().workers());
        exec.put("framework", job.spec().framework().label());
        exec.put("reason", job.reason());
        return exec;
    }

    /** An item of {@code /scheduler/applications}. */
    static Map<String, Object> application(JobView job, String namespace) {
        String id = job.id().value();
        String state = word(job.state());
        List<Map<String, Object>> executors = new ArrayList<>();
        for (WorkerView worker : job.livingAndLatest(LATEST)) {
            Map<String, Object> executor = new LinkedHashMap<>();
            executor.put("id", id + "-" + worker.ordinal());
            executor.put("containerid", "");
            executor.put("state", workerState(worker, job.state()));
            executor.put("host", worker.host());
            executor.put("coresused", worker.alive() ? worker.slots().size() : 0);
            executor.put("memused", 0);
            executor.put("timestamp", seconds(worker.startedAt()));
            executors.add(executor);
        }
        Map<String, Object> driver = new LinkedHashMap<>();
        driver.put("id", id);
        driver.put("containerid", "");
        driver.put("state", state);
        driver.put(
                "host", job.workers().isEmpty() ? "" : job.workers().getFirst().host());
        driver.put("coresused", 0);
        driver.put("memused", 0);
        driver.put("timestamp", seconds(job.startedAt()));

        Map<String, Object> item = new LinkedHashMap<>();
        item.put("id", id);
        item.put("applicationid", id);
        item.put("applicationname", job.spec().applicationName());
        item.put("type", "BATCH");
        item.put("state", state);
        item.put("driver", driver);
        item.put("executors", executors);
        item.put("task0", List.of());
        item.put("task12n", executors);
        item.put("slots", job.slotsHeld());
        item.put("demandslots", job.state().finalState() ? 0 : demand(job));
        item.put(
                "hosts",
                job.workers().stream()
                        .filter(WorkerView::alive)
                        .map(WorkerView::host)
                        .distinct()
                        .toList());
        item.put("coresused", job.slotsHeld());
        item.put("memused", 0);
        item.put("username", job.creator().value());
        item.put("submittedtime", seconds(job.submittedAt()));
        item.put("timestamp", seconds(job.startedAt()));
        item.put("endtime", seconds(job.endedAt()));
        item.put("sigName", namespace);
        item.put("framework", job.spec().framework().label());
        item.put("reason", job.reason());
        return item;
    }

    /** An item of {@code /scheduler/engine/applications}; times are seconds since 1970, 0 for what has not happened. */
    static Map<String, Object> engine(JobView job) {
        boolean gpu = job.spec().gpu();
        String perWorker = "ngpus=" + (gpu ? job.spec().slotsPerWorker() : 0) + ",mem=0,ncpus="
                + (gpu ? 0 : job.spec().slotsPerWorker());
        Map<String, Object> item = new LinkedHashMap<>();
        item.put("id", job.id().value());
        item.put(
                "consumer",
                job.spec().consumer().isEmpty() ? "default" : job.spec().consumer());
        item.put("submit_user", job.creator().value());
        item.put("name", job.spec().applicationName());
        item.put("priority", job.spec().priority());
        item.put("type", job.spec().framework().elastic() ? "ELASTIC" : "PARALLEL");
        item.put("state", word(job.state()));
        item.put("task0_resreq", "ngpus=0,mem=0,ncpus=0");
        item.put("task12n_resreq", perWorker);
        item.put("task12n_num", job.workers().stream().filter(WorkerView::alive).count());
        item.put("used_gpu", gpu ? job.slotsHeld() : 0);
        item.put("used_mem", 0);
        item.put("used_cpu", gpu ? 0 : job.slotsHeld());
        item.put("submit_time", seconds(job.submittedAt()));
        item.put("start_time", seconds(job.startedAt()));
        item.put("end_time", seconds(job.endedAt()));
        item.put("kernels", List.of());
        item.put("is_packing", false);
        item.put("pack_id", "");
        item.put("tag", "");
        List<Map<String, Object>> tasks = new ArrayList<>();
        for (WorkerView worker : job.livingAndLatest(LATEST)) {
            Map<String, Object> task = new LinkedHashMap<>();
            task.put("id", worker.ordinal());
            task.put("host", worker.host());
            task.put("state", workerState(worker, job.state()));
            task.put("slots", worker.slots().stream().map(SlotId::value).toList());
            tasks.add(task);
        }
        item.put("task12n", tasks);
        item.put("framework", job.spec().framework().label());
        item.put("reason", job.reason());
        return item;
    }

    /** Keeps items whose {@code state} is listed; throws INVALID_ARGUMENT for a word that is no state. */
    static List<Map<String, Object>> inStates(List<Map<String, Object>> items, List<String> states) {
        List<String> wanted =
                states.stream().map(state -> state.toUpperCase(Locale.ROOT)).toList();
        for (String state : wanted) {
            if (!STATES.contains(state)) {
                throw ConcertinaException.invalid(
                        "state",
                        state,
                        "one of " + String.join(", ", STATES.stream().sorted().toList()));
            }
        }
        return wanted.isEmpty()
                ? items
                : items.stream()
                        .filter(item -> wanted.contains(String.valueOf(item.get("state"))))
                        .toList();
    }

    /** Sorts by a member; throws INVALID_ARGUMENT naming the parameter when items have no such scalar member. */
    static List<Map<String, Object>> sorted(
            List<Map<String, Object>> items,
            String parameter,
            String member,
            boolean descending,
            List<String> members) {
        if (!members.contains(member)) {
            throw ConcertinaException.invalid(parameter, member, "one of " + String.join(", ", members));
        }
        Comparator<Map<String, Object>> order =
                (left, right) -> NATURAL.compare(String.valueOf(left.get(member)), String.valueOf(right.get(member)));
        return items.stream().sorted(descending ? order.reversed() : order).toList();
    }

    /** An entry for every framework. */
    static List<Map<String, Object>> frameworks() {
        return Arrays.stream(Framework.values()).map(Views::framework).toList();
    }

    private static Map<String, Object> framework(Framework framework) {
        boolean single = framework.mode() == Framework.Mode.SINGLE;
        Map<String, Object> entry = new LinkedHashMap<>();
        entry.put("name", framework.label());
        entry.put("description", "");
        entry.put("desc", description(framework));
        entry.put("frameworkVersion", "");
        entry.put("deployMode", "cluster");
        entry.put("hasTask0", "false");
        entry.put("execMode", single ? "single" : "distributed");
        entry.put("appName", framework.applicationName());
        entry.put("numWorkers", 1);
        entry.put("maxWorkers", single ? 1 : 1024);
        entry.put("workerMemory", "4G");
        entry.put("frameworkCmdGenerator", "");
        entry.put(
                "backend",
                switch (framework) {
                    case EDT_PYTORCH -> "pytorch";
                    case EDT_TENSORFLOW -> "tensorflow";
                    case PYTORCH, TENSORFLOW, DIST_PYTORCH, DIST_TENSORFLOW -> "";
                });
        if (framework == Framework.DIST_TENSORFLOW) {
            entry.put("distributeStrategy", "MultiWorkerMirroredStrategy");
            entry.put("numPs", 0);
        }
        entry.put("prebuiltModelMain", "");
        entry.put("prebuiltModelDir", "");
        entry.put("exports", Map.of());
        return entry;
    }

    private static List<String> description(Framework framework) {
        return switch (framework) {
            case PYTORCH ->
                List.of(
                        "One process that trains with PyTorch.",
                        "Example: --exec-start PyTorch --model-dir digits --model-main train.py --epochs 3");
            case TENSORFLOW ->
                List.of(
                        "One process, any TensorFlow script.",
                        "Example: --exec-start tensorflow --model-dir mnist --model-main train.py");
            case DIST_PYTORCH ->
                List.of(
                        "A fixed number of PyTorch processes that start together and read MASTER_ADDR, MASTER_PORT,"
                                + " WORLD_SIZE and RANK.",
                        "Example: --exec-start distPyTorch --numWorker 2 --model-dir digits --model-main train.py",
                        "Example: --exec-start distPyTorch --numWorker 2 --user-cmd -- bash run.sh");
            case DIST_TENSORFLOW ->
                List.of(
                        "A fixed number of TensorFlow processes that start together and read TF_CONFIG.",
                        "Example: --exec-start disttensorflow --numWorker 2 --model-dir digits --model-main train.py");
            case EDT_TENSORFLOW ->
                List.of(
                        "An elastic job: between 1 and --numWorker processes of a script that gives FabricModel a Keras"
                                + " model.",
                        "Example: --exec-start edtTensorflow --numWorker 4 --model-dir digits --model-main train.py");
            case EDT_PYTORCH ->
                List.of(
                        "An elastic job: between 1 and --numWorker processes of a script that uses FabricModel.",
                        "Example: --exec-start edtPyTorch --numWorker 4 --model-dir digits --model-main train.py");
        };
    }

    private static int demand(JobView job) {
        int workers = job.spec().framework().elastic()
                ? job.logicalWorkers()
                : job.spec().workers();
        return workers * job.spec().slotsPerWorker();
    }

    private static String workerState(WorkerView worker, JobState job) {
        if (worker.alive()) {
            return worker.startedAt() == null ? "LAUNCHING" : "RUNNING";
        }
        Integer exitCode = worker.exitCode();
        if (exitCode != null && exitCode == 0) {
            return "FINISHED";
        }
        return job == JobState.KILLED ? "KILLED" : "ERROR";
    }

    private static long seconds(@Nullable Instant instant) {
        return instant == null ? 0 : instant.getEpochSecond();
    }
}
