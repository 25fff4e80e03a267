"""Connections for tests: through each adapter, to a recording server, and over raw sockets."""

from __future__ import annotations

import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
import trio

from smtpproto import Client, Handler
from smtpproto.adapters import asyncio as on_asyncio
from smtpproto.adapters import blocking as on_sockets
from smtpproto.adapters import trio as on_trio
from tests.adapters.harness import Adapter, Asyncio, AwaitableClient, Trio
from tests.support.envelopes import TO_BOB

Talk = Callable[[Client], Awaitable[Any]]
needs_unix_sockets = pytest.mark.skipif(
    not hasattr(socket, "AF_UNIX"), reason="this system has no Unix sockets"
)


def connect_and(talk: Talk, client: type[Adapter], *where: Any, **options: Any) -> Any:
    """Call ``connect`` of an adapter with *where* and *options*, and return what *talk* returns.

    *sock* is a socket with any adapter.
    """

    async def with_asyncio() -> Any:
        async with on_asyncio.connect(*where, **options) as opened:
            return await talk(opened)

    async def with_trio() -> Any:
        if (sock := options.pop("sock", None)) is not None:
            options["stream"] = trio.socket.from_stdlib_socket(sock)
        async with on_trio.connect(*where, **options) as opened:
            return await talk(opened)

    async def with_sockets(opened: Any) -> Any:
        return await talk(opened)

    if issubclass(client, Asyncio):
        return client.run(with_asyncio())
    if client is Trio:
        return trio.run(with_trio)
    with on_sockets.connect(*where, **options) as opened:
        return on_sockets.run(with_sockets(AwaitableClient(opened)))


def send_with(client: type[Adapter], *where: Any, **options: Any) -> Any:
    """Call ``send`` of an adapter, and return the outcome."""
    if issubclass(client, Asyncio):
        return client.run(on_asyncio.send(*where, **options))
    if client is Trio:
        return trio.run(lambda: on_trio.send(*where, **options))
    return on_sockets.send(*where, **options)


def start_and_stop(server: type[Adapter], *where: Any) -> None:
    """Call ``serve`` of an adapter with *where*, and stop the server at once."""

    async def with_asyncio() -> None:
        async with on_asyncio.serve(Handler(), *where):
            pass

    async def with_trio() -> None:
        async with on_trio.serve(Handler(), *where):
            pass

    if issubclass(server, Asyncio):
        server.run(with_asyncio())
    elif server is Trio:
        trio.run(with_trio)
    else:
        with on_sockets.serve(Handler(), *where):
            pass


async def send_hello(client: Client) -> None:
    assert (await client.send(b"hello\r\n", TO_BOB)).accepted


async def noop(client: Client) -> None:
    assert (await client.noop()).code == 250


async def must_not_connect(_: Client) -> None:
    raise AssertionError("the client connected")


class RecordingServer:
    """A server at one end of a socket that offers no extension and records what it receives."""

    def __init__(self, end: socket.socket, ehlo_reply: bytes = b"250 mx\r\n") -> None:
        self._end, self._ehlo_reply, self._received = end, ehlo_reply, b""
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with self._end, self._end.makefile("rb") as lines:
            self._end.sendall(b"220 mx\r\n")
            for line in lines:
                self._received += line
                reply = self._ehlo_reply if line.startswith(b"EHLO") else b"250 ok\r\n"
                self._end.sendall(reply)

    def received(self) -> bytes:
        """Wait until the client has closed the connection, and return all octets it sent."""
        self._thread.join(30)
        assert not self._thread.is_alive()
        return self._received


@contextmanager
def recording_server(**options: Any) -> Iterator[tuple[socket.socket, RecordingServer]]:
    """Yield a socket that is connected to a :class:`RecordingServer`, and the server."""
    near, far = socket.socketpair()
    try:
        yield near, RecordingServer(far, **options)
    finally:
        near.close()


def unused_port() -> int:
    """Return a TCP port of 127.0.0.1 on which no server listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port


# -- raw sockets -----------------------------------------------------------------------------------


def listens(port: int) -> bool:
    """Return whether a server accepts connections on *port*."""
    try:
        connect_raw(port).close()
    except OSError:
        return False
    return True


def connect_raw(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), 30)


def receive(connection: socket.socket) -> bytes:
    """Return what arrives next; nothing at the end or after a reset."""
    with suppress(ConnectionResetError):
        return connection.recv(65536)
    return b""


def receive_until_end(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: receive(connection), b""))
