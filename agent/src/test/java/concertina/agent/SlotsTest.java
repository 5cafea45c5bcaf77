package concertina.agent;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import concertina.agent.Slots.Gpu;
import concertina.model.AgentId;
import concertina.model.Slot;
import concertina.model.SlotId;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SlotsTest {
    private static final String NO_LIBRARY = "libno-such-library.so.1";
    private static final Gpu A = new Gpu("GPU-aaaa-1", "A", 1);
    private static final Gpu B = new Gpu("GPU-bbbb-2", "B", 2);

    @TempDir
    Path folder;

    @Test
    void aNumberOfSlotsAskedForMeansCpuShares() {
        List<Slot> slots = Slots.find(new AgentId("node1"), 3, NO_LIBRARY, null);
        assertThat(slots).hasSize(3).contains(new Slot(new SlotId("node1/2"), Slot.Kind.CPU, "", "CPU share", 0));
    }

    @Test
    void theNvmlLibraryTellsOfGpusByUuidNameAndMemory() throws Exception {
        String library = fakeNvml("");
        List<Slot> slots = Slots.find(new AgentId("node1"), null, library, null);
        assertThat(slots)
                .containsExactly(
                        new Slot(new SlotId("node1/0"), Slot.Kind.GPU, "GPU-0000-fake", "Fake 0", 81_559L << 20),
                        new Slot(new SlotId("node1/1"), Slot.Kind.GPU, "GPU-1111-fake", "Fake 1", 81_559L << 20));
        assertThat(Slots.find(new AgentId("node1"), null, library, "1"))
                .extracting(Slot::device)
                .containsExactly("GPU-1111-fake");
    }

    @Test
    void aLibraryThatFailsCountsAsNone() throws Exception {
        assertThat(Nvml.gpus(fakeNvml("-DFAILS"))).isEmpty();
        assertThat(Nvml.gpus(NO_LIBRARY)).isEmpty();
    }

    @Test
    void linesOfTheQueryingProgramAreReadAndOthersPassedOver() {
        assertThat(Slots.query(List.of("printf", "GPU-1, NVIDIA H100, 81559\\nnonsense\\nGPU-2, Unknown, [N/A]\\n")))
                .containsExactly(new Gpu("GPU-1", "NVIDIA H100", 81_559L << 20), new Gpu("GPU-2", "Unknown", 0));
        assertThat(Slots.query(List.of("false"))).isEmpty();
        assertThat(Slots.query(List.of("no-such-program"))).isEmpty();
    }

    @Test
    void visibleDevicesChooseByIndexOrUuidInTheirOrder() {
        assertThat(Slots.visible(List.of(A, B), null)).containsExactly(A, B);
        assertThat(Slots.visible(List.of(A, B), "")).isEmpty();
        assertThat(Slots.visible(List.of(A, B), "1,0")).containsExactly(B, A);
        assertThat(Slots.visible(List.of(A, B), "GPU-bbbb")).containsExactly(B);
        assertThat(Slots.visible(List.of(A, B), "0,7,1")).containsExactly(A);
        assertThat(Slots.visible(List.of(A, B), "-1")).isEmpty();
    }

    private String fakeNvml(String option) throws IOException, InterruptedException {
        Path source = Files.writeString(folder.resolve("nvml.c"), """
                #include <stdio.h>
                #ifdef FAILS
                int nvmlInit_v2(void) { return 9; }
                #else
                int nvmlInit_v2(void) { return 0; }
                #endif
                int nvmlShutdown(void) { return 0; }
                int nvmlDeviceGetCount_v2(unsigned *count) { *count = 2; return 0; }
                int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) { *device = (void *) (long) (index + 1); return 0; }
                int nvmlDeviceGetUUID(void *device, char *text, unsigned size) {
                    long i = (long) device - 1;
                    return snprintf(text, size, "GPU-%ld%ld%ld%ld-fake", i, i, i, i) < 0;
                }
                int nvmlDeviceGetName(void *device, char *text, unsigned size) {
                    return snprintf(text, size, "Fake %ld", (long) device - 1) < 0;
                }
                int nvmlDeviceGetMemoryInfo(void *device, unsigned long long *memory) {
                    memory[0] = 81559ULL << 20; memory[1] = 5; memory[2] = 6;
                    return 0;
                }
                """);
        Path library = folder.resolve("libfake" + option.length() + ".so");
        Process compiler;
        try {
            compiler = new ProcessBuilder(
                            "gcc",
                            "-shared",
                            "-fPIC",
                            option.isEmpty() ? "-O1" : option,
                            "-o",
                            library.toString(),
                            source.toString())
                    .inheritIO()
                    .start();
        } catch (IOException e) {
            assumeTrue(false, "no C compiler here");
            throw e;
        }
        assertThat(compiler.waitFor()).isZero();
        return library.toString();
    }
}
