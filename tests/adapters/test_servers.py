"""What is an adapter's own: stopping, dialling, TLS that fails, time-outs, cancellation."""

from __future__ import annotations

import asyncio
import inspect
import socket
import threading
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
import trio
from attrs import fields

from smtpproto import (
    Client,
    ClientConfig,
    ConnectFailed,
    ConnectionLost,
    Handler,
    LocalProtocolError,
    ServerConfig,
    Session,
    SMTPError,
    TimedOut,
    Timeouts,
    TLSFailed,
    TLSMode,
)
from smtpproto.adapters import asyncio as on_asyncio
from smtpproto.adapters import blocking as on_sockets
from smtpproto.adapters import trio as on_trio
from smtpproto.client import ClientOptions, Pool
from smtpproto.limits import CHUNK
from smtpproto.server import ServerOptions
from tests.adapters.flavours import FLAVOURS, Blocking, Flavour, served
from tests.adapters.inboxes import Ann, Certificates, Inbox
from tests.support.envelopes import TO_BOB

each_server = pytest.mark.parametrize("server", FLAVOURS, ids=lambda flavour: flavour.name)
each_client = pytest.mark.parametrize("client", FLAVOURS, ids=lambda flavour: flavour.name)
MODULES = [on_asyncio, on_trio, on_sockets]


def test_adapters_are_thin() -> None:
    for module in MODULES:
        path = Path(inspect.getfile(module))
        code = [line for line in path.read_text().splitlines() if line.strip()]
        assert len(code) < 250, path


def test_adapters_have_the_same_face() -> None:
    for name in ("connect", "pool", "serve", "Server", "Stream", "Runtime"):
        assert all(hasattr(module, name) for module in MODULES), name
    for theirs, ours in ((Client, on_sockets.Client), (Pool, on_sockets.Pool)):
        for name in vars(theirs):
            if name.startswith("_") or not callable(getattr(theirs, name)):
                continue
            expected = inspect.signature(getattr(theirs, name))
            assert list(inspect.signature(getattr(ours, name)).parameters) == [*expected.parameters]
    for options, config in ((ClientOptions, ClientConfig), (ServerOptions, ServerConfig)):
        assert set(options.__annotations__) == {one.name for one in fields(config)}


# -- stopping ------------------------------------------------------------------------------------


@each_server
@pytest.mark.req("RFC5321-3.8-03")
@pytest.mark.parametrize("tls", [False, True], ids=["clear", "tls"])
def test_a_stopping_server_says_421_to_the_idle(
    server: type[Flavour], tls: bool, certificates: Certificates, inbox: Inbox
) -> None:
    mode = TLSMode.IMPLICIT if tls else TLSMode.NONE
    theirs: ServerOptions = {"context": certificates.server, "implicit_tls": tls}
    with served(server, inbox, **theirs) as running:

        async def idle(client: Client) -> None:
            await client.noop()
            running.stop()
            assert (await client.noop()).code == 421
            assert not client.usable

        Blocking.client(running.port, idle, tls=mode, context=certificates.client)


FIRST = b"one\r\n" * CHUNK  # so much that it is on its way before the rest is known


@each_server
def test_a_message_in_flight_may_finish(server: type[Flavour], inbox: Inbox) -> None:
    with served(server, inbox) as running:
        stopping = threading.Thread(target=running.stop)

        def content() -> Iterator[bytes]:
            yield FIRST
            stopping.start()
            while _listens(running.port):
                pass
            yield b"two\r\n"

        async def talk(client: Client) -> None:
            assert (await client.send(content(), TO_BOB)).accepted

        Blocking.client(running.port, talk)
        stopping.join(30)
    assert inbox.mails[0][2] == FIRST + b"two\r\n"


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


@each_server
@pytest.mark.req("RFC5321-4.1.1.5-04")
def test_a_client_that_goes_in_mid_message_does_not_hold_a_stopping_server(
    server: type[Flavour], inbox: Inbox
) -> None:
    with served(server, inbox) as running:
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
            while _listens(running.port):
                pass
        stopping.join(20)  # less than the grace of 30 seconds
        assert not stopping.is_alive()
    assert inbox.closed.is_set() and not inbox.mails


