package concertina.api.wmla;

import java.nio.file.Path;
import java.util.List;

/**
 * What the exec API says about the installation.
 *
 * @param namespace the part of a job's id before its number
 * @param version the product's version
 * @param publicUrl the server's address as clients know it, without a slash at the end; empty takes it from each request
 * @param dataFolder DLI_DATA_FS
 * @param resultFolder DLI_RESULT_FS on the server
 * @param sharedFolder DLI_SHARED_FS
 * @param scriptFolders folders whose scripts a job without an upload may name
 */
public record WmlaOptions(
        String namespace,
        String version,
        String publicUrl,
        Path dataFolder,
        Path resultFolder,
        Path sharedFolder,
        List<Path> scriptFolders) {
    public WmlaOptions {
        scriptFolders = List.copyOf(scriptFolders);
    }
}
