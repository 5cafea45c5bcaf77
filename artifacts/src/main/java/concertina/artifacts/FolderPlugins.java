package concertina.artifacts;

import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import concertina.model.UserName;
import concertina.trials.Plugin;
import concertina.trials.Plugins;
import java.io.IOException;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.time.DateTimeException;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.Properties;
import java.util.UUID;
import java.util.regex.Pattern;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Plug-ins as folders side by side, each with a file that says what else is known of it. A plug-in is made beside its place and moved
 * there at once, so that it appears whole. There are {@value #MOST} at most, of 256 MiB each. Thread-safe.
 */
public final class FolderPlugins implements Plugins {
    private static final Logger LOG = LoggerFactory.getLogger(FolderPlugins.class);
    private static final Pattern NAME = Pattern.compile("[A-Za-z0-9][A-Za-z0-9_-]{0,63}");
    private static final String MAIN = "optimizer.py";
    private static final String ABOUT = ".plugin.properties";

    private static final int MOST = 100;
    private static final long MOST_BYTES = 256L << 20;
    private static final String INCOMING = ".incoming";
    private static final String DELETED = ".deleted";

    private final Path folder;
    private final ArchiveLimits limits;
    private final InstantSource clock;

    /**
     * @param folder where plug-ins lie; made when the first is installed
     */
    public FolderPlugins(Path folder, ArchiveLimits limits, InstantSource clock) {
        this.folder = folder;
        this.limits = new ArchiveLimits(
                limits.maxEntries(),
                Math.min(limits.maxTotalBytes(), MOST_BYTES),
                limits.maxRatio(),
                limits.maxUploadBytes(),
                limits.maxPathBytes(),
                limits.maxDepth());
        this.clock = clock;
    }

    /** Removes what a killed server left half made or half deleted; only before anything is installed or deleted. */
    public void sweep() {
        try (DirectoryStream<Path> left = Files.newDirectoryStream(folder, ".*{" + INCOMING + "," + DELETED + "}")) {
            for (Path each : left) {
                FolderTree.delete(each);
            }
        } catch (NoSuchFileException none) {
            LOG.debug("no plug-in has been installed yet");
        } catch (IOException | DirectoryIteratorException failure) {
            LOG.warn("leftovers of plug-ins in {} cannot be removed: {}", folder, failure.toString());
        }
    }

    @Override
    public Plugin install(Installation installation) throws IOException {
        String name = installation.name();
        if (!NAME.matcher(name).matches()) {
            throw ConcertinaException.invalid(
                    "name", MemberPath.shown(name), "1 to 64 letters, digits, '-' and '_', first a letter or a digit");
        }
        Path place = folder.resolve(name);
        if (Files.exists(place, LinkOption.NOFOLLOW_LINKS)) {
            throw taken(name);
        }
        if (list().size() >= MOST) {
            throw new ConcertinaException(
                    ErrorCode.QUOTA_EXCEEDED,
                    MOST + " plug-ins are installed, accepted: at most " + MOST + "; delete one that is not needed");
        }
        Files.createDirectories(folder);
        if (installation.archiveName().isEmpty()
                && folder.toRealPath().startsWith(installation.source().toRealPath())) {
            throw ConcertinaException.invalid(
                    "path", installation.source().toString(), "a folder that does not hold the installed plug-ins");
        }
        Path incoming = folder.resolve("." + name + "." + UUID.randomUUID() + INCOMING);
        try {
            if (installation.archiveName().isEmpty()) {
                copy(installation.source(), incoming);
            } else {
                CodeArchive.unpackInto(installation.source(), installation.archiveName(), incoming, limits);
            }
            if (!Files.isRegularFile(incoming.resolve(MAIN), LinkOption.NOFOLLOW_LINKS)) {
                throw ConcertinaException.invalid(
                        installation.archiveName().isEmpty() ? "path" : "file",
                        installation.archiveName().isEmpty()
                                ? installation.source().toString()
                                : MemberPath.shown(installation.archiveName()),
                        "one with " + MAIN + " at its top level");
            }
            Instant now = clock.instant();
            describe(installation, now, incoming.resolve(ABOUT));
            try {
                Files.move(incoming, place, StandardCopyOption.ATOMIC_MOVE);
            } catch (IOException meanwhile) {
                if (Files.exists(place, LinkOption.NOFOLLOW_LINKS)) {
                    throw taken(name);
                }
                throw meanwhile;
            }
            return plugin(
                    installation.name(),
                    place,
                    installation.condaHome(),
                    installation.condaEnvironment(),
                    installation.logLevel(),
                    installation.creator().value(),
                    now);
        } finally {
            FolderTree.delete(incoming);
        }
    }

    private static ConcertinaException taken(String name) {
        return new ConcertinaException(
                ErrorCode.CONFLICT, "name is '" + name + "', which is installed, accepted: a new name");
    }

    private static void describe(Installation installation, Instant now, Path file) throws IOException {
        Properties about = new Properties();
        about.setProperty("creator", installation.creator().value());
        about.setProperty("created-at", now.toString());
        about.setProperty("conda-home", installation.condaHome());
        about.setProperty("conda-environment", installation.condaEnvironment());
        about.setProperty("log-level", installation.logLevel());
        // An archive may have brought one along.
        FolderTree.delete(file);
        try (var out = Files.newBufferedWriter(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
            about.store(out, null);
        }
    }

    private void copy(Path source, Path target) throws IOException {
        ArchiveBudget budget = new ArchiveBudget(limits, limits.maxTotalBytes());
        Files.walkFileTree(source, new SimpleFileVisitor<>() {
            @Override
            public FileVisitResult preVisitDirectory(Path each, BasicFileAttributes attributes) throws IOException {
                budget.entry();
                Files.createDirectory(target.resolve(source.relativize(each).toString()), FolderTree.PRIVATE_FOLDER);
                return FileVisitResult.CONTINUE;
            }

            @Override
            public FileVisitResult visitFile(Path each, BasicFileAttributes attributes) throws IOException {
                // A link may lead out of the folder.
                if (attributes.isRegularFile() && !each.equals(source.resolve(ABOUT))) {
                    budget.entry();
                    budget.written(attributes.size());
                    Files.copy(each, target.resolve(source.relativize(each).toString()), LinkOption.NOFOLLOW_LINKS);
                }
                return FileVisitResult.CONTINUE;
            }
        });
    }

    @Override
    public Optional<Plugin> find(String name) {
        return NAME.matcher(name).matches() ? read(folder.resolve(name)) : Optional.empty();
    }

    private static Optional<Plugin> read(Path place) {
        Path file = place.resolve(ABOUT);
        if (!Files.isRegularFile(file, LinkOption.NOFOLLOW_LINKS)) {
            return Optional.empty();
        }
        Properties about = new Properties();
        try (var in = Files.newBufferedReader(file)) {
            about.load(in);
            return Optional.of(plugin(
                    place.getFileName().toString(),
                    place,
                    about.getProperty("conda-home", ""),
                    about.getProperty("conda-environment", ""),
                    about.getProperty("log-level", ""),
                    about.getProperty("creator", ""),
                    Instant.parse(about.getProperty("created-at", ""))));
        } catch (IOException | DateTimeException | IllegalArgumentException unreadable) {
            LOG.warn("plug-in {} is passed over: {} cannot be read: {}", place, ABOUT, unreadable.toString());
            return Optional.empty();
        }
    }

    private static Plugin plugin(
            String name, Path place, String home, String environment, String level, String creator, Instant at) {
        return new Plugin(name, place.toAbsolutePath(), home, environment, level, new UserName(creator), at);
    }

    @Override
    public List<Plugin> list() {
        List<Plugin> plugins = new ArrayList<>();
        if (Files.isDirectory(folder)) {
            try (DirectoryStream<Path> places = Files.newDirectoryStream(folder)) {
                for (Path place : places) {
                    if (NAME.matcher(place.getFileName().toString()).matches()) {
                        read(place).ifPresent(plugins::add);
                    }
                }
            } catch (IOException unreadable) {
                LOG.warn("plug-ins in {} cannot be listed: {}", folder, unreadable.toString());
            }
        }
        plugins.sort(Comparator.comparing(Plugin::name));
        return List.copyOf(plugins);
    }

    @Override
    public void delete(String name) throws IOException {
        if (find(name).isPresent()) {
            // Moved first, so that it is gone at once.
            Path gone = folder.resolve("." + name + "." + UUID.randomUUID() + DELETED);
            Files.move(folder.resolve(name), gone, StandardCopyOption.ATOMIC_MOVE);
            FolderTree.delete(gone);
        }
    }
}
