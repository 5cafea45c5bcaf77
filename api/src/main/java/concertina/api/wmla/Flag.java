package concertina.api.wmla;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** Every platform flag of the submit command line, with the form of its value. What is not here belongs to the script. */
enum Flag {
    EXEC_START(Form.TEXT, "--exec-start"),
    MODEL_MAIN(Form.TEXT, "--model-main"),
    MODEL_DIR(Form.TEXT, "--model-dir"),
    USER_CMD(Form.NONE, "--user-cmd"),
    PBMODEL_NAME(Form.TEXT, "--pbmodel-name"),
    PBMODEL_CMD(Form.TEXT, "--pbmodel-cmd"),
    APP_NAME(Form.TEXT, "--appName"),
    CS_DATASTORE_META(Form.TEXT, "--cs-datastore-meta"),
    DATA_SOURCE(Form.TEXT, "--data-source"),

    NUM_WORKER(Form.TEXT, "--numWorker"),
    WORKER_DEVICE_NUM(Form.COUNT, "--workerDeviceNum"),
    WORKER_DEVICE_TYPE(Form.DEVICE_TYPE, "--workerDeviceType"),
    WORKER_MEMORY(Form.SIZE, "--workerMemory"),
    WORKER_MEMORY_LIMIT(Form.SIZE, "--workerMemoryLimit"),
    WORKER_CPU_LIMIT(Form.NUMBER, "--workerCPULimit"),
    WORKER_GPU_LIMIT(Form.NUMBER, "--workerGPULimit"),
    NUM_DRIVER(Form.COUNT, "--numDriver"),
    DRIVER_DEVICE_TYPE(Form.DEVICE_TYPE, "--driverDeviceType"),
    DRIVER_DEVICE_NUM(Form.COUNT, "--driverDeviceNum"),
    DRIVER_MEMORY(Form.SIZE, "--driverMemory"),
    DRIVER_MEMORY_LIMIT(Form.SIZE, "--driverMemoryLimit"),
    DRIVER_CPU_LIMIT(Form.NUMBER, "--driverCPULimit"),
    DRIVER_GPU_LIMIT(Form.NUMBER, "--driverGPULimit"),
    NUM_PS(Form.COUNT, "--numPs"),

    GPU_PER_WORKER(Form.COUNT, "--gpuPerWorker"),
    PYTHON_VERSION(Form.TEXT, "--python-version"),
    EDT_OPTIONS(Form.TEXT, "--edt-options"),
    EXCLUSIVE(Form.MAYBE, "--exclusive"),
    MPIARG(Form.ANYTHING, "--mpiarg"),
    ACCELERATORS(Form.MAYBE, "--accelerators"),

    CONDA_ENV_NAME(Form.TEXT, "--conda-env-name"),
    CONDA_HOME(Form.TEXT, "--conda-home"),
    CONDA_ENV_YAML(Form.TEXT, "--conda-env-yaml"),
    CONDA_PACKAGE(Form.TEXT, "--conda-package"),
    CONSUMER(Form.TEXT, "--consumer"),
    SUBMIT_USER(Form.TEXT, "--submit-user"),

    MSD_ENV(Form.TEXT, "--msd-env"),
    MSD_ATTR(Form.TEXT, "--msd-attr"),
    MSD_LABEL(Form.TEXT, "--msd-label"),
    MSD_IMAGE_NAME(Form.TEXT, "--msd-image-name"),
    MSD_IMAGE_PULL_SECRET(Form.SECRET, "--msd-image-pull-secret"),
    MSD_IMAGE_PULL_POLICY(Form.PULL_POLICY, "--msd-image-pull-policy"),
    MSD_PRIORITY(Form.POSITIVE, "--msd-priority"),
    MSD_PENDING_TIMEOUT(Form.COUNT, "--msd-pending-timeout"),
    MSD_PACK_ID(Form.TEXT, "--msd-pack-id"),
    MSD_TASK0_NODE_SELECTOR(Form.TEXT, "--msd-task0-node-selector"),
    MSD_TASK12N_NODE_SELECTOR(Form.TEXT, "--msd-task12n-node-selector"),
    MSD_TASK12N_DEVICE_TYPE(Form.TEXT, "--msd-task12n-device-type"),
    MSD_PODAFFINITY_RULE(Form.AFFINITY, "--msd-podaffinity-rule"),
    MSD_PODAFFINITY_TOPOLOGY_KEY(Form.TEXT, "--msd-podaffinity-topology-key"),
    LSF_GPU_SYNTAX(Form.TEXT, "--lsf-gpu-syntax"),
    SC_RUN_AS_USER(Form.TEXT, "--sc-runasuser"),
    SC_RUN_AS_GROUP(Form.TEXT, "--sc-runasgroup"),
    SC_FS_GROUP(Form.TEXT, "--sc-fsgroup"),

    CS_RMQ_META(Form.SECRET, "--cs-rmq-meta"),
    CS_URL_META(Form.TEXT, "--cs-url-meta"),
    CS_URL_BEARER(Form.SECRET, "--cs-url-bearer"),
    DEBUG_LEVEL(Form.TEXT, "--debug-level"),

    REST_HOST(Form.TEXT, "--rest-host", "--master-host"),
    REST_PORT(Form.TEXT, "--rest-port", "--dli-rest-port"),
    USERNAME(Form.TEXT, "--username"),
    PASSWORD(Form.SECRET, "--password"),
    JWT_TOKEN(Form.SECRET, "--jwt-token"),
    QUERY_ARGS(Form.TEXT, "--query-args"),
    /** Only with a value of the command line's own; a script's {@code -o file} stays the script's. */
    OUTPUT(Form.OUTPUT_STYLE, "-o", "--output"),
    IG(Form.TEXT, "--ig");

    /** What may follow a flag. */
    enum Form {
        /** Nothing. */
        NONE,
        /** A word that does not begin like a flag. */
        TEXT,
        /** A word, whatever it begins with. */
        ANYTHING,
        /** A word that must never be shown again. */
        SECRET,
        /** {@code true false yes no y n} or nothing. */
        MAYBE,
        /** {@code json} or {@code custom-columns=…}; with anything else the flag is not the platform's. */
        OUTPUT_STYLE,
        /** A whole number from 0. */
        COUNT,
        /** A whole number from 1. */
        POSITIVE,
        /** A decimal number from 0. */
        NUMBER,
        /** An amount of memory such as {@code 32G}. */
        SIZE,
        DEVICE_TYPE,
        PULL_POLICY,
        AFFINITY
    }

    private static final Map<String, Flag> BY_NAME = new HashMap<>();

    static {
        for (Flag flag : values()) {
            for (String name : flag.names) {
                BY_NAME.put(name, flag);
            }
        }
    }

    private final Form form;
    private final List<String> names;

    Flag(Form form, String... names) {
        this.form = form;
        this.names = List.of(names);
    }

    Form form() {
        return form;
    }

    /** The spelling used in messages. */
    String label() {
        return names.getFirst();
    }

    List<String> names() {
        return names;
    }

    static Optional<Flag> named(String name) {
        return Optional.ofNullable(BY_NAME.get(name));
    }
}
