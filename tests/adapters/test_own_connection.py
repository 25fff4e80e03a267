"""Clients on a connection that the caller made: *sock*, or *stream* with trio."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing

from smtpproto import ConnectFailed, TLSFailed, TLSMode
from smtpproto.adapters import trio as on_trio
from tests.adapters.connections import (
    connect_and,
    must_not_connect,
    noop,
    recording_server,
    send_hello,
)
from tests.adapters.harness import (
    ADAPTERS,
    LOOPS,
    Adapter,
    Blocking,
    Trio,
    each_client,
    running_server,
)
from tests.adapters.inboxes import Certificates, Inbox


@each_client
def test_a_client_uses_and_closes_the_socket_of_its_caller(client: type[Adapter]) -> None:
    with recording_server() as (near, server):
        connect_and(noop, client, "mx.example", 25, sock=near)
        assert near.fileno() == -1
        assert server.received() == b"EHLO localhost\r\nNOOP\r\nQUIT\r\n"


@each_client
def test_the_socket_of_the_caller_is_closed_when_the_server_refuses(client: type[Adapter]) -> None:
    with recording_server(ehlo_reply=b"550 go away\r\n") as (near, server):
        with pytest.raises(Exception, match="go away"):
            connect_and(must_not_connect, client, "mx.example", 25, sock=near)
        assert near.fileno() == -1
        assert server.received() == b"EHLO localhost\r\nQUIT\r\n"


@each_client
def test_tls_over_the_socket_of_the_caller_verifies_the_host(
    client: type[Adapter], certificates: Certificates, inbox: Inbox
) -> None:
    options: dict[str, Any] = {"tls": TLSMode.REQUIRED, "context": certificates.client}
    with running_server(Blocking, inbox, context=certificates.server) as running:
        near = socket.create_connection(("127.0.0.1", running.port))
        connect_and(send_hello, client, "localhost", sock=near, **options)
        near = socket.create_connection(("127.0.0.1", running.port))
        with pytest.raises(TLSFailed, match="host name"):
            connect_and(must_not_connect, client, "mx.example", sock=near, **options)
        assert near.fileno() == -1
    assert len(inbox.messages) == 1


@each_client
def test_the_socket_of_the_caller_does_not_delay_small_writes(
    client: type[Adapter], inbox: Inbox
) -> None:
    async def check(opened: Any) -> None:
        await opened.noop()
        assert same.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    with running_server(Blocking, inbox) as running:
        near = socket.socket()  # without the protocol, which asyncio would look at
        near.connect(("127.0.0.1", running.port))
        with near.dup() as same:
            connect_and(check, client, "localhost", sock=near, tls="none")


def plain(connected: socket.socket) -> socket.socket:
    return connected


def wrapped_in_tls(connected: socket.socket) -> socket.socket:
    return ssl.create_default_context().wrap_socket(
        connected, server_hostname="mx.example", do_handshake_on_connect=False
    )


UNUSABLE: list[tuple[type[Adapter], Callable[[socket.socket], socket.socket], int]] = [
    *((client, plain, 70000) for client in ADAPTERS),
    *((loop, wrapped_in_tls, 25) for loop in LOOPS),
    (Trio, wrapped_in_tls, 25),
]


@pytest.mark.parametrize(
    ("client", "kind", "port"),
    UNUSABLE,
    ids=[f"{client.name}-{kind.__name__}-{port}" for client, kind, port in UNUSABLE],
)
def test_a_socket_that_the_client_cannot_use_is_closed(
    client: type[Adapter], kind: Callable[[socket.socket], socket.socket], port: int
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        own = kind(socket.create_connection(listener.getsockname()))
        key = "stream" if client is Trio else "sock"
        with pytest.raises(ConnectFailed):
            connect_and(must_not_connect, client, "mx.example", port, **{key: own})
        assert own.fileno() == -1


# -- trio ----------------------------------------------------------------------------------------


def test_the_trio_client_accepts_any_trio_stream() -> None:
    async def main() -> bytes:
        near, far = trio.testing.memory_stream_pair()
        received = b""

        async def answer() -> None:
            nonlocal received
            await far.send_all(b"220 mx\r\n")
            async for data in far:
                received += data
                await far.send_all(b"250 mx\r\n")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer)
            async with on_trio.connect("mx.example", 25, stream=near) as client:
                assert (await client.noop()).positive
        with pytest.raises(trio.ClosedResourceError):
            await near.send_all(b"x")
        return received

    assert trio.run(main) == b"EHLO localhost\r\nNOOP\r\nQUIT\r\n"


def test_the_trio_client_accepts_a_socket_of_the_standard_library(inbox: Inbox) -> None:
    with running_server(Trio, inbox) as running:
        own = socket.create_connection(("127.0.0.1", running.port))

        async def main() -> None:
            async with on_trio.connect("127.0.0.1", 25, stream=own, tls="none") as opened:
                await noop(opened)

        trio.run(main)


def test_the_trio_client_closes_a_stream_that_it_cannot_use() -> None:
    class Stream(trio.abc.Stream):
        closed = False

        async def send_all(self, data: object) -> None: ...
        async def wait_send_all_might_not_block(self) -> None: ...
        async def receive_some(self, max_bytes: int | None = None) -> bytes:
            return b""

        async def aclose(self) -> None:
            self.closed = True

    async def main() -> None:
        async with on_trio.connect("mx.example", 70000, stream=own):
            raise AssertionError("the client connected")

    own = Stream()
    with pytest.raises(ConnectFailed):
        trio.run(main)
    assert own.closed
