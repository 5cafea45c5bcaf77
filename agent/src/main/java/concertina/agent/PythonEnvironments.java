package concertina.agent;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** Finds the interpreter of a named Python environment: {@code <folder>/<name>/bin/python} in the first folder that has it. */
final class PythonEnvironments {
    private final List<Path> folders;

    PythonEnvironments(List<Path> folders) {
        this.folders = List.copyOf(folders);
    }

    /** Configured folders first, then where conda usually keeps its environments. */
    static PythonEnvironments usual(List<Path> configured, Map<String, String> environment) {
        List<Path> folders = new ArrayList<>(configured);
        String conda = environment.get("CONDA_EXE");
        Path bin = conda == null ? null : Path.of(conda).toAbsolutePath().getParent();
        if (bin != null) {
            folders.add(bin.resolveSibling("envs"));
        }
        String home = environment.getOrDefault("HOME", "");
        if (!home.isEmpty()) {
            for (String name : List.of(".conda", "miniconda3", "anaconda3", "miniforge3")) {
                folders.add(Path.of(home, name, "envs"));
            }
        }
        folders.add(Path.of("/opt/conda/envs"));
        return new PythonEnvironments(folders);
    }

    /** The interpreter of an environment; empty when there is none of that name. */
    Optional<Path> find(String name) {
        if (name.isEmpty() || name.startsWith(".") || name.indexOf('/') >= 0 || name.indexOf(0) >= 0) {
            return Optional.empty();
        }
        for (Path folder : folders) {
            Path python = folder.resolve(name).resolve("bin").resolve("python");
            if (Files.isExecutable(python)) {
                return Optional.of(python);
            }
        }
        return Optional.empty();
    }
}
