package concertina.identity;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import concertina.model.ConcertinaException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Base64;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SecretsTest {
    @TempDir
    Path folder;

    private Path file;

    @BeforeEach
    void name() {
        file = folder.resolve("server/secret");
    }

    @Test
    void theAgentTokenIsMadeOnceAndKept() throws IOException {
        AgentToken first = AgentToken.open(file);
        String token = Files.readString(file).strip();

        assertThat(Base64.getUrlDecoder().decode(token)).hasSize(32);
        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(file)))
                .isEqualTo("rw-------");
        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(file.getParent())))
                .isEqualTo("rwx------");
        assertThat(first.matches(token)).isTrue();
        assertThat(AgentToken.open(file).matches(token)).isTrue();
        assertThat(first.toString()).doesNotContain(token);
        assertThat(file.getParent()).isDirectoryContaining(each -> each.equals(file));
    }

    @Test
    void anyOtherTokenIsRefused() throws IOException {
        AgentToken agentToken = AgentToken.open(file);
        String token = Files.readString(file).strip();

        for (int i = 0; i < token.length(); i++) {
            char other = token.charAt(i) == 'A' ? 'B' : 'A';
            assertThat(agentToken.matches(token.substring(0, i) + other + token.substring(i + 1)))
                    .isFalse();
            assertThat(agentToken.matches(token.substring(0, i))).isFalse();
        }
        assertThat(agentToken.matches("")).isFalse();
        assertThat(agentToken.matches(token + "A")).isFalse();
    }

    @Test
    void aSecretOpenToOthersIsNotUsed() throws IOException {
        AgentToken.open(file);
        Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rw-r-----"));

        assertThatExceptionOfType(ConcertinaException.class)
                .isThrownBy(() -> AgentToken.open(file))
                .withMessageContaining("mode 600");
    }

    @Test
    void anEmptyAgentTokenIsNotUsed() throws IOException {
        AgentToken.open(file);
        Files.writeString(file, "short\n");

        assertThatExceptionOfType(IOException.class)
                .isThrownBy(() -> AgentToken.open(file))
                .withMessageNotContaining("short\n");
    }

    @Test
    void theTokenKeyIsMadeOnceAndKept() throws IOException {
        TokenKeys first = TokenKeys.open(file);

        assertThat(first.publicKey().getModulus().bitLength()).isEqualTo(2048);
        assertThat(TokenKeys.open(file)).isEqualTo(first);
        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(file)))
                .isEqualTo("rw-------");
        assertThat(first.toString()).isEqualTo("TokenKeys");
    }

    @Test
    void aDamagedTokenKeyIsNamed() throws IOException {
        TokenKeys.open(file);
        String pem = Files.readString(file);

        for (String damaged : new String[] {"", "nonsense", pem.substring(0, 200), pem.replace("MII", "AAA")}) {
            Files.writeString(file, damaged);
            assertThatExceptionOfType(IOException.class)
                    .isThrownBy(() -> TokenKeys.open(file))
                    .withMessageContaining("secret");
        }
    }
}
