package concertina.agent;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import concertina.agent.Slots.Gpu;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.util.ArrayList;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Lists GPUs through NVIDIA's management library, which needs no CUDA context and so leaves the GPUs alone. Loads the
 * library, asks once, lets go of it.
 */
final class Nvml {
    private static final Logger log = LoggerFactory.getLogger(Nvml.class);
    private static final int SUCCESS = 0;
    private static final int NAME_BYTES = 96;

    private final SymbolLookup library;
    private final Arena arena;

    private Nvml(SymbolLookup library, Arena arena) {
        this.library = library;
        this.arena = arena;
    }

    /** The GPUs, or empty when there is no library or it does not work; an empty list is an answer. */
    static Optional<List<Gpu>> gpus(String library) {
        try (Arena arena = Arena.ofConfined()) {
            return Optional.of(new Nvml(SymbolLookup.libraryLookup(library, arena), arena).list());
        } catch (IllegalArgumentException | IllegalStateException | NoSuchElementException e) {
            log.info("GPUs cannot be listed through {}: {}", library, e.getMessage());
            return Optional.empty();
        }
    }

    private List<Gpu> list() {
        call("nvmlInit_v2", FunctionDescriptor.of(JAVA_INT));
        try {
            MemorySegment count = arena.allocate(JAVA_INT);
            call("nvmlDeviceGetCount_v2", FunctionDescriptor.of(JAVA_INT, ADDRESS), count);
            List<Gpu> gpus = new ArrayList<>();
            for (int index = 0; index < count.get(JAVA_INT, 0); index++) {
                gpus.add(gpu(index));
            }
            return gpus;
        } finally {
            call("nvmlShutdown", FunctionDescriptor.of(JAVA_INT));
        }
    }

    private Gpu gpu(int index) {
        MemorySegment handle = arena.allocate(ADDRESS);
        call("nvmlDeviceGetHandleByIndex_v2", FunctionDescriptor.of(JAVA_INT, JAVA_INT, ADDRESS), index, handle);
        MemorySegment device = handle.get(ADDRESS, 0);
        // total, free, used
        MemorySegment memory = arena.allocate(MemoryLayout.sequenceLayout(3, JAVA_LONG));
        call("nvmlDeviceGetMemoryInfo", FunctionDescriptor.of(JAVA_INT, ADDRESS, ADDRESS), device, memory);
        return new Gpu(text("nvmlDeviceGetUUID", device), text("nvmlDeviceGetName", device), memory.get(JAVA_LONG, 0));
    }

    private String text(String function, MemorySegment device) {
        MemorySegment text = arena.allocate(NAME_BYTES);
        call(function, FunctionDescriptor.of(JAVA_INT, ADDRESS, ADDRESS, JAVA_INT), device, text, NAME_BYTES);
        return text.getString(0);
    }

    private void call(String function, FunctionDescriptor descriptor, Object... arguments) {
        MethodHandle handle = Linker.nativeLinker().downcallHandle(library.findOrThrow(function), descriptor);
        int status;
        try {
            status = (int) handle.invokeWithArguments(arguments);
        } catch (Throwable e) {
            throw new IllegalStateException(function + " could not be called", e);
        }
        if (status != SUCCESS) {
            throw new IllegalStateException(function + " answered " + status);
        }
    }
}
