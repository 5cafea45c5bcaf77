package concertina.agent;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import concertina.model.JobId;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SharedCodeTest {
    private static final JobId CODE = new JobId("c-1");

    @TempDir
    Path folder;

    private final AtomicInteger fetched = new AtomicInteger();
    private SharedCode shared;

    @BeforeEach
    void open() throws IOException {
        Files.createDirectories(folder.resolve("code/left over"));
        shared = new SharedCode(folder.resolve("code"));
    }

    private void unpack(Path target) throws IOException {
        fetched.incrementAndGet();
        Files.createDirectories(target.resolve("code/lib"));
        Files.writeString(target.resolve("code/main.py"), "print(1)");
        Files.writeString(target.resolve("code/lib/tool.py"), "x = 1");
    }

    @Test
    void everyJobGetsACopyOfItsOwnFromOneFetch() throws Exception {
        assertThat(folder.resolve("code")).doesNotExist();
        List<Future<?>> copies = new ArrayList<>();
        try (ExecutorService jobs = Executors.newVirtualThreadPerTaskExecutor()) {
            for (int job = 0; job < 20; job++) {
                Path target = folder.resolve("job" + job);
                copies.add(jobs.submit(() -> {
                    shared.copy(CODE, target, this::unpack);
                    return true;
                }));
            }
            for (Future<?> copy : copies) {
                copy.get();
            }
        }
        assertThat(fetched).hasValue(1);
        Files.writeString(folder.resolve("job0/code/main.py"), "changed");
        assertThat(folder.resolve("job1/code/main.py")).hasContent("print(1)");
        assertThat(folder.resolve("job19/code/lib/tool.py")).hasContent("x = 1");
    }

    @Test
    void aLinkIsNotFollowed() throws Exception {
        Path secret = Files.writeString(folder.resolve("secret"), "secret");
        shared.copy(CODE, folder.resolve("job0"), target -> {
            Files.createDirectories(target);
            Files.createSymbolicLink(target.resolve("link"), secret);
        });
        assertThat(folder.resolve("job0/link")).isSymbolicLink();
        assertThat(secret).hasContent("secret");
    }

    @Test
    void aFetchThatFailsIsTriedAgainByTheNextJob() throws Exception {
        assertThatThrownBy(() -> shared.copy(CODE, folder.resolve("job0"), target -> {
                    throw new IOException("away");
                }))
                .hasMessage("away");
        assertThat(folder.resolve("job0")).doesNotExist();

        shared.copy(CODE, folder.resolve("job0"), this::unpack);

        assertThat(folder.resolve("job0/code/main.py")).exists();
    }

    @Test
    void onlyTheLastFewAreKept() throws Exception {
        for (int code = 0; code < 10; code++) {
            shared.copy(new JobId("c-" + code), folder.resolve("job" + code), this::unpack);
        }
        try (Stream<Path> kept = Files.list(folder.resolve("code"))) {
            assertThat(kept.map(path -> path.getFileName().toString()))
                    .containsExactlyInAnyOrder("c-6", "c-7", "c-8", "c-9");
        }
    }
}
