package concertina.server;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;

class InstallationTest {
    @Test
    void theServerIsGivenTheMemoryThatItsOwnerChose() {
        Installation installation = new Installation(new DataFolder(Path.of("/srv/concertina")));
        Configuration chosen = ConfigurationReader.parse(
                "heap-megabytes: 600\n", "file.yaml", Map.of("CONCERTINA_HEAP_MEGABYTES", "700"));

        assertThat(installation.serverCommand(null, Configuration.DEFAULT))
                .contains("-Xmx512m")
                .doesNotContain("--config");
        assertThat(installation.serverCommand(Path.of("/etc/c.yaml"), chosen))
                .contains("-Xmx700m")
                .endsWith("--config", "/etc/c.yaml");
    }
}
