package concertina.trials;

import concertina.model.ConcertinaException;
import concertina.search.Sampler;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** The built-in algorithms, and beside them the plug-ins that users installed. Thread-safe. */
public final class AllSamplers implements Samplers {
    private final BuiltInSamplers builtIn = new BuiltInSamplers();
    private final Plugins plugins;
    private final PluginHost.Starter hosts;

    public AllSamplers(Plugins plugins, PluginHost.Starter hosts) {
        this.plugins = plugins;
        this.hosts = hosts;
    }

    @Override
    public Sampler create(SearchSpec spec, @Nullable String saved) {
        String name = spec.algorithm();
        if (BuiltInSamplers.named(name).isPresent()) {
            return builtIn.create(spec, saved);
        }
        return plugins.find(name)
                .<Sampler>map(plugin -> new PluginSampler(hosts, plugin, PluginSampler.Task.of(spec), saved))
                .orElseThrow(() -> ConcertinaException.invalid("algoDef.algorithm", name, accepted()));
    }

    private String accepted() {
        List<String> names = new ArrayList<>(BuiltInSamplers.names());
        plugins.list().forEach(plugin -> names.add(plugin.name()));
        return "one of " + String.join(", ", names);
    }
}
