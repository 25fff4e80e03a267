"""Servers of each adapter: concurrent clients, a graceful stop, and hooks that block or suspend."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Awaitable, Generator, Iterator

import pytest
import trio
from attrs import define, field

from smtpproto import (
    Authenticator,
    Client,
    ConnectFailed,
    Envelope,
    Handler,
    LocalProtocolError,
    Reply,
    Secret,
    Session,
    Sink,
    TLSMode,
)
from smtpproto.adapters import blocking as on_sockets
from smtpproto.adapters import trio as on_trio
from smtpproto.limits import CHUNK
from smtpproto.server import ServerOptions
from tests.adapters.connections import listens
from tests.adapters.harness import Adapter, Blocking, each_server, running_server
from tests.adapters.inboxes import Certificates, Inbox
from tests.support.envelopes import TO_BOB


@each_server
@pytest.mark.req("RFC5321-4.5.4.2-02")
def test_a_server_serves_several_clients_at_once(server: type[Adapter], inbox: Inbox) -> None:
    with running_server(server, inbox) as running:

        async def send_after_second_client(first: Client) -> None:
            def second_client() -> None:
                with on_sockets.connect("localhost", running.port) as second:
                    second.send(b"second\r\n", TO_BOB)

            thread = threading.Thread(target=second_client)
            thread.start()
            thread.join(30)
            assert not thread.is_alive()
            await first.send(b"first\r\n", TO_BOB)

        Blocking.client(running.port, send_after_second_client)
    assert inbox.bodies == [b"second\r\n", b"first\r\n"]


@each_server
def test_no_connection_of_a_server_delays_small_writes(
    server: type[Adapter], inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept, accepted = socket.socket.accept, []

    def recording(listener: socket.socket) -> object:
        connected, address = accept(listener)
        accepted.append(connected)
        return connected, address

    async def check(client: Client) -> None:
        await client.noop()
        (mine,) = accepted
        assert mine.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    monkeypatch.setattr(socket.socket, "accept", recording)
    with running_server(server, inbox) as running:
        Blocking.client(running.port, check)


# -- stopping ------------------------------------------------------------------------------------


@each_server
@pytest.mark.req("RFC5321-3.8-03")
@pytest.mark.parametrize("tls", [False, True], ids=["clear", "tls"])
def test_a_stopping_server_sends_421_to_idle_clients(
    server: type[Adapter], tls: bool, certificates: Certificates, inbox: Inbox
) -> None:
    mode = TLSMode.IMPLICIT if tls else TLSMode.NONE
    theirs: ServerOptions = {"context": certificates.server, "implicit_tls": tls}
    with running_server(server, inbox, **theirs) as running:

        async def idle(client: Client) -> None:
            await client.noop()
            running.stop()
            assert (await client.noop()).code == 421
            assert not client.usable

        Blocking.client(running.port, idle, tls=mode, context=certificates.client)


# Ten chunks. The client sends four ahead of their replies, so when it asks for the next piece, the
# server has replied to some of them and is inside the message.
FIRST = b"one\r\n" * 2 * CHUNK


@define(eq=False)
class _AnnouncingInbox(Inbox):
    """Sets *begun* when the content of a message begins."""

    begun: threading.Event = field(factory=threading.Event)

    def data(self, session: Session, envelope: Envelope) -> Sink | Reply | Awaitable[Sink | Reply]:
        self.begun.set()
        return super().data(session, envelope)


@each_server
def test_a_stopping_server_lets_a_message_in_flight_finish(server: type[Adapter]) -> None:
    inbox = _AnnouncingInbox()
    with running_server(server, inbox) as running:
        stopping = threading.Thread(target=running.stop)

        def content() -> Iterator[bytes]:
            yield FIRST
            assert inbox.begun.wait(30)
            stopping.start()
            while listens(running.port):
                pass
            yield b"two\r\n"

        async def send(client: Client) -> None:
            assert (await client.send(content(), TO_BOB)).accepted

        Blocking.client(running.port, send)
        stopping.join(30)
        assert not stopping.is_alive()
    assert inbox.bodies[0] == FIRST + b"two\r\n"


@each_server
@pytest.mark.req("RFC5321-4.1.1.5-04")
def test_a_stopping_server_does_not_wait_for_a_client_that_left_during_a_message(
    server: type[Adapter], inbox: Inbox
) -> None:
    with running_server(server, inbox) as running:
        with socket.create_connection(("127.0.0.1", running.port)) as client:
            lines = [b"HELO c.example", b"MAIL FROM:<>", b"RCPT TO:<bob@example.org>", b"DATA"]
            with client.makefile("rb") as replies:
                replies.readline()
                for line in lines:
                    client.sendall(line + b"\r\n")
                    replies.readline()
            client.sendall(b"half a mess")
            stopping = threading.Thread(target=running.stop)
            stopping.start()
            while listens(running.port):
                pass
        stopping.join(20)  # less than the grace of 30 seconds
        assert not stopping.is_alive()
    assert inbox.closed.is_set() and not inbox.messages


@each_server
def test_a_stopped_server_accepts_no_connections(server: type[Adapter], inbox: Inbox) -> None:
    with running_server(server, inbox) as running:
        port = running.port
    with pytest.raises(ConnectFailed):
        on_sockets.connect("127.0.0.1", port)


def test_a_stopping_trio_server_does_not_wait_for_a_password_check_in_a_thread() -> None:
    asked, answer, ended = threading.Event(), threading.Event(), threading.Event()

    class Slow(Authenticator):
        def check_password(self, username: str, password: Secret) -> bool:
            asked.set()
            answer.wait(5)
            ended.set()
            return False

    async def main() -> None:
        async with (
            on_trio.serve(Handler(), authenticator=Slow(), auth_in_clear=True) as server,
            await trio.open_tcp_stream("127.0.0.1", server.port) as stream,
        ):
            await stream.send_all(b"EHLO c.example\r\nAUTH PLAIN AGFubgBzZWNyZXQ=\r\n")
            await trio.to_thread.run_sync(asked.wait)
            await server.stop(grace=0)
        assert not ended.is_set()

    try:
        trio.run(main)
    finally:
        answer.set()


# -- blocking servers and coroutines ---------------------------------------------------------------


def test_a_hook_that_suspends_is_answered_with_451_by_a_blocking_server() -> None:
    class Suspending(Handler):
        async def vrfy(self, session: Session, name: str) -> None:
            await asyncio.Event().wait()

    async def verify_twice(client: Client) -> None:
        assert [(await client.vrfy("ann")).code for _ in range(2)] == [451, 451]
        assert (await client.noop()).code == 250

    with running_server(Blocking, Suspending()) as running:
        Blocking.client(running.port, verify_twice)


def test_run_refuses_a_coroutine_that_suspends() -> None:
    class Suspends:
        def __await__(self) -> Generator[None, None, None]:
            yield

    async def suspends() -> None:
        await Suspends()

    with pytest.raises(LocalProtocolError, match="a coroutine suspended"):
        on_sockets.run(suspends())
