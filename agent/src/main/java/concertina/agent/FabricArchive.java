package concertina.agent;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.FileTime;
import java.util.List;
import java.util.stream.Stream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;

/** Makes {@code libs/fabric.zip}, which some scripts put on their path by hand: the worker-side Python modules, importable. */
final class FabricArchive {
    private FabricArchive() {}

    /** Writes the archive of all modules of a folder, tests left out, replacing an older one atomically. */
    static Path write(Path modules, Path fabricHome) throws IOException {
        Path libraries = Files.createDirectories(fabricHome.resolve("libs"));
        Path target = libraries.resolve("fabric.zip");
        Path incoming = Files.createTempFile(libraries, ".fabric-", ".tmp");
        try (ZipOutputStream zip = new ZipOutputStream(Files.newOutputStream(incoming))) {
            for (Path file : sources(modules)) {
                ZipEntry entry = new ZipEntry(modules.relativize(file).toString());
                entry.setLastModifiedTime(
                        FileTime.fromMillis(Files.getLastModifiedTime(file).toMillis()));
                zip.putNextEntry(entry);
                Files.copy(file, zip);
                zip.closeEntry();
            }
        }
        return Files.move(incoming, target, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    }

    private static List<Path> sources(Path modules) throws IOException {
        try (Stream<Path> files = Files.walk(modules)) {
            return files.filter(file -> file.toString().endsWith(".py") && Files.isRegularFile(file))
                    .filter(file -> !modules.relativize(file).startsWith("tests"))
                    .sorted()
                    .toList();
        }
    }
}
