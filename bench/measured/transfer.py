"""How fast this machine moves bytes between processes: plain TCP over loopback, one sender, several receivers at once.

Run as a program it is one receiver: `transfer.py <port> <bytes> <times>`.
"""

import socket
import statistics
import subprocess
import sys
import threading
import time

PIECE_BYTES = 1 << 20


def receive(port, size, times):
    room = memoryview(bytearray(size))
    with socket.create_connection(("127.0.0.1", port)) as connection:
        for _ in range(times):
            filled = 0
            while filled < size:
                arrived = connection.recv_into(room[filled : filled + PIECE_BYTES])
                if not arrived:
                    return
                filled += arrived
            connection.sendall(b"!")


def seconds(size, receivers, times=5):
    """Median time, in seconds, until every receiver has that many bytes from the one sender."""
    content = memoryview(bytes(size))
    taken = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        command = [sys.executable, __file__, str(server.getsockname()[1]), str(size), str(times)]
        started = [subprocess.Popen(command) for _ in range(receivers)]
        try:
            server.settimeout(60)
            connections = [server.accept()[0] for _ in range(receivers)]

            def deliver(connection):
                connection.sendall(content)
                connection.recv(1)

            for _ in range(times):
                threads = [threading.Thread(target=deliver, args=(connection,)) for connection in connections]
                since = time.perf_counter()
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                taken.append(time.perf_counter() - since)
            for connection in connections:
                connection.close()
        finally:
            for process in started:
                process.kill()
                process.wait()
    # The first delivery meets memory that nobody has touched.
    return statistics.median(taken[1:] or taken)


if __name__ == "__main__":
    receive(*map(int, sys.argv[1:]))
