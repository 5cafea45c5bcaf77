package concertina.agent;

import concertina.model.AgentCommand;
import concertina.model.AgentHello;
import concertina.model.JobSpec;
import concertina.model.Slot;
import java.io.File;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * Computes the environment of a worker. A pure function: what of the node a worker may see is passed in, and nothing of the
 * agent itself, its token, its server, is among it. A user's own variables win over defaults, never over the platform's.
 */
final class WorkerEnvironment {
    private static final Set<String> INHERITED = Set.of(
            "HOME",
            "PATH",
            "SHELL",
            "LANG",
            "LANGUAGE",
            "TZ",
            "TERM",
            "TMPDIR",
            "HOSTNAME",
            "LD_LIBRARY_PATH",
            "SSL_CERT_FILE",
            "SSL_CERT_DIR",
            "REQUESTS_CA_BUNDLE",
            "CURL_CA_BUNDLE",
            "VIRTUAL_ENV",
            "CUDA_HOME",
            "CUDA_PATH",
            "HF_HOME",
            "TORCH_HOME",
            "PYTHONPATH");
    private static final Pattern INHERITED_FAMILIES =
            Pattern.compile("(LC_|NCCL_|GLOO_|MKL_|KMP_|OPENBLAS_|SLURM_|XDG_).*|(?i:https?_proxy|no_proxy|all_proxy)");
    private static final Pattern SECRET = Pattern.compile(".*(TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL|_KEY).*");

    /** Read by an interpreter, its libraries or the loader only once, at their start, so a fork would come too late. */
    private static final Pattern READ_AT_START = Pattern.compile(
            "(PYTHON|LD_|MALLOC_|GLIBC_|OMP_|GOMP_|KMP_|MKL_|OPENBLAS_|NUMEXPR_|TORCH|PYTORCH|ATEN_|DNNL_|ONEDNN_|LC_).*|LANG");

    /** Scripts written for the original platform look these up without asking whether they are there. */
    private static final List<String> EMPTY_UNLESS_GIVEN = List.of(
            "EXEC_TYPE", "RESUME_WEIGHT_PATH", "PS_PATH", "SPACE_ID", "EMETRICS_STREAMING", "WMLA_USER_DATA_FILES");

    private WorkerEnvironment() {}

    /**
     * What of this node goes into an environment.
     *
     * @param inherited variables of the agent's own environment that workers may see
     * @param agent name of this agent
     * @param host address at which other nodes reach this one
     * @param results DLI_RESULT_FS
     * @param data DLI_DATA_FS; null when none is configured
     * @param shared DLI_SHARED_FS; null when none is configured
     * @param fabricHome FABRIC_HOME
     * @param modules folder that holds fabric_model and its companions
     * @param processors processors that all slots of this agent share
     * @param slots all slots of this agent
     * @param control path of the control socket
     */
    record Node(
            Map<String, String> inherited,
            String agent,
            String host,
            Path results,
            @Nullable Path data,
            @Nullable Path shared,
            Path fabricHome,
            Path modules,
            int processors,
            List<Slot> slots,
            Path control) {
        Node {
            inherited = Map.copyOf(inherited);
            slots = List.copyOf(slots);
        }

        /** Threads for a worker holding so many of this node's slots. */
        int threads(int held) {
            return AgentHello.threads(processors, slots.size(), held);
        }
    }

    /** Where this worker's things lie. */
    record Places(Path result, Path log, Path working) {}

    /** Those variables of the agent's environment that workers may see. */
    static Map<String, String> inherited(Map<String, String> agentEnvironment, Set<String> alsoNamed) {
        Map<String, String> kept = new TreeMap<>();
        agentEnvironment.forEach((name, value) -> {
            if (INHERITED.contains(name)
                    || alsoNamed.contains(name)
                    || INHERITED_FAMILIES.matcher(name).matches()) {
                kept.put(name, value);
            }
        });
        return kept;
    }

