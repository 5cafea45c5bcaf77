package concertina.api;

import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import concertina.trials.Plugin;
import concertina.trials.Plugins;
import java.nio.file.Path;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentSkipListMap;

/** Plug-ins that are remembered and lie nowhere. */
final class MemoryPlugins implements Plugins {
    private final Map<String, Plugin> installed = new ConcurrentSkipListMap<>();

    @Override
    public Plugin install(Installation installation) {
        if (!installation.name().matches("[A-Za-z0-9_-]+")) {
            throw ConcertinaException.invalid("name", installation.name(), "letters, digits, '-' and '_'");
        }
        Plugin plugin = new Plugin(
                installation.name(),
                Path.of("/plugins", installation.name()),
                installation.condaHome(),
                installation.condaEnvironment(),
                installation.logLevel(),
                installation.creator(),
                Instant.EPOCH);
        if (installed.putIfAbsent(plugin.name(), plugin) != null) {
            throw new ConcertinaException(ErrorCode.CONFLICT, "name is '" + plugin.name() + "', which is installed");
        }
        return plugin;
    }

    @Override
    public Optional<Plugin> find(String name) {
        return Optional.ofNullable(installed.get(name));
    }

    @Override
    public List<Plugin> list() {
        return List.copyOf(installed.values());
    }

    @Override
    public void delete(String name) {
        installed.remove(name);
    }
}
