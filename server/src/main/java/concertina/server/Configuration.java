package concertina.server;

import concertina.model.ConcertinaException;
import java.nio.file.Path;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Everything a platform owner may choose, checked. A component's name in kebab-case is its key in the YAML file; its
 * environment variable is that in capitals with underscores after {@code CONCERTINA_}. docs/configuration.md describes
 * every key, and a test holds the two together.
 */
public record Configuration(
        String listenAddress,
        int httpsPort,
        @Nullable Integer httpPort,
        @Nullable Path certificateFile,
        @Nullable Path privateKeyFile,
        List<String> certificateNames,
        String namespace,
        @Nullable Path resultsFolder,
        @Nullable Path dataFolder,
        @Nullable Path sharedFolder,
        int uploadLimitMegabytes,
        int unfinishedJobsLimit,
        int settleSeconds,
        int hangSeconds,
        int longWorkSeconds,
        int loadingSeconds,
        int gangGraceSeconds,
        int stragglerFactor,
        int stragglerSeconds,
        int stragglerReplacementFactor,
        int stragglerReplacements,
        int logFirstMegabytes,
        int logLastMegabytes,
        int heapMegabytes,
        String logLevel) {

    private static final List<String> LOG_LEVELS = List.of("error", "warn", "info", "debug");

    /** What holds where nothing was written. */
    public static final Configuration DEFAULT = new Configuration(
            "127.0.0.1",
            9443,
            null,
            null,
            null,
            List.of(),
            "concertina",
            null,
            null,
            null,
            4096,
            1000,
            0,
            60,
            3600,
            1800,
            3600,
            2,
            60,
            4,
            3,
            64,
            64,
            512,
            "info");

    public Configuration {
        certificateNames = List.copyOf(certificateNames);
        within("https-port", httpsPort, 0, 65_535);
        if (httpPort != null) {
            within("http-port", httpPort, 0, 65_535);
        }
        within("upload-limit-megabytes", uploadLimitMegabytes, 1, 1_048_576);
        within("unfinished-jobs-limit", unfinishedJobsLimit, 1, 1_000_000);
        within("settle-seconds", settleSeconds, 0, 86_400);
        within("hang-seconds", hangSeconds, 0, 86_400);
        within("long-work-seconds", longWorkSeconds, 0, 2_592_000);
        within("loading-seconds", loadingSeconds, 0, 2_592_000);
        within("gang-grace-seconds", gangGraceSeconds, 0, 2_592_000);
        factor("straggler-factor", stragglerFactor);
        within("straggler-seconds", stragglerSeconds, 1, 86_400);
        factor("straggler-replacement-factor", stragglerReplacementFactor);
        within("straggler-replacements", stragglerReplacements, 0, 1000);
        within("log-first-megabytes", logFirstMegabytes, 1, 1_048_576);
        within("log-last-megabytes", logLastMegabytes, 1, 1_048_576);
        within("heap-megabytes", heapMegabytes, 128, 1_048_576);
        if (listenAddress.isBlank()) {
            throw ConcertinaException.invalid(
                    "listen-address", listenAddress, "an address of this machine, or 0.0.0.0");
        }
        if (!namespace.matches("[a-z]([a-z0-9-]{0,30}[a-z0-9])?")) {
            throw ConcertinaException.invalid(
                    "namespace", namespace, "1 to 32 lower-case letters, digits and hyphens, a letter first");
        }
        if (!LOG_LEVELS.contains(logLevel)) {
            throw ConcertinaException.invalid("log-level", logLevel, String.join(", ", LOG_LEVELS));
        }
        if ((certificateFile == null) != (privateKeyFile == null)) {
            throw ConcertinaException.invalid(
                    certificateFile == null ? "certificate-file" : "private-key-file",
                    "",
                    "a PEM file, because certificate-file and private-key-file go together");
        }
    }

    /** None, or more than once as slow. */
    private static void factor(String key, int value) {
        if (value != 0 && (value < 2 || value > 1000)) {
            throw ConcertinaException.invalid(key, Integer.toString(value), "0 or 2 to 1000");
        }
    }

    private static void within(String key, int value, int least, int most) {
        if (value < least || value > most) {
            throw ConcertinaException.invalid(key, Integer.toString(value), least + " to " + most);
        }
    }
}