    /**
     * The whole environment of a worker.
     *
     * @param python interpreter that runs it
     * @param token what it shows on the control socket
     */
    static Map<String, String> of(Node node, AgentCommand.Start start, Places places, Path python, String token) {
        JobSpec spec = start.spec();
        boolean elastic = spec.framework().elastic();
        String job = start.worker().job().value();
        String threads = Integer.toString(node.threads(start.slots().size()));
        Map<String, String> environment = new TreeMap<>(node.inherited());

        environment.put("PYTHONUNBUFFERED", "1");
        environment.put("OMP_NUM_THREADS", threads);
        environment.put("MKL_NUM_THREADS", threads);
        environment.put("DLI_LOGGER_LEVEL", "INFO");
        EMPTY_UNLESS_GIVEN.forEach(name -> environment.put(name, ""));
        JobSpec.Trial trial = spec.trial();
        if (trial != null) {
            environment.put("SUBID", Long.toString(trial.number()));
        }
        environment.put("APP_ID", job);
        environment.put("TRAINING_ID", job);
        environment.put("WMLA_NWORKER", Integer.toString(spec.workers()));
        environment.put("WMLA_WORKER_NDEVICE", Integer.toString(spec.slotsPerWorker()));
        if (elastic) {
            environment.put("CONCERTINA_LOGICAL_WORKERS", Integer.toString(spec.workers()));
            environment.put("CONCERTINA_SEED", "0");
        }

        environment.putAll(spec.environment());

        String user = start.user().value();
        environment.put("USER", user);
        environment.put("DLI_SUBMIT_USERNAME", user);
        environment.put("DLI_EXECID", job);
        environment.put("DLI_RESULT_FS", node.results().toString());
        environment.put("DLI_DATA_FS", node.data() == null ? "" : node.data().toString());
        environment.put(
                "DLI_SHARED_FS", node.shared() == null ? "" : node.shared().toString());
        String data = node.data() == null
                ? ""
                : JobFolder.below(node.data(), "data_path", spec.dataPath()).toString();
        environment.put("DATA_DIR", data);
        environment.put("DATA_PATH", data);
        environment.put("WMLA_USER_DATA_DIR", data);
        environment.put("RESULT_DIR", places.result().toString());
        if (trial != null && trial.parent() != null) {
            environment.put(
                    "CONCERTINA_PARENT_RESULT",
                    JobFolder.parentResult(places.result()).toString());
        }
        environment.put("LOG_DIR", places.log().toString());
        environment.put("JOB_STATE_DIR", places.result().toString());
        environment.put("SAVED_MODEL_DIR", places.result().resolve("model").toString());
        environment.put("CHECKPOINT_DIR", places.result().resolve("checkpoint").toString());
        environment.put("DLI_WORK_DIR", places.working().toString());
        environment.put("MODEL_PATH", places.working().toString());
        environment.put(
                "DLI_CS_DATASTORE_META",
                "type=fs" + (spec.dataPath().isEmpty() ? "" : ",data_path=" + spec.dataPath()));
        environment.put("DLI_IS_ELASTIC", Boolean.toString(elastic));
        environment.put("DLI_CONDA_ENV_NAME", spec.condaEnvironment());
        environment.put("FRAME_WORK", spec.framework().label());
        environment.put("FABRIC_HOME", node.fabricHome().toString());
        String devices = devices(node, start);
        environment.put("CUDA_VISIBLE_DEVICES", devices);
        environment.put("NVIDIA_VISIBLE_DEVICES", devices);
        environment.put(
                "PYTHONPATH",
                join(
                        File.pathSeparator,
                        List.of(
                                node.modules().toString(),
                                places.working().toString(),
                                spec.environment().getOrDefault("PYTHONPATH", ""),
                                node.inherited().getOrDefault("PYTHONPATH", ""))));
        Path programs = python.toAbsolutePath().getParent();
        environment.put(
                "PATH",
                join(
                        File.pathSeparator,
                        List.of(programs == null ? "" : programs.toString(), environment.getOrDefault("PATH", ""))));

        environment.putAll(start.environment());
        if (start.environment().containsKey("RANK")) {
            environment.put("NODE_RANK", start.environment().get("RANK"));
        }
        environment.put("CONCERTINA_CONTROL", node.control().toString());
        environment.put("CONCERTINA_WORKER", start.worker().toString());
        environment.put("CONCERTINA_WORKER_TOKEN", token);
        environment.put("CONCERTINA_LISTEN_HOST", node.host());
        return environment;
    }

    private static String join(String separator, List<String> parts) {
        List<String> present = new ArrayList<>();
        for (String part : parts) {
            if (!part.isEmpty() && !present.contains(part)) {
                present.add(part);
            }
        }
        return String.join(separator, present);
    }

    private static String devices(Node node, AgentCommand.Start start) {
        if (!start.spec().gpu()) {
            return "";
        }
        List<String> devices = new ArrayList<>();
        for (Slot slot : node.slots()) {
            if (start.slots().contains(slot.id()) && slot.kind() == Slot.Kind.GPU) {
                devices.add(slot.device());
            }
        }
        return String.join(",", devices);
    }

    /** Whether the user set something that only a new interpreter would notice. */
    static boolean needsNewInterpreter(JobSpec spec) {
        return spec.environment().keySet().stream()
                .anyMatch(name -> !name.equals("PYTHONPATH")
                        && READ_AT_START.matcher(name).matches());
    }

    /** Whether a variable's value is better not shown in a log. */
    static boolean secret(String name) {
        return SECRET.matcher(name.toUpperCase(Locale.ROOT)).matches();
    }
}
