package concertina.artifacts;

import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;

/**
 * Checks names that came from outside before they touch a file system. Pure; every refusal is INVALID_ARGUMENT or TOO_LARGE
 * and quotes the name.
 */
final class MemberPath {
    private static final int MAX_COMPONENT_BYTES = 255;
    private static final Pattern DRIVE = Pattern.compile("[A-Za-z]:.*", Pattern.DOTALL);

    private MemberPath() {}

    /** The components of an archive member's name; empty for the top folder itself. */
    static List<String> ofMember(String name, ArchiveLimits limits) {
        if (name.indexOf('\\') >= 0) {
            throw refuse(name, "paths separated by '/'");
        }
        if (DRIVE.matcher(name).matches()) {
            throw refuse(name, "relative paths without a drive letter");
        }
        if (name.startsWith("/")) {
            throw refuse(name, "relative paths");
        }
        if (name.getBytes(StandardCharsets.UTF_8).length > limits.maxPathBytes()) {
            throw new ConcertinaException(
                    ErrorCode.TOO_LARGE,
                    "file: the path of member " + quoted(name) + " is too long, accepted: at most "
                            + limits.maxPathBytes() + " bytes");
        }
        List<String> components = new ArrayList<>();
        for (String component : name.split("/", -1)) {
            if (component.isEmpty() || component.equals(".")) {
                continue;
            }
            checkComponent(name, component);
            components.add(component);
        }
        if (components.size() > limits.maxDepth()) {
            throw new ConcertinaException(
                    ErrorCode.TOO_LARGE,
                    "file: member " + quoted(name) + " lies too deep, accepted: at most " + limits.maxDepth()
                            + " components");
        }
        return List.copyOf(components);
    }

    /** The components of a path below a job's folder, at least one. */
    static List<String> ofResult(String path) {
        List<String> components = List.of(path.split("/", -1));
        for (String component : components) {
            if (component.isEmpty() || component.equals(".") || component.equals("..") || hasControl(component)) {
                throw ConcertinaException.invalid(
                        "path", shown(path), "a relative path below the job's folder without '.', '..' or empty parts");
            }
            if (component.getBytes(StandardCharsets.UTF_8).length > MAX_COMPONENT_BYTES) {
                throw ConcertinaException.invalid(
                        "path", shown(path), "names of at most " + MAX_COMPONENT_BYTES + " bytes");
            }
        }
        if (path.getBytes(StandardCharsets.UTF_8).length > 2048) {
            throw ConcertinaException.invalid("path", shown(path), "at most 2048 bytes");
        }
        return components;
    }

    /** What macOS and old tar programs add beside the real members. */
    static boolean clutter(List<String> components) {
        for (String component : components) {
            if (component.startsWith("._")
                    || component.equals(".DS_Store")
                    || component.equals("__MACOSX")
                    || component.equals("PaxHeader")
                    || component.startsWith("PaxHeaders")) {
                return true;
            }
        }
        return false;
    }

    static ConcertinaException refuse(String name, String accepted) {
        return new ConcertinaException(
                ErrorCode.INVALID_ARGUMENT, "file: member " + quoted(name) + " is refused, accepted: " + accepted);
    }

    static String quoted(String name) {
        return "'" + shown(name) + "'";
    }

    /** A name cut and cleaned so that it fits into a one-line message. */
    static String shown(String name) {
        StringBuilder text = new StringBuilder();
        name.codePoints()
                .limit(120)
                .forEach(point -> text.appendCodePoint(
                        Character.isISOControl(point)
                                        || Character.getType(point) == Character.FORMAT
                                        || Character.getType(point) == Character.LINE_SEPARATOR
                                        || Character.getType(point) == Character.SURROGATE
                                ? '?'
                                : point));
        return text.length() < name.length() ? text + "…" : text.toString();
    }

    private static void checkComponent(String name, String component) {
        if (component.equals("..")) {
            throw refuse(name, "paths that stay inside the archive, without '..'");
        }
        if (hasControl(component)) {
            throw refuse(name, "names without control characters");
        }
        if (component.getBytes(StandardCharsets.UTF_8).length > MAX_COMPONENT_BYTES) {
            throw refuse(name, "names of at most " + MAX_COMPONENT_BYTES + " bytes");
        }
    }

    private static boolean hasControl(String text) {
        return text.chars().anyMatch(Character::isISOControl);
    }
}
