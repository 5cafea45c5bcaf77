package concertina.model;

import java.util.Optional;

/** How a job's script is run. Names are those of the exec API's second generation. */
public enum Framework {
    /** One process, PyTorch. */
    PYTORCH("PyTorch", "SingleNodePytorchTrain", Mode.SINGLE),
    /** One process, any TensorFlow script. */
    TENSORFLOW("tensorflow", "SingleNodeTensorflowTrain", Mode.SINGLE),
    /** A rigid gang of processes that find each other through MASTER_ADDR, MASTER_PORT, WORLD_SIZE and RANK. */
    DIST_PYTORCH("distPyTorch", "DistributePyTorchTrain", Mode.GANG),
    /** A rigid gang of processes that find each other through TF_CONFIG. */
    DIST_TENSORFLOW("disttensorflow", "DistributeTensorflow2xTrain", Mode.GANG),
    /** An elastic job on the FabricModel runtime. */
    EDT_PYTORCH("edtPyTorch", "ElasticPyTorchTrain", Mode.ELASTIC),
    /** An elastic job on the FabricModel runtime that trains a Keras model. */
    EDT_TENSORFLOW("edtTensorflow", "ElasticTensorflow1xTrain", Mode.ELASTIC);

    /** Whether the number of workers is one, fixed, or changes while the job runs. */
    public enum Mode {
        SINGLE,
        GANG,
        ELASTIC
    }

    private final String label;
    private final String applicationName;
    private final Mode mode;

    Framework(String label, String applicationName, Mode mode) {
        this.label = label;
        this.applicationName = applicationName;
        this.mode = mode;
    }

    /** The name a client writes after {@code --exec-start}. */
    public String label() {
        return label;
    }

    public String applicationName() {
        return applicationName;
    }

    public Mode mode() {
        return mode;
    }

    public boolean elastic() {
        return mode == Mode.ELASTIC;
    }

    /** Finds a framework by its label, ignoring case; empty when there is none. */
    public static Optional<Framework> labelled(String label) {
        for (Framework framework : values()) {
            if (framework.label.equalsIgnoreCase(label)) {
                return Optional.of(framework);
            }
        }
        return Optional.empty();
    }
}
