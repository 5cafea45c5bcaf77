package concertina.api;

import java.nio.file.Path;
import java.security.KeyStore;
import java.time.Duration;

/**
 * How the HTTP server listens and what it bears.
 *
 * @param listenAddress address of the HTTPS port
 * @param httpsPort port of HTTPS; 0 picks a free one, negative means none
 * @param keyStore holds the certificate and its key
 * @param keyStorePassword password of its key
 * @param httpPort port of plain HTTP, always on the loopback address; 0 picks a free one, negative means none
 * @param temporaryFolder where uploads lie while they are read
 * @param uploadLimitBytes largest body of a submission
 * @param headerLimitBytes largest request line and headers together; the exec API carries command lines in the query
 * @param concurrentUploads submissions read at the same time; more wait, and are refused after a while
 * @param idleTimeout a connection on which nothing moves for this long is closed
 * @param uploadTimeout a submission that takes longer to arrive is refused
 */
public record HttpOptions(
        String listenAddress,
        int httpsPort,
        KeyStore keyStore,
        String keyStorePassword,
        int httpPort,
        Path temporaryFolder,
        long uploadLimitBytes,
        int headerLimitBytes,
        int concurrentUploads,
        Duration idleTimeout,
        Duration uploadTimeout) {
    /** Loopback only, HTTPS on 9443, no plain HTTP, uploads up to 2 GiB. */
    public static HttpOptions standard(KeyStore keyStore, String keyStorePassword, Path temporaryFolder) {
        return new HttpOptions(
                "127.0.0.1",
                9443,
                keyStore,
                keyStorePassword,
                -1,
                temporaryFolder,
                2L << 30,
                64 << 10,
                8,
                Duration.ofSeconds(60),
                Duration.ofMinutes(30));
    }

    @Override
    public String toString() {
        return "HttpOptions[" + listenAddress + ":" + httpsPort + ", http " + httpPort + "]";
    }
}
