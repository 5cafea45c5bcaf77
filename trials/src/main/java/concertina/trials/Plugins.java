package concertina.trials;

import concertina.model.UserName;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/** The algorithms that users installed. Thread-safe; a plug-in is there whole or not at all. */
public interface Plugins {
    /**
     * What is to be installed.
     *
     * @param source a folder of the server, whose content is copied, or an uploaded archive
     * @param archiveName the name under which an archive came; empty for a folder
     */
    record Installation(
            String name,
            Path source,
            String archiveName,
            String condaHome,
            String condaEnvironment,
            String logLevel,
            UserName creator) {}

    /**
     * Copies or unpacks a plug-in.
     *
     * @throws concertina.model.ConcertinaException INVALID_ARGUMENT naming the field, TOO_LARGE, or CONFLICT when the name is taken
     */
    Plugin install(Installation installation) throws IOException;

    Optional<Plugin> find(String name);

    /** In the order of their names. */
    List<Plugin> list();

    /** Removes a plug-in; searches that use it fail when they next need it. No effect when there is none. */
    void delete(String name) throws IOException;
}
