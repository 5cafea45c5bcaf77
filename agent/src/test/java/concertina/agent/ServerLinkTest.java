package concertina.agent;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import concertina.model.AgentHello;
import concertina.model.AgentId;
import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.util.Base64;
import java.util.List;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(60)
class ServerLinkTest {
    private static final AgentHello HELLO =
            new AgentHello(new AgentId("node1"), "session", "127.0.0.1", 4, List.of(), List.of());

    @TempDir
    Path folder;

    private static ServerLink link(TestingServer server, SSLContext trust) {
        return new ServerLink(new AgentId("node1"), server.address(), () -> TestingServer.TOKEN, trust);
    }

    @Test
    void aServerWithThePinnedCertificateIsTrustedUnderAnyName() throws Exception {
        try (TestingServer server = new TestingServer(identity("one"))) {
            link(server, PinnedTrust.of(folder.resolve("one.pem"))).join(HELLO);
            assertThat(server.hellos).containsExactly(HELLO);
        }
    }

    @Test
    void aServerWithAnotherCertificateOfTheSameNameIsNot() throws Exception {
        identity("two");
        try (TestingServer server = new TestingServer(identity("one"))) {
            assertThatThrownBy(() -> link(server, PinnedTrust.of(folder.resolve("two.pem")))
                            .join(HELLO))
                    .isInstanceOf(IOException.class);
            assertThat(server.hellos).isEmpty();
        }
    }

    @Test
    void aFileThatHoldsNoCertificateIsRefusedByName() throws Exception {
        Path file = Files.writeString(folder.resolve("x.pem"), "nothing of the kind");
        assertThatThrownBy(() -> PinnedTrust.of(file))
                .isInstanceOf(ConcertinaException.class)
                .hasMessageContaining("--server-certificate")
                .hasMessageContaining("x.pem");
    }

    @Test
    void anUnknownSessionIsAConflictAndAnAilingServerIsWorthAnotherAttempt() throws Exception {
        try (TestingServer server = new TestingServer(null)) {
            assertThatThrownBy(() -> link(server, null).report("no such session", List.of()))
                    .isInstanceOfSatisfying(
                            ConcertinaException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.CONFLICT));
            server.refuse(1);
            assertThatThrownBy(() -> link(server, null).join(HELLO)).isInstanceOf(IOException.class);
        }
    }

    private SSLContext identity(String name) throws Exception {
        Path store = folder.resolve(name + ".p12");
        Process keytool = new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "keytool")
                                .toString(),
                        "-genkeypair",
                        "-alias",
                        "server",
                        "-keyalg",
                        "EC",
                        "-dname",
                        "CN=server",
                        "-validity",
                        "10",
                        "-storetype",
                        "PKCS12",
                        "-keystore",
                        store.toString(),
                        "-storepass",
                        "changeit")
                .redirectErrorStream(true)
                .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                .start();
        assertThat(keytool.waitFor()).isZero();
        KeyStore keys = KeyStore.getInstance("PKCS12");
        try (InputStream bytes = Files.newInputStream(store)) {
            keys.load(bytes, "changeit".toCharArray());
        }
        Files.writeString(
                folder.resolve(name + ".pem"),
                "-----BEGIN CERTIFICATE-----\n"
                        + Base64.getMimeEncoder()
                                .encodeToString(keys.getCertificate("server").getEncoded())
                        + "\n-----END CERTIFICATE-----\n");
        KeyManagerFactory factory = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        factory.init(keys, "changeit".toCharArray());
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(factory.getKeyManagers(), null, null);
        return context;
    }
}
