package concertina.agent;

import static org.assertj.core.api.Assertions.assertThat;

import concertina.model.WorkerId;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(60)
class ControlSocketTest {
    @TempDir
    private Path folder;

    @Test
    void whatAWorkerSaidIsToldHoweverSoonAfterwardsItEnds() throws Exception {
        List<String> heard = Collections.synchronizedList(new ArrayList<>());
        try (ControlSocket control =
                ControlSocket.open(folder, (worker, message) -> heard.add(worker + " " + message.get("type")))) {
            for (int ordinal = 1; ordinal <= 300; ordinal++) {
                WorkerId worker = TestingAgent.worker("concertina-1", ordinal);
                String token = control.expect(worker);
                try (SocketChannel connection = SocketChannel.open(StandardProtocolFamily.UNIX)) {
                    connection.connect(UnixDomainSocketAddress.of(control.path()));
                    String lines = "{\"type\":\"hello\",\"worker\":\"" + worker + "\",\"token\":\"" + token
                            + "\"}\n{\"type\":\"failed\"}\n";
                    connection.write(ByteBuffer.wrap(lines.getBytes(StandardCharsets.UTF_8)));
                }
                control.finish(worker);
                assertThat(heard).hasSize(ordinal).endsWith(worker + " failed");
            }
        }
    }

    @Test
    void whoNeverConnectedKeepsNobodyWaitingNorDoesWhoSaysNothing() throws Exception {
        try (ControlSocket control = ControlSocket.open(folder, (worker, message) -> {});
                SocketChannel silent = SocketChannel.open(StandardProtocolFamily.UNIX)) {
            silent.connect(UnixDomainSocketAddress.of(control.path()));
            WorkerId worker = TestingAgent.worker("concertina-1", 1);
            control.expect(worker);
            control.finish(worker);
            control.finish(worker);
        }
    }
}
