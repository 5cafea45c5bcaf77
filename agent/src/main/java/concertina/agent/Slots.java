package concertina.agent;

import concertina.model.AgentId;
import concertina.model.Slot;
import concertina.model.SlotId;
import java.io.BufferedReader;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Finds what this node can run workers on: its GPUs, or else shares of its CPUs. */
final class Slots {
    private static final Logger log = LoggerFactory.getLogger(Slots.class);
    private static final List<String> QUERY =
            List.of("nvidia-smi", "--query-gpu=uuid,name,memory.total", "--format=csv,noheader,nounits");

    private Slots() {}

    /** A GPU as a driver tells of it. */
    record Gpu(String uuid, String name, long memoryBytes) {}

    /**
     * Slots of this node, at least one.
     *
     * @param forcedCpuShares number of CPU shares to offer whatever GPUs there are; null to look for GPUs
     * @param nvml file name or path of the NVML library
     * @param visibleDevices the agent's own CUDA_VISIBLE_DEVICES, which limits it; null when not set
     */
    static List<Slot> find(
            AgentId agent, @Nullable Integer forcedCpuShares, String nvml, @Nullable String visibleDevices) {
        if (forcedCpuShares != null) {
            return cpuShares(agent, forcedCpuShares);
        }
        List<Gpu> gpus = visible(Nvml.gpus(nvml).orElseGet(() -> query(QUERY)), visibleDevices);
        if (gpus.isEmpty()) {
            return cpuShares(agent, Runtime.getRuntime().availableProcessors());
        }
        List<Slot> slots = new ArrayList<>();
        for (Gpu gpu : gpus) {
            slots.add(new Slot(id(agent, slots.size()), Slot.Kind.GPU, gpu.uuid(), gpu.name(), gpu.memoryBytes()));
        }
        return slots;
    }

    private static List<Slot> cpuShares(AgentId agent, int count) {
        List<Slot> slots = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            slots.add(new Slot(id(agent, i), Slot.Kind.CPU, "", "CPU share", 0));
        }
        return slots;
    }

    private static SlotId id(AgentId agent, int index) {
        return new SlotId(agent + "/" + index);
    }

    /** Those GPUs that a CUDA_VISIBLE_DEVICES of indexes or UUID beginnings names, in its order, up to the first unknown. */
    static List<Gpu> visible(List<Gpu> gpus, @Nullable String visibleDevices) {
        if (visibleDevices == null) {
            return gpus;
        }
        List<Gpu> chosen = new ArrayList<>();
        for (String word : visibleDevices.split(",", -1)) {
            Optional<Gpu> named = named(gpus, word.strip());
            if (named.isEmpty() || chosen.contains(named.get())) {
                break;
            }
            chosen.add(named.get());
        }
        return chosen;
    }

    private static Optional<Gpu> named(List<Gpu> gpus, String word) {
        if (word.matches("[0-9]{1,4}")) {
            int index = Integer.parseInt(word);
            return index < gpus.size() ? Optional.of(gpus.get(index)) : Optional.empty();
        }
        return word.startsWith("GPU-")
                ? gpus.stream().filter(gpu -> gpu.uuid().startsWith(word)).findFirst()
                : Optional.empty();
    }

    /** Asks a program that prints "uuid, name, MiB" lines; empty when there is none or it fails. */
    static List<Gpu> query(List<String> command) {
        try {
            Process process = new ProcessBuilder(command)
                    .redirectError(ProcessBuilder.Redirect.DISCARD)
                    .start();
            List<Gpu> gpus = new ArrayList<>();
            try (BufferedReader lines = process.inputReader(StandardCharsets.UTF_8)) {
                lines.lines().forEach(line -> parse(line).ifPresent(gpus::add));
            }
            if (!process.waitFor(20, TimeUnit.SECONDS)) {
                process.destroyForcibly();
                return List.of();
            }
            return process.exitValue() == 0 ? gpus : List.of();
        } catch (IOException e) {
            log.debug("{} cannot be asked: {}", command.getFirst(), e.getMessage());
            return List.of();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return List.of();
        }
    }

    private static Optional<Gpu> parse(String line) {
        List<String> fields = List.of(line.split("\\s*,\\s*", -1));
        if (fields.size() != 3 || !fields.get(0).startsWith("GPU-")) {
            return Optional.empty();
        }
        long mebibytes = fields.get(2).matches("[0-9]{1,12}") ? Long.parseLong(fields.get(2)) : 0;
        return Optional.of(new Gpu(fields.get(0), fields.get(1), mebibytes << 20));
    }
}
