package concertina.server;

import concertina.model.ConcertinaException;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.Set;
import java.util.zip.GZIPOutputStream;
import org.apache.commons.compress.archivers.tar.TarArchiveEntry;
import org.apache.commons.compress.archivers.tar.TarArchiveOutputStream;

/** Packs a folder of code the way the exec API wants it: a gzip tar with the folder itself at the top. */
final class CodeArchive {
    private static final Set<String> LEFT_OUT = Set.of(".git", "__pycache__", ".ipynb_checkpoints", ".venv");

    private CodeArchive() {}

    /** Packs a folder into a temporary file that the caller deletes. */
    static Path pack(Path folder) {
        Path top = folder.toAbsolutePath().normalize();
        if (!Files.isDirectory(top) || top.getFileName() == null) {
            throw ConcertinaException.invalid("--model-dir", folder.toString(), "a folder");
        }
        try {
            Path archive = Files.createTempFile("concertina-", ".modelDir.tar");
            try (OutputStream file = Files.newOutputStream(archive);
                    TarArchiveOutputStream tar = new TarArchiveOutputStream(new GZIPOutputStream(file))) {
                tar.setLongFileMode(TarArchiveOutputStream.LONGFILE_POSIX);
                tar.setBigNumberMode(TarArchiveOutputStream.BIGNUMBER_POSIX);
                Files.walkFileTree(top, new Packer(top, tar));
            } catch (IOException failed) {
                Files.deleteIfExists(archive);
                throw failed;
            }
            return archive;
        } catch (IOException failed) {
            throw new UncheckedIOException("cannot pack " + folder, failed);
        }
    }

    private static final class Packer extends SimpleFileVisitor<Path> {
        private final Path top;
        private final TarArchiveOutputStream tar;

        Packer(Path top, TarArchiveOutputStream tar) {
            this.top = top;
            this.tar = tar;
        }

        @Override
        public FileVisitResult preVisitDirectory(Path folder, BasicFileAttributes attributes) throws IOException {
            if (!folder.equals(top) && LEFT_OUT.contains(folder.getFileName().toString())) {
                return FileVisitResult.SKIP_SUBTREE;
            }
            put(folder, name(folder) + "/");
            tar.closeArchiveEntry();
            return FileVisitResult.CONTINUE;
        }

        @Override
        public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) throws IOException {
            Path content = attributes.isSymbolicLink() ? file.toRealPath() : file;
            if (Files.isRegularFile(content, LinkOption.NOFOLLOW_LINKS)) {
                put(content, name(file));
                Files.copy(content, tar);
                tar.closeArchiveEntry();
            }
            return FileVisitResult.CONTINUE;
        }

        private void put(Path content, String name) throws IOException {
            TarArchiveEntry entry = new TarArchiveEntry(content.toFile(), name);
            entry.setIds(0, 0);
            entry.setNames("", "");
            tar.putArchiveEntry(entry);
        }

        private String name(Path path) {
            String below = top.relativize(path).toString();
            return below.isEmpty() ? top.getFileName().toString() : top.getFileName() + "/" + below;
        }
    }
}
