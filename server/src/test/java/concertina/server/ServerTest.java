package concertina.server;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ServerTest {
    @TempDir
    Path root;

    private Server start(int port) {
        Map<String, String> environment = Map.of("CONCERTINA_HTTPS_PORT", Integer.toString(port));
        return Server.start(new DataFolder(root), ConfigurationReader.read(null, environment), Map.of());
    }

    private Access access() {
        return Access.read(new DataFolder(root).clientFile());
    }

    private boolean logsOn() throws InterruptedException {
        try (ServerClient client = new ServerClient(access())) {
            return new ClusterPage(client).read().isEmpty();
        }
    }

    @Test
    void aFirstStartOnABusyPortSaysSoAndLosesNoPassword() throws IOException, InterruptedException {
        try (ServerSocket busy = new ServerSocket(0, 1, InetAddress.getByName("127.0.0.1"))) {
            assertThatExceptionOfType(ConcertinaException.class)
                    .isThrownBy(() -> start(busy.getLocalPort()))
                    .satisfies(e -> assertThat(e.code()).isEqualTo(ErrorCode.CONFLICT))
                    .withMessageContaining("port " + busy.getLocalPort() + ": in use");
        }
        String password = access().password();
        try (Server server = start(0)) {
            assertThat(access().url()).isEqualTo(server.address());
            assertThat(access().password()).isEqualTo(password).isNotEmpty();
            assertThat(logsOn()).isTrue();
        }
    }

    @Test
    void aStartThatDiedBeforeTheAccountWasMadeIsMadeGoodByTheNext() throws IOException, InterruptedException {
        try (Server server = start(0)) {
            assertThat(server.address().getPort()).isPositive();
        }
        String password = access().password();
        try (var files = Files.list(root.resolve("server"))) {
            for (Path database :
                    files.filter(file -> file.toString().contains(".db")).toList()) {
                Files.delete(database);
            }
        }
        try (Server server = start(0)) {
            assertThat(server.address().getPort()).isPositive();
            assertThat(access().password()).isEqualTo(password);
            assertThat(logsOn()).isTrue();
        }
    }

    @Test
    void whatAKilledServerWasReceivingIsRemoved() throws IOException {
        Path uploads = root.resolve("server/uploads");
        Path left = Files.createDirectories(uploads.resolve("upload-1"));
        Files.writeString(left.resolve("part-0"), "half a file");
        try (Server server = start(0)) {
            assertThat(server.address().getPort()).isPositive();
            assertThat(uploads).isEmptyDirectory();
        }
    }
}
