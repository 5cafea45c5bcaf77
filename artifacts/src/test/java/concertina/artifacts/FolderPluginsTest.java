package concertina.artifacts;

import static concertina.artifacts.Archives.file;
import static concertina.artifacts.Archives.special;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import concertina.model.UserName;
import concertina.trials.Plugin;
import concertina.trials.Plugins.Installation;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.List;
import java.util.stream.Stream;
import org.apache.commons.compress.archivers.tar.TarConstants;
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
    void aFolderThatHoldsThePluginsIsRefused() throws IOException {
        Files.writeString(folder.resolve("optimizer.py"), "pass");
        assertThatThrownBy(() ->
                        plugins.install(new Installation("itself", folder, "", "", "", "INFO", new UserName("ann"))))
                .isInstanceOfSatisfying(
                        ConcertinaException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.INVALID_ARGUMENT))
                .hasMessageStartingWith("path is '" + folder);
        assertThat(plugins.list()).isEmpty();
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

    @Test
    void whatSaysWhatIsKnownOfAPluginIsNeverAnArchives() throws IOException {
        Path secret = Files.writeString(folder.resolve("kept"), "kept");
        Path archive = Files.write(
                folder.resolve("upload"),
                Archives.tar(file("optimizer.py", "pass"), file(".plugin.properties", "creator=root")));
        Plugin plugin = plugins.install(uploaded("own", archive));
        assertThat(plugins.find("own")).contains(plugin);
        assertThat(plugin.creator()).isEqualTo(new UserName("ann"));

        Path links = Files.write(
                folder.resolve("links"),
                Archives.tar(
                        file("optimizer.py", "pass"),
                        special(".plugin.properties", TarConstants.LF_SYMLINK, secret.toString())));
        assertThatThrownBy(() -> plugins.install(uploaded("linked", links)))
                .hasMessageContaining("'.plugin.properties'");
        assertThat(secret).hasContent("kept");
        assertThat(plugins.list()).containsExactly(plugin);
    }

    private static Installation uploaded(String name, Path archive) {
        return new Installation(name, archive, "x.tar", "", "", "INFO", new UserName("ann"));
    }

    @Test
    void whatAKilledServerLeftIsRemovedAtTheStart() throws IOException {
        plugins.sweep();
        Plugin plugin = plugins.install(local("mine"));
        Path outside = Files.createDirectories(folder.resolve("outside"));
        Files.writeString(outside.resolve("kept"), "kept");
        for (String left : List.of(".new.1.incoming", ".old.2.deleted")) {
            Path half = Files.createDirectories(folder.resolve("plugins").resolve(left));
            Files.writeString(half.resolve("optimizer.py"), "pass");
            Files.createSymbolicLink(half.resolve("link"), outside);
        }
        plugins.sweep();
        try (Stream<Path> left = Files.list(folder.resolve("plugins"))) {
            assertThat(left).containsExactly(plugin.folder());
        }
        assertThat(outside.resolve("kept")).hasContent("kept");
    }

    @Test
    void pluginsAreBoundedInNumberAndSize() throws IOException {
        for (int i = 0; i < 100; i++) {
            plugins.install(local("p" + i));
        }
        assertThatThrownBy(() -> plugins.install(local("more")))
                .hasMessageContaining("100 plug-ins are installed, accepted: at most 100");
        plugins.delete("p7");
        // A file with a hole, which takes no room.
        try (var large = new RandomAccessFile(source.resolve("large").toFile(), "rw")) {
            large.setLength((256L << 20) + 1);
        }
        assertThatThrownBy(() -> plugins.install(local("more"))).hasMessageContaining("more than 268435456 bytes");
        assertThat(plugins.list()).hasSize(99);
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
