package concertina.server;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import concertina.model.ConcertinaException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.cert.X509Certificate;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ServerCertificateTest {
    private static final Instant NOW = Instant.parse("2030-05-01T12:00:00Z");

    @TempDir
    Path folder;

    private static X509Certificate certificate(ServerCertificate made) throws Exception {
        return (X509Certificate) made.keyStore().getCertificate("server");
    }

    @Test
    void a_new_certificate_names_this_machine_and_verifies_itself() throws Exception {
        X509Certificate certificate =
                certificate(ServerCertificate.selfSigned(folder, List.of("gpu.example", "fd00::7"), NOW));
        certificate.verify(certificate.getPublicKey());
        assertThat(certificate.getPublicKey().getAlgorithm()).isEqualTo("EC");
        assertThat(certificate.getSubjectAlternativeNames().stream()
                        .map(name -> name.get(1).toString())
                        .toList())
                .contains("localhost", "127.0.0.1", "0:0:0:0:0:0:0:1", "gpu.example", "fd00:0:0:0:0:0:0:7");
    }

    @Test
    void only_the_owner_can_read_the_key() throws Exception {
        ServerCertificate.selfSigned(folder, List.of(), NOW);
        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(folder.resolve("key.pem"))))
                .isEqualTo("rw-------");
    }

    @Test
    void a_good_certificate_is_kept_and_an_expiring_one_renewed() throws Exception {
        X509Certificate first = certificate(ServerCertificate.selfSigned(folder, List.of(), NOW));
        X509Certificate later =
                certificate(ServerCertificate.selfSigned(folder, List.of(), NOW.plus(Duration.ofDays(700))));
        X509Certificate renewed =
                certificate(ServerCertificate.selfSigned(folder, List.of(), NOW.plus(Duration.ofDays(800))));
        assertThat(later).isEqualTo(first);
        assertThat(renewed).isNotEqualTo(first);
        assertThat(renewed.getNotAfter()).isAfter(first.getNotAfter());
    }

    @Test
    void a_further_name_makes_a_new_certificate() throws Exception {
        X509Certificate first = certificate(ServerCertificate.selfSigned(folder, List.of(), NOW));
        X509Certificate second = certificate(ServerCertificate.selfSigned(folder, List.of("gpu.example"), NOW));
        assertThat(second).isNotEqualTo(first);
    }

    @Test
    void a_damaged_file_is_replaced() throws Exception {
        ServerCertificate.selfSigned(folder, List.of(), NOW);
        Files.writeString(folder.resolve("certificate.pem"), "no certificate");
        assertThat(certificate(ServerCertificate.selfSigned(folder, List.of(), NOW)))
                .isNotNull();
    }

    @Test
    void a_name_that_is_none_is_refused() {
        assertThatThrownBy(() -> ServerCertificate.selfSigned(folder, List.of("1.2.3.4.5"), NOW))
                .isInstanceOf(ConcertinaException.class)
                .hasMessageStartingWith("certificate-names is ");
    }

    @Test
    void the_owners_own_pair_is_used() throws Exception {
        ServerCertificate made = ServerCertificate.selfSigned(folder, List.of(), NOW);
        ServerCertificate given = ServerCertificate.given(folder.resolve("certificate.pem"), folder.resolve("key.pem"));
        assertThat(certificate(given)).isEqualTo(certificate(made));
        assertThat(given.keyStore().getKey("server", given.password().toCharArray()))
                .isNotNull();
    }

    @Test
    void a_key_that_does_not_fit_its_certificate_is_refused(@TempDir Path other) {
        ServerCertificate.selfSigned(folder, List.of(), NOW);
        ServerCertificate.selfSigned(other, List.of(), NOW);
        assertThatThrownBy(() -> ServerCertificate.given(folder.resolve("certificate.pem"), other.resolve("key.pem")))
                .isInstanceOf(ConcertinaException.class)
                .hasMessageContaining("accepted: a PEM certificate chain");
    }
}
