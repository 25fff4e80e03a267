"""Reads that do not wait, and replies that arrive too early, over real sockets in clear and TLS."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import trio

from smtpproto import (
    Client,
    RemoteProtocolError,
    SendRefused,
    SMTPError,
    TimedOut,
    TLSMode,
)
from smtpproto.adapters import asyncio as on_asyncio
from smtpproto.adapters import blocking as on_sockets
from smtpproto.adapters import trio as on_trio
from smtpproto.ports import Stream
from smtpproto.testing import Simulation
from tests.adapters.connections import connect_and
from tests.adapters.harness import Adapter, Asyncio, Trio, each_client
from tests.adapters.inboxes import Certificates
from tests.support.envelopes import TO_BOB

Reading = Callable[[Stream], Awaitable[Any]]


def read_from(client: type[Adapter], near: socket.socket, reading: Reading) -> Any:
    """Return what *reading* returns for the stream of an adapter over the socket *near*."""

    async def with_stream(runtime: Any) -> Any:
        stream = await runtime.dial("mx", 25, 5)
        try:
            return await reading(stream)
        finally:
            await stream.close()

    if client is Asyncio:

        async def main() -> Any:
            return await with_stream(on_asyncio.Runtime(near))

        return asyncio.run(main())
    if client is Trio:
        near.setblocking(False)
        return trio.run(with_stream, on_trio.Runtime(near))
    return on_sockets.run(with_stream(on_sockets.Runtime(near)))


@each_client
def test_a_read_without_a_wait_returns_what_has_arrived(client: type[Adapter]) -> None:
    near, far = socket.socketpair()

    async def reading(stream: Stream) -> None:
        for _ in range(2):
            with pytest.raises(TimedOut):
                await stream.read(0)
        for octets in (b"250 ok\r\n", b"x"):
            far.sendall(octets)
            assert await stream.read(0) == octets
            with pytest.raises(TimedOut):
                await stream.read(0)
        await stream.write(b"QUIT\r\n", 5)
        assert far.recv(100) == b"QUIT\r\n"
        far.close()
        assert await stream.read(5) == b""
        assert await stream.read(0) == b""

    read_from(client, near, reading)


@each_client
def test_a_read_without_a_wait_returns_the_end(client: type[Adapter]) -> None:
    near, far = socket.socketpair()

    async def reading(stream: Stream) -> None:
        far.sendall(b"221 bye\r\n")
        far.close()
        assert await stream.read(0) == b"221 bye\r\n"
        assert await stream.read(0) == b""

    read_from(client, near, reading)


def test_the_simulation_does_not_wait_either() -> None:
    simulation = Simulation(1)
    near, far = simulation.pair()

    async def main() -> None:
        with pytest.raises(TimedOut):
            await near.read(0)
        await far.write(b"2", 5)
        assert await near.read(0) == b"2"
        assert simulation.now() == 0

    simulation.run(main())


def test_a_blocking_socket_that_the_caller_put_under_tls_can_be_read_without_a_wait(
    certificates: Certificates,
) -> None:
    near, far = socket.socketpair()

    def serve() -> None:
        with certificates.server.wrap_socket(far, server_side=True) as under_tls:
            under_tls.recv(100)

    thread = threading.Thread(target=serve)
    thread.start()
    wrapped = certificates.client.wrap_socket(near, server_hostname="localhost")
    stream = on_sockets.Stream(wrapped)
    with pytest.raises(TimedOut):
        on_sockets.run(stream.read(0))
    on_sockets.run(stream.write(b"x", 5))
    thread.join()
    wrapped.close()


# -- a server that replies before the end of the content ------------------------------------------


class _ScriptedServer:
    """Plays a dialogue on a socket in a thread; *early* is sent after the first line of content."""

    def __init__(self, context: ssl.SSLContext | None, early: bytes, final: bytes) -> None:
        self.sent_early = threading.Event()
        self._context, self._early, self._final = context, early, final
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        connection, _ = self._listener.accept()
        if self._context is not None:
            connection = self._context.wrap_socket(connection, server_side=True)
        with connection, connection.makefile("rwb") as file:
            self._talk(file)

    def _talk(self, file: Any) -> None:
        def reply(octets: bytes) -> None:
            file.write(octets)
            file.flush()

        reply(b"220 mx\r\n")
        content = False
        for line in file:
            match line[:4]:
                case b"EHLO":
                    reply(b"250-mx\r\n250 8BITMIME\r\n")
                case b"DATA":
                    reply(b"354 go\r\n")
                    content = True
                case b".\r\n":
                    reply(self._final)
                    content = False
                case b"QUIT":
                    reply(b"221 bye\r\n")
                    return
                case _ if not content:
                    reply(b"250 ok\r\n")
                case b"one\r":
                    reply(self._early)
                    self.sent_early.set()

    def wait(self) -> None:
        self._listener.close()
        self._thread.join(30)
        assert not self._thread.is_alive()


def outcome_of(
    client: type[Adapter], certificates: Certificates, tls: bool, early: bytes, final: bytes
) -> SMTPError | None:
    """Send a message to a server that sends *early* in the middle of it; return the error."""
    server = _ScriptedServer(certificates.server if tls else None, early, final)

    async def content() -> AsyncIterator[bytes]:
        yield b"one\r\n"
        assert server.sent_early.wait(30)  # the kernel has it, although the client did not read
        yield b"two\r\n"

    async def talk(opened: Client) -> SMTPError | None:
        try:
            assert (await opened.send(content(), TO_BOB)).accepted
        except SMTPError as error:
            return error
        return None

    mode = TLSMode.IMPLICIT if tls else TLSMode.NONE
    context = certificates.client if tls else None
    error = connect_and(talk, client, "localhost", server.port, tls=mode, context=context)
    server.wait()
    assert error is None or isinstance(error, SMTPError)
    return error


@each_client
@pytest.mark.parametrize("tls", [False, True], ids=["clear", "tls"])
def test_a_reply_in_the_middle_of_the_content_accepts_nobody(
    client: type[Adapter], tls: bool, certificates: Certificates
) -> None:
    error = outcome_of(client, certificates, tls, b"250 queued\r\n", b"554 no\r\n")
    assert isinstance(error, RemoteProtocolError)
    error = outcome_of(client, certificates, tls, b"552 too big\r\n", b"250 queued\r\n")
    assert isinstance(error, SendRefused) and error.reply.code == 552
    assert outcome_of(client, certificates, tls, b"", b"250 queued\r\n") is None
