"""The streams of blocking sockets and of trio, each over one end of a pair of sockets."""

from __future__ import annotations

import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
import trio
import trio.testing

from smtpproto import ConnectionLost, TimedOut
from smtpproto.adapters import blocking as on_sockets
from smtpproto.adapters import trio as on_trio
from smtpproto.ports import Stream

BIG = bytes(8 * 1024 * 1024)  # more than the buffers of two sockets
Use = Callable[[Stream], Awaitable[object]]


def on_threads(end: socket.socket, use: Use) -> None:
    async def main() -> None:
        await use(on_sockets.Stream(end))

    on_sockets.run(main())


def under_trio(end: socket.socket, use: Use) -> None:
    async def main() -> None:
        await use(on_trio.Stream(end))

    trio.run(main)


each_way = pytest.mark.parametrize("play", [on_threads, under_trio])
Play = Callable[[socket.socket, Use], None]


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = socket.socketpair()
    with near, far:
        yield near, far


Ends = tuple[socket.socket, socket.socket]


@each_way
def test_a_read_without_time_returns_what_has_arrived_and_never_waits(
    play: Play, ends: Ends
) -> None:
    near, far = ends

    async def use(stream: Stream) -> None:
        far.sendall(b"250 ok\r\n")
        assert await stream.read(0) == b"250 ok\r\n"
        with pytest.raises(TimedOut):
            await stream.read(0)
        far.close()
        assert await stream.read(0) == b""

    play(near, use)


@each_way
def test_a_read_whose_time_is_almost_over_still_returns_what_has_arrived(
    play: Play, ends: Ends
) -> None:
    near, far = ends

    async def use(stream: Stream) -> None:
        far.sendall(b"250 ok\r\n")
        assert await stream.read(1e-9) == b"250 ok\r\n"
        with pytest.raises(TimedOut, match="silent"):
            await stream.read(1e-9)

    play(near, use)


@each_way
def test_a_write_that_the_peer_does_not_read_ends_with_its_time(play: Play, ends: Ends) -> None:
    near, _ = ends

    async def use(stream: Stream) -> None:
        for timeout in (0.01, 0):
            with pytest.raises(TimedOut, match="did not read"):
                await stream.write(BIG, timeout)

    play(near, use)


@each_way
def test_a_large_write_is_whole_although_the_peer_reads_it_in_pieces(
    play: Play, ends: Ends
) -> None:
    near, far = ends
    received = bytearray()

    def receive() -> None:
        while piece := far.recv(100_000):
            received.extend(piece)

    async def use(stream: Stream) -> None:
        await stream.write(BIG, None)
        await stream.close()

    reader = threading.Thread(target=receive)
    reader.start()
    play(near, use)
    reader.join()
    assert received == BIG


@each_way
def test_an_interrupted_stream_reads_the_end_but_can_still_write(play: Play, ends: Ends) -> None:
    near, far = ends

    async def use(stream: Stream) -> None:
        stream.interrupt()
        assert await stream.read(None) == b""
        assert await stream.read(None) == b""
        await stream.write(b"421 closing\r\n", None)
        assert far.recv(100) == b"421 closing\r\n"

    play(near, use)


@pytest.mark.parametrize(
    ("play", "interrupted"), [(on_threads, False), (under_trio, False), (under_trio, True)]
)
def test_a_stream_that_has_ended_its_direction_reads_what_still_arrives(
    play: Play, interrupted: bool
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        far = socket.create_connection(listener.getsockname())
        near, _ = listener.accept()

    async def use(stream: Stream) -> None:
        if interrupted:
            stream.interrupt()
        await stream.end()
        assert far.recv(100) == b""
        with pytest.raises(TimedOut):
            await stream.read(0.01)
        far.sendall(b"MAIL FROM:<>")
        assert await stream.read(None) == b"MAIL FROM:<>"
        far.close()
        assert await stream.read(None) == b""

    with near, far:
        play(near, use)


@each_way
def test_a_closed_stream_raises_connection_lost(play: Play, ends: Ends) -> None:
    near, _ = ends

    async def use(stream: Stream) -> None:
        await stream.close()
        await stream.close()
        for timeout in (None, 0):
            with pytest.raises(ConnectionLost):
                await stream.read(timeout)
            with pytest.raises(ConnectionLost):
                await stream.write(b"x", timeout)

    play(near, use)


def test_another_thread_can_interrupt_and_abort_a_blocking_stream(ends: Ends) -> None:
    near, _ = ends
    stream = on_sockets.Stream(near)
    for end in (stream.interrupt, stream.abort):
        timer = threading.Timer(0.01, end)
        timer.start()
        assert on_sockets.run(stream.read(None)) == b""
        timer.join()
    with pytest.raises(ConnectionLost):
        on_sockets.run(stream.write(b"x", None))


def test_a_trio_task_that_waits_for_octets_can_be_interrupted_and_cancelled(ends: Ends) -> None:
    near, far = ends

    async def main() -> None:
        stream: Any = on_trio.Stream(near)
        with trio.move_on_after(0):
            await stream.read(None)
        far.sendall(b"x")
        assert await stream.read(None) == b"x"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.read, None)
            await trio.testing.wait_all_tasks_blocked()
            stream.interrupt()

    trio.run(main)


def test_a_trio_task_that_writes_content_lets_others_run_although_the_peer_reads_at_once(
    ends: Ends,
) -> None:
    near, far = ends

    async def main() -> None:
        stream, turns = on_trio.Stream(near), 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(count)
            for _ in range(10):
                await stream.write(bytes(8192), None)
                far.recv(8192)
            assert turns >= 9
            nursery.cancel_scope.cancel()

    trio.run(main)