@each_server
def test_a_server_that_stopped_does_not_listen(server: type[Flavour], inbox: Inbox) -> None:
    with served(server, inbox) as running:
        port = running.port
    with pytest.raises(ConnectFailed):
        on_sockets.connect("127.0.0.1", port)


@each_server
@pytest.mark.req("RFC5321-4.5.4.2-02")
def test_clients_are_served_side_by_side(server: type[Flavour], inbox: Inbox) -> None:
    with served(server, inbox) as running:

        async def outer(first: Client) -> None:
            def inner() -> None:
                with on_sockets.connect("localhost", running.port) as second:
                    second.send(b"second\r\n", TO_BOB)

            thread = threading.Thread(target=inner)
            thread.start()
            thread.join(30)
            await first.send(b"first\r\n", TO_BOB)

        Blocking.client(running.port, outer)
    assert [body for _, _, body in inbox.mails] == [b"second\r\n", b"first\r\n"]


# -- TLS that fails ------------------------------------------------------------------------------


@each_client
@pytest.mark.parametrize("mode", [TLSMode.REQUIRED, TLSMode.IMPLICIT], ids=lambda mode: mode.value)
@pytest.mark.req("RFC4954-14-01", "RFC3207-4-08", "RFC8314-3.3-02", "RFC8314-5-01")
def test_a_server_that_is_not_trusted_gets_no_password(
    client: type[Flavour], mode: TLSMode, certificates: Certificates, inbox: Inbox
) -> None:
    async def nothing(_: Client) -> None:
        raise AssertionError("it was trusted")

    implicit = mode is TLSMode.IMPLICIT
    context = certificates.server
    with (
        served(Blocking, inbox, context=context, implicit_tls=implicit) as running,
        pytest.raises(TLSFailed, match=r"CERTIFICATE_VERIFY_FAILED.*check"),
    ):
        client.client(running.port, nothing, tls=mode, login=("ann", "secret"))
    assert not inbox.mails


@pytest.mark.parametrize("mode", [TLSMode.REQUIRED, TLSMode.IMPLICIT], ids=lambda mode: mode.value)
@pytest.mark.req("RFC4954-14-02", "RFC4954-14-06", "RFC7817-3-01")
def test_the_certificate_must_have_the_name_that_was_dialled(
    mode: TLSMode, certificates: Certificates, inbox: Inbox
) -> None:
    lines: list[str] = []
    options: ClientOptions = {
        "tls": mode,
        "context": certificates.client,
        "login": ("ann", "secret"),
        "trace": lambda who, line: lines.append(f"{who}: {line}"),
    }
    implicit = mode is TLSMode.IMPLICIT
    theirs: ServerOptions = {"context": certificates.server, "implicit_tls": implicit}
    theirs["authenticator"] = Ann()
    with served(Blocking, inbox, **theirs) as running:
        with pytest.raises(TLSFailed, match="check: the host name"):
            on_sockets.connect("127.0.0.1", running.port, **options)
        assert not any("AUTH PLAIN ***" in line for line in lines)
        on_sockets.connect("localhost", running.port, **options).quit()
        assert "C: AUTH PLAIN ***" in lines


@each_client
def test_tls_on_a_plain_port_is_named(
    client: type[Flavour], certificates: Certificates, inbox: Inbox
) -> None:
    async def nothing(_: Client) -> None:
        raise AssertionError("no TLS here")

    with served(Blocking, inbox) as running, pytest.raises(TLSFailed, match="use STARTTLS"):
        client.client(running.port, nothing, tls=TLSMode.IMPLICIT, context=certificates.client)


@each_server
def test_a_handshake_that_is_none_ends_only_its_connection(
    server: type[Flavour], certificates: Certificates, inbox: Inbox
) -> None:
    with served(server, inbox, context=certificates.server, implicit_tls=True) as running:
        with socket.create_connection(("127.0.0.1", running.port)) as plain:
            plain.sendall(b"EHLO client.example\r\n" * 10)
            while plain.recv(4096):
                pass

        async def talk(client: Client) -> None:
            await client.noop()

        context = certificates.client
        Blocking.client(running.port, talk, tls=TLSMode.IMPLICIT, context=context)


