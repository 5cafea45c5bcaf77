package concertina.server;

import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.dataformat.yaml.YAMLMapper;

/**
 * Which server the command line talks to and as whom: from the environment, else from what this machine's own server left
 * in its data folder.
 *
 * @param certificate PEM file to trust beside the machine's own authorities; null for none
 */
record Access(URI url, @Nullable Path certificate, String user, String password) {
    /** Finds the access. Throws NOT_FOUND when neither place says anything. */
    static Access find(DataFolder folder, Map<String, String> environment) {
        String url = environment.getOrDefault("CONCERTINA_URL", "");
        if (!url.isBlank()) {
            return new Access(
                    uri(url),
                    environment.containsKey("CONCERTINA_CERTIFICATE")
                            ? Path.of(environment.get("CONCERTINA_CERTIFICATE"))
                            : null,
                    required("CONCERTINA_USER", environment),
                    required("CONCERTINA_PASSWORD", environment));
        }
        if (!Files.isReadable(folder.clientFile())) {
            throw new ConcertinaException(
                    ErrorCode.NOT_FOUND,
                    "no server is known: start one with './concertina up', or set CONCERTINA_URL, CONCERTINA_USER and"
                            + " CONCERTINA_PASSWORD");
        }
        Access written = read(folder.clientFile());
        return new Access(
                written.url(),
                written.certificate(),
                environment.getOrDefault("CONCERTINA_USER", written.user()),
                environment.getOrDefault("CONCERTINA_PASSWORD", written.password()));
    }

    /** Reads what {@link #write} wrote. */
    static Access read(Path file) {
        try {
            JsonNode content = YAMLMapper.shared().readTree(Files.readString(file));
            String certificate = content.path("certificate").asString("");
            return new Access(
                    uri(content.path("url").asString("")),
                    certificate.isEmpty() ? null : Path.of(certificate),
                    content.path("user").asString(""),
                    content.path("password").asString(""));
        } catch (IOException | JacksonException damaged) {
            throw new ConcertinaException(ErrorCode.NOT_FOUND, file + " cannot be read", damaged);
        }
    }

    /** Writes a file that only its owner may read. */
    void write(Path file) {
        Map<String, String> content = new LinkedHashMap<>();
        content.put("url", url.toString());
        content.put("certificate", certificate == null ? "" : certificate.toString());
        content.put("user", user);
        content.put("password", password);
        try {
            DataFolder.writeSecret(file, YAMLMapper.shared().writeValueAsString(content));
        } catch (IOException failed) {
            throw new UncheckedIOException(failed);
        }
    }

    private static URI uri(String text) {
        URI uri;
        try {
            uri = URI.create(text.endsWith("/") ? text.substring(0, text.length() - 1) : text);
        } catch (IllegalArgumentException malformed) {
            throw ConcertinaException.invalid("CONCERTINA_URL", text, "https://host:port");
        }
        if (uri.getHost() == null || !("https".equals(uri.getScheme()) || "http".equals(uri.getScheme()))) {
            throw ConcertinaException.invalid("CONCERTINA_URL", text, "https://host:port");
        }
        return uri;
    }

    private static String required(String name, Map<String, String> environment) {
        String value = environment.getOrDefault(name, "");
        if (value.isEmpty()) {
            throw ConcertinaException.invalid(name, "", "a value, because CONCERTINA_URL is set");
        }
        return value;
    }

    @Override
    public String toString() {
        return "Access[" + url + ", " + user + "]";
    }
}
