package concertina.model;

/**
 * One GPU, or a share of the CPUs on a machine without GPUs.
 *
 * @param id unique in the cluster
 * @param kind what it is
 * @param device GPU UUID; empty for a CPU share
 * @param label what to show a person, for example the GPU's product name
 * @param memoryBytes memory of the device; 0 when unknown
 */
public record Slot(SlotId id, Kind kind, String device, String label, long memoryBytes) {
    public enum Kind {
        GPU,
        CPU
    }
}
