package concertina.server;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import concertina.model.ConcertinaException;
import java.io.IOException;
import java.net.URI;
import java.nio.channels.FileLock;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.zip.GZIPInputStream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;
import org.apache.commons.compress.archivers.tar.TarArchiveEntry;
import org.apache.commons.compress.archivers.tar.TarArchiveInputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class FilesOfTheCommandLineTest {
    @TempDir
    Path place;

    @Test
    void code_is_packed_below_its_folders_name_without_litter() throws IOException {
        Path code = Files.createDirectories(place.resolve("digits"));
        Files.createDirectories(code.resolve("__pycache__"));
        Files.createDirectories(code.resolve(".git"));
        Files.createDirectories(code.resolve("data"));
        Files.writeString(code.resolve("__pycache__/main.pyc"), "x");
        Files.writeString(code.resolve(".git/config"), "x");
        Files.writeString(code.resolve("main.py"), "print(1)");
        Files.writeString(code.resolve("data/" + "long".repeat(40)), "x");
        Files.createSymbolicLink(code.resolve("link.py"), code.resolve("main.py"));
        Path archive = CodeArchive.pack(code);
        List<String> names = new ArrayList<>();
        try (TarArchiveInputStream tar =
                new TarArchiveInputStream(new GZIPInputStream(Files.newInputStream(archive)))) {
            for (TarArchiveEntry entry = tar.getNextEntry(); entry != null; entry = tar.getNextEntry()) {
                names.add(entry.getName());
                assertThat(entry.isSymbolicLink()).isFalse();
                assertThat(entry.getUserName()).isEmpty();
            }
        } finally {
            Files.delete(archive);
        }
        assertThat(names)
                .containsExactlyInAnyOrder(
                        "digits/",
                        "digits/main.py",
                        "digits/link.py",
                        "digits/data/",
                        "digits/data/" + "long".repeat(40));
    }

    @Test
    void a_result_is_unpacked_and_never_outside_its_folder() throws IOException {
        Path good = zip("train/model.pth");
        assertThat(ResultArchive.unpack(good, place.resolve("out")))
                .containsExactly(place.resolve("out/train/model.pth"));
        assertThat(place.resolve("out/train/model.pth")).hasContent("weights");
        Path bad = zip("../escaped");
        assertThatThrownBy(() -> ResultArchive.unpack(bad, place.resolve("out")))
                .isInstanceOf(ConcertinaException.class)
                .hasMessageContaining("../escaped");
        assertThat(place.resolve("escaped")).doesNotExist();
    }

    private Path zip(String member) throws IOException {
        Path zip = Files.createTempFile(place, "result", ".zip");
        try (ZipOutputStream out = new ZipOutputStream(Files.newOutputStream(zip))) {
            out.putNextEntry(new ZipEntry(member));
            out.write("weights".getBytes(java.nio.charset.StandardCharsets.UTF_8));
        }
        return zip;
    }

    @Test
    void access_is_kept_private_and_read_back() throws IOException {
        DataFolder folder = new DataFolder(place);
        Files.createDirectories(folder.run());
        Access written =
                new Access(URI.create("https://127.0.0.1:9443"), place.resolve("c.pem"), "admin", "s3: \"cret\"");
        written.write(folder.clientFile());
        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(folder.clientFile())))
                .isEqualTo("rw-------");
        assertThat(Access.find(folder, Map.of())).isEqualTo(written);
        assertThat(written.toString()).doesNotContain("cret");
        assertThat(Access.find(folder, Map.of("CONCERTINA_USER", "eve", "CONCERTINA_PASSWORD", "p"))
                        .user())
                .isEqualTo("eve");
    }

    @Test
    void the_environment_may_name_another_server() {
        DataFolder folder = new DataFolder(place);
        Access access = Access.find(
                folder,
                Map.of("CONCERTINA_URL", "https://gpu.example/", "CONCERTINA_USER", "u", "CONCERTINA_PASSWORD", "p"));
        assertThat(access).isEqualTo(new Access(URI.create("https://gpu.example"), null, "u", "p"));
        assertThatThrownBy(() -> Access.find(folder, Map.of("CONCERTINA_URL", "gpu.example")))
                .hasMessage("CONCERTINA_URL is 'gpu.example', accepted: https://host:port");
        assertThatThrownBy(() -> Access.find(folder, Map.of("CONCERTINA_URL", "https://gpu.example")))
                .hasMessage("CONCERTINA_USER is '', accepted: a value, because CONCERTINA_URL is set");
    }

    @Test
    void a_data_folder_has_one_server_at_a_time() throws IOException {
        DataFolder folder = new DataFolder(place);
        folder.create(Configuration.DEFAULT);
        try (FileLock held = folder.lock()) {
            assertThat(held.isValid()).isTrue();
            assertThatThrownBy(folder::lock)
                    .isInstanceOf(ConcertinaException.class)
                    .hasMessage("another server already uses the data folder " + place);
        }
        folder.lock().close();
    }

    @Test
    void a_process_is_known_by_number_and_start_and_ended() throws Exception {
        ProcessFile file = new ProcessFile(place.resolve("p.pid"));
        Process sleeper = new ProcessBuilder("sleep", "600").start();
        try {
            file.write(sleeper.toHandle(), "https://127.0.0.1:1");
            assertThat(file.living().map(ProcessHandle::pid)).contains(sleeper.pid());
            assertThat(file.address()).isEqualTo("https://127.0.0.1:1");
            assertThat(file.end(Duration.ofSeconds(10))).isTrue();
            assertThat(sleeper.waitFor()).isNotZero();
            assertThat(file.path()).doesNotExist();
            assertThat(file.end(Duration.ofSeconds(10))).isFalse();
        } finally {
            sleeper.destroyForcibly();
        }
    }

    @Test
    void a_process_number_that_somebody_else_has_by_now_is_left_alone() throws Exception {
        ProcessFile file = new ProcessFile(place.resolve("p.pid"));
        long mine = ProcessHandle.current().pid();
        DataFolder.writeSecret(
                file.path(), "process-id: " + mine + "\nstarted: \"1999-01-01T00:00:00Z\"\naddress: \"\"\n");
        assertThat(file.living()).isEmpty();
        assertThat(file.end(Duration.ofSeconds(1))).isFalse();
    }
}
