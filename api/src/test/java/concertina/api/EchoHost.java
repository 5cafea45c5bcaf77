package concertina.api;

import concertina.trials.PluginHost;

/** Stands for the process of a plug-in that always proposes the same rate. */
final class EchoHost implements PluginHost {
    private final Runnable thinking;

    EchoHost(Runnable thinking) {
        this.thinking = thinking;
    }

    @Override
    public String call(String request) {
        thinking.run();
        return request.contains("\"start\"")
                ? "{}"
                : "{\"points\": [{\"rate\": 0.25}], \"more\": true, \"state\": \"c2F2ZWQ=\"}";
    }

    @Override
    public String log() {
        return "thinking";
    }

    @Override
    public void close() {}
}
