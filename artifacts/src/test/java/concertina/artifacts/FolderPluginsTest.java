package concertina.artifacts;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import concertina.model.UserName;
import concertina.trials.Plugin;
import concertina.trials.Plugins.Installation;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class FolderPluginsTest {
    private static final Instant NOW = Instant.parse("2026-05-01T10:00:00Z");

    @TempDir
    private Path folder;

    private Path source = Path.of("");
    private FolderPlugins plugins = new FolderPlugins(Path.of(""), ArchiveLimits.DEFAULT, () -> NOW);

    @BeforeEach
    void prepare() throws IOException {
        plugins = new FolderPlugins(folder.resolve("plugins"), ArchiveLimits.DEFAULT, () -> NOW);
        source = Files.createDirectories(folder.resolve("source"));
        Files.writeString(source.resolve("optimizer.py"), "pass");
        Files.createDirectories(source.resolve("more"));
        Files.writeString(source.resolve("more/part.py"), "pass");
        Files.createSymbolicLink(source.resolve("secret"), Path.of("/etc/passwd"));
    }

    private Installation local(String name) {
        return new Installation(name, source, "", "/conda", "deep", "DEBUG", new UserName("ann"));
    }

    @Test
    void aFolderIsCopiedWithoutItsLinksAndFoundAgain() throws IOException {
        Plugin plugin = plugins.install(local("mine"));
        assertThat(plugin.folder().resolve("more/part.py")).exists();
        assertThat(plugin.folder().resolve("secret")).doesNotExist();
        FolderPlugins later = new FolderPlugins(folder.resolve("plugins"), ArchiveLimits.DEFAULT, () -> NOW);
        assertThat(later.find("mine")).contains(plugin);
        assertThat(later.list()).containsExactly(plugin);
        assertThat(later.find("other")).isEmpty();
    }

    @Test
    void anArchiveIsUnpacked() throws IOException {
        Path archive = folder.resolve("upload");
        new ProcessBuilder("tar", "-czf", archive.toString(), "-C", source.toString(), "optimizer.py", "more")
                .start()
                .onExit()
                .join();
        Plugin plugin =
                plugins.install(new Installation("packed", archive, "packed.tar", "", "", "INFO", new UserName("ann")));
        assertThat(plugin.folder().resolve("more/part.py")).exists();
    }

    @Test
    void aNameIsTakenOnce() throws IOException {
        plugins.install(local("mine"));
        assertThatThrownBy(() -> plugins.install(local("mine")))
                .hasMessage("name is 'mine', which is installed, accepted: a new name");
        plugins.delete("mine");
        plugins.install(local("mine"));
    }

    @Test
    void whatHasNoOptimizerLeavesNothingBehind() throws IOException {
        Files.delete(source.resolve("optimizer.py"));
        assertThatThrownBy(() -> plugins.install(local("mine")))
                .hasMessageContaining("accepted: one with optimizer.py at its top level");
        try (Stream<Path> left = Files.list(folder.resolve("plugins"))) {
            assertThat(left).isEmpty();
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "..", "a/b", ".hidden", "-x", "a b", "ä"})
    void aNameThatIsNoFolderNameIsRefused(String name) {
        assertThatThrownBy(() -> plugins.install(local(name))).hasMessageContaining("name is '");
        assertThat(plugins.find(name)).isEmpty();
    }

    @Test
    void deletingWhatIsNotThereHasNoEffect() throws IOException {
        plugins.delete("nothing");
        assertThat(plugins.list()).isEqualTo(List.of());
    }
}