# -- the network ---------------------------------------------------------------------------------


@each_client
def test_nobody_listens(client: type[Flavour]) -> None:
    async def nothing(_: Client) -> None: ...

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(ConnectFailed) as caught:
        client.client(port, nothing)
    assert isinstance(caught.value, ConnectionError)


@each_client
def test_a_silent_server_is_a_time_out(client: type[Flavour]) -> None:
    async def nothing(_: Client) -> None: ...

    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(TimedOut) as caught:
            client.client(port, nothing, timeouts=Timeouts(greeting=0.05))
    assert isinstance(caught.value, TimeoutError)
    assert caught.value.phase == "greeting"


@each_client
def test_a_server_that_resets_is_a_lost_connection(client: type[Flavour]) -> None:
    async def nothing(_: Client) -> None: ...

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def reset() -> None:
            connected, _ = listener.accept()
            linger = b"\1\0\0\0\0\0\0\0"  # close() sends RST
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            connected.close()

        thread = threading.Thread(target=reset)
        thread.start()
        with pytest.raises((ConnectionLost, ConnectFailed)):
            client.client(listener.getsockname()[1], nothing)
        thread.join()


@each_server
def test_a_client_that_does_not_read_is_given_up(server: type[Flavour], inbox: Inbox) -> None:
    with served(server, inbox, timeouts=Timeouts(command=0.2)) as running:
        with socket.create_connection(("127.0.0.1", running.port)) as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.settimeout(30)
            with pytest.raises(OSError):
                for _ in range(100_000):
                    deaf.sendall(b"HELP\r\n" * 1000)
        assert inbox.closed.wait(30)


# -- each its own --------------------------------------------------------------------------------


def test_asyncio_cancellation_closes_the_connection(inbox: Inbox) -> None:
    async def main() -> None:
        async with on_asyncio.serve(inbox) as server:
            started = asyncio.Event()

            async def hold() -> None:
                async with on_asyncio.connect("127.0.0.1", server.port):
                    started.set()
                    await asyncio.get_running_loop().create_future()

            task = asyncio.create_task(hold())
            await started.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.to_thread(inbox.closed.wait, 30)

    asyncio.run(main())


def test_trio_cancellation_closes_the_connection(inbox: Inbox) -> None:
    async def main() -> None:
        async with on_trio.serve(inbox) as server:
            with trio.CancelScope() as scope:
                async with on_trio.connect("127.0.0.1", server.port):
                    scope.cancel()
                    await trio.sleep_forever()
            assert scope.cancelled_caught
            await trio.to_thread.run_sync(inbox.closed.wait, 30)

    trio.run(main)


def test_trio_errors_leave_the_block_as_they_are() -> None:
    async def main() -> None:
        async with on_trio.serve(Handler()):
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        trio.run(main)


def test_blocking_hooks_cannot_suspend() -> None:
    class Sleepy(Handler):
        async def connect(self, session: Session) -> None:
            await asyncio.Event().wait()

    with served(Blocking, Sleepy()) as running, pytest.raises(SMTPError):
        on_sockets.connect("127.0.0.1", running.port)


def test_run_says_what_is_wrong() -> None:
    class Suspends:
        def __await__(self) -> Generator[None, None, None]:
            yield

    async def suspends() -> None:
        await Suspends()

    with pytest.raises(LocalProtocolError, match="a coroutine suspended"):
        on_sockets.run(suspends())


def test_closing_what_closes_by_itself_meanwhile() -> None:
    """asyncio's transports cannot be aborted once they are closed."""

    class Transport:
        closed = False

        def __init__(self, stream: on_asyncio.Stream) -> None:
            self.stream = stream

        def close(self) -> None:
            self.stream.connection_lost(None)
            self.closed = True

        def abort(self) -> None:
            assert not self.closed

    async def main() -> None:
        stream = on_asyncio.Stream()
        stream._transport = Transport(stream)  # type: ignore[assignment]
        await stream.close()

    asyncio.run(main())
