package concertina.agent;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.util.ArrayList;
import java.util.List;

/** Finds TCP ports that nobody on this node listens on at the moment. */
final class FreePorts {
    private FreePorts() {}

    /** Distinct ports, each bound for a moment to see that it is free; fewer when the node runs out. */
    static List<Integer> find(int count) {
        List<ServerSocketChannel> held = new ArrayList<>();
        List<Integer> ports = new ArrayList<>();
        try {
            for (int i = 0; i < count; i++) {
                ServerSocketChannel channel = ServerSocketChannel.open();
                held.add(channel);
                channel.bind(new InetSocketAddress(0));
                ports.add(channel.socket().getLocalPort());
            }
        } catch (IOException e) {
            // The server asks again with the next poll.
        } finally {
            for (ServerSocketChannel channel : held) {
                try {
                    channel.close();
                } catch (IOException e) {
                    // Nothing was sent through it.
                }
            }
        }
        return ports;
    }
}
