"""Connections of a generation: authenticated, whole messages whatever the sizes, broken at once when they break."""

import os
import resource
import socket
import threading
import time

import pytest

from concertina.mesh import GroupBroken, Listener, Mesh

SECRET = "the job's secret"


def together(functions, limit=20.0):
    """Run all functions at once; their results, or the exceptions they raised, in order."""
    results = [None] * len(functions)

    def run(number):
        try:
            results[number] = functions[number]()
        except Exception as error:
            results[number] = error

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(len(functions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(limit)
        assert not thread.is_alive(), "not done within the limit"
    return results


def listeners(count, secret=SECRET):
    made = [Listener("127.0.0.1", secret, f"job-1.{number}") for number in range(count)]
    return made, [(f"job-1.{number}", each.address) for number, each in enumerate(made)]


def meshes(count, generation=1):
    made, members = listeners(count)
    formed = together([lambda each=each: each.form(generation, members, threading.Event()) for each in made])
    assert all(isinstance(each, Mesh) for each in formed), formed
    return formed


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_everybody_gets_what_everybody_sent(size):
    formed = meshes(size)

    def talk(mesh):
        lengths = [1, 100_000, 3_000_000, 0, 17]
        others = [rank for rank in range(size) if rank != mesh.rank]
        received = {rank: [bytearray(length) for length in lengths] for rank in others}
        for round_number in range(3):
            mark = bytes([mesh.rank + 10 * round_number])
            outgoing = {rank: [memoryview(mark * length) for length in lengths] for rank in others}
            mesh.exchange(outgoing, {rank: [memoryview(each) for each in views] for rank, views in received.items()})
            for rank in others:
                expected = bytes([rank + 10 * round_number])
                assert all(bytes(got) == expected * length for got, length in zip(received[rank], lengths))
        return True

    assert together([lambda mesh=mesh: talk(mesh) for mesh in formed]) == [True] * size
    for mesh in formed:
        mesh.close()


def test_a_blocked_exchange_ends_at_once_when_aborted():
    first, second = meshes(2)
    aborting = threading.Timer(0.05, lambda: first.abort("told to stop"))
    aborting.start()
    with pytest.raises(GroupBroken, match="told to stop"):
        first.exchange({}, {1: [memoryview(bytearray(10))]})
    with pytest.raises(GroupBroken, match="told to stop"):
        first.exchange({}, {})
    first.close()
    second.close()


def test_a_peer_that_closes_breaks_the_exchange_of_those_that_need_it_and_frees_the_rest():
    first, second, third = meshes(3)
    third.close()
    error = together([lambda: second.exchange({}, {2: [memoryview(bytearray(10))]})])[0]
    assert isinstance(error, GroupBroken) and "rank 2 is gone" in str(error)
    second.close()
    error = together([lambda: first.exchange({}, {1: [memoryview(bytearray(10))]})])[0]
    assert isinstance(error, GroupBroken) and "rank 1 is gone" in str(error)


def test_a_peer_that_sent_everything_before_it_closed_is_no_error():
    first, second = meshes(2)
    sender = threading.Thread(target=lambda: (second.exchange({0: [memoryview(b"x" * 2_000_000)]}, {}), second.close()))
    sender.start()
    received = bytearray(2_000_000)
    first.exchange({}, {1: [memoryview(received)]})
    sender.join(10)
    assert bytes(received) == b"x" * 2_000_000


def test_a_listener_with_another_secret_is_refused_on_both_sides():
    (ours,), [mine] = listeners(1)
    stranger = Listener("127.0.0.1", "another secret", "job-1.1")
    members = [mine, ("job-1.1", stranger.address)]
    cancelled = threading.Event()
    waiting = threading.Thread(target=lambda: together([lambda: ours.form(1, members, cancelled)]), daemon=True)
    waiting.start()
    with pytest.raises(OSError, match="job-1.0"):
        stranger.form(1, members, threading.Event())
    cancelled.set()
    ours.wake()
    waiting.join(10)
    assert not waiting.is_alive()


def test_nonsense_sent_to_a_listener_is_dropped_without_harm():
    made, members = listeners(2)
    host, _, port = members[0][1].rpartition(":")
    for nonsense in (b"", b"GET / HTTP/1.1\r\n\r\n" + b"y" * 64, b"\xff" * 5000, b"\0\0\0\2{}" + b"0" * 32):
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            connection.sendall(nonsense)
    formed = together([lambda each=each: each.form(1, members, threading.Event()) for each in made])
    assert all(isinstance(each, Mesh) for each in formed), formed


def test_forming_stops_when_cancelled():
    made, members = listeners(2)
    cancelled = threading.Event()
    results = []
    thread = threading.Thread(target=lambda: results.extend(together([lambda: made[0].form(1, members, cancelled)])))
    thread.start()
    cancelled.set()
    made[0].wake()
    thread.join(10)
    assert isinstance(results[0], OSError)


def test_an_unreachable_member_is_named():
    made, members = listeners(2)
    free = socket.create_server(("127.0.0.1", 0))
    members[0] = ("job-1.0", f"127.0.0.1:{free.getsockname()[1]}")
    free.close()
    with pytest.raises(OSError, match="job-1.0 at 127.0.0.1"):
        made[1].form(1, members, threading.Event())


def test_closing_leaves_no_open_descriptor():
    meshes(2)[0].close()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        for mesh in meshes(3):
            mesh.close()
    end = time.monotonic() + 5
    while len(os.listdir("/proc/self/fd")) > before + 9 and time.monotonic() < end:
        threading.Event().wait(0.01)
    assert len(os.listdir("/proc/self/fd")) <= before + 9


def accepting(before):
    """The thread of the one listener that was made since."""
    (thread,) = [each for each in threading.enumerate() if each.name == "concertina-accept" and each not in before]
    return thread


def test_a_closed_listener_leaves_neither_thread_nor_port():
    before = threading.enumerate()
    listener = Listener("127.0.0.1", SECRET, "job-1.0")
    thread, (host, port) = accepting(before), listener.address.split(":")
    thread.join(0.3)
    listener.close()
    thread.join(5)
    assert not thread.is_alive()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), 5)


def test_a_moment_without_free_descriptors_does_not_make_a_worker_deaf():
    before = threading.enumerate()
    _, members = listeners(1)
    thread, caller = accepting(before), socket.socket()
    host, port = members[0][1].split(":")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        caller.connect((host, int(port)))
        thread.join(0.3)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    caller.settimeout(10)
    with caller:
        assert caller.recv(16, socket.MSG_WAITALL)


def test_a_newcomer_learns_how_large_the_state_is_and_only_who_knows_the_secret():
    (holder, newcomer), members = listeners(2)
    holder.sizes = lambda: [1 << 23, 1 << 22] * 2000
    assert newcomer.ask_sizes(*members[0]) == [1 << 23, 1 << 22] * 2000
    assert holder.ask_sizes(*members[1]) == []
    (stranger,), _ = listeners(1, "guessed")
    with pytest.raises(OSError):
        stranger.ask_sizes(*members[0])
    holder.sizes = lambda: [1 << 22] * 200_000
    with pytest.raises(OSError, match="accepted are at most"):
        newcomer.ask_sizes(*members[0])
