package concertina.server;

import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.zip.ZipEntry;
import java.util.zip.ZipInputStream;

/** Unpacks a downloaded result. A member that would lie outside the folder is refused. */
final class ResultArchive {
    private ResultArchive() {}

    /** Returns the files written, in the archive's order. */
    static List<Path> unpack(Path zip, Path folder) throws IOException {
        List<Path> written = new ArrayList<>();
        Path top = folder.toAbsolutePath().normalize();
        Files.createDirectories(top);
        try (InputStream bytes = Files.newInputStream(zip);
                ZipInputStream members = new ZipInputStream(bytes)) {
            for (ZipEntry member = members.getNextEntry(); member != null; member = members.getNextEntry()) {
                Path target = top.resolve(member.getName()).normalize();
                if (!target.startsWith(top)) {
                    throw new ConcertinaException(
                            ErrorCode.FORBIDDEN, "the result has a member outside its folder: " + member.getName());
                }
                if (member.isDirectory()) {
                    Files.createDirectories(target);
                } else {
                    Files.createDirectories(target.getParent());
                    Files.copy(members, target, StandardCopyOption.REPLACE_EXISTING);
                    written.add(folder.resolve(top.relativize(target)));
                }
            }
        }
        return written;
    }
}
