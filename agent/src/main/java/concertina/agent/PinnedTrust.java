package concertina.agent;

import concertina.model.ConcertinaException;
import java.io.IOException;
import java.io.InputStream;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.cert.Certificate;
import java.security.cert.CertificateException;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.util.Collection;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.TrustManager;
import javax.net.ssl.X509ExtendedTrustManager;

/**
 * Trusts exactly the certificates of one PEM file and no authority. A server that proves to hold the key of one of them is
 * the server, under whatever host name or address this node reaches it. Thread-safe.
 */
final class PinnedTrust extends X509ExtendedTrustManager {
    private final Collection<? extends Certificate> accepted;

    private PinnedTrust(Collection<? extends Certificate> accepted) {
        this.accepted = accepted;
    }

    static SSLContext of(Path pem) {
        try (InputStream bytes = Files.newInputStream(pem)) {
            Collection<? extends Certificate> accepted =
                    CertificateFactory.getInstance("X.509").generateCertificates(bytes);
            if (accepted.isEmpty()) {
                throw refused(pem);
            }
            SSLContext context = SSLContext.getInstance("TLS");
            context.init(null, new TrustManager[] {new PinnedTrust(accepted)}, null);
            return context;
        } catch (IOException | GeneralSecurityException e) {
            throw refused(pem);
        }
    }

    private static ConcertinaException refused(Path pem) {
        return ConcertinaException.invalid(
                "--server-certificate", pem.toString(), "a readable PEM file with at least one certificate");
    }

    private void check(X509Certificate[] chain) throws CertificateException {
        if (chain.length == 0 || !accepted.contains(chain[0])) {
            throw new CertificateException("the server does not show the certificate that this agent was given");
        }
    }

    @Override
    public void checkServerTrusted(X509Certificate[] chain, String type) throws CertificateException {
        check(chain);
    }

    @Override
    public void checkServerTrusted(X509Certificate[] chain, String type, Socket socket) throws CertificateException {
        check(chain);
    }

    @Override
    public void checkServerTrusted(X509Certificate[] chain, String type, SSLEngine engine) throws CertificateException {
        check(chain);
    }

    @Override
    public void checkClientTrusted(X509Certificate[] chain, String type) throws CertificateException {
        throw new CertificateException("an agent has no clients");
    }

    @Override
    public void checkClientTrusted(X509Certificate[] chain, String type, Socket socket) throws CertificateException {
        throw new CertificateException("an agent has no clients");
    }

    @Override
    public void checkClientTrusted(X509Certificate[] chain, String type, SSLEngine engine) throws CertificateException {
        throw new CertificateException("an agent has no clients");
    }

    @Override
    public X509Certificate[] getAcceptedIssuers() {
        return new X509Certificate[0];
    }
}
