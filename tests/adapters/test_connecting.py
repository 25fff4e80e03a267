"""Connecting in all three flavours: URLs, ports, Unix sockets, sources, one's own socket."""

from __future__ import annotations

import asyncio
import socket
import stat
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from smtpproto import (
    Client,
    ConnectFailed,
    Handler,
    LocalProtocolError,
    NotOffered,
    Session,
    TimedOut,
    Timeouts,
    TLSFailed,
    TLSMode,
)
from smtpproto.adapters import asyncio as on_asyncio
from smtpproto.adapters import blocking as on_sockets
from smtpproto.adapters import trio as on_trio
from tests.adapters.flavours import FLAVOURS, Asyncio, Blocking, Flavour, Trio, _Awaitable, served
from tests.adapters.inboxes import Certificates, Inbox
from tests.support.envelopes import TO_BOB

each_server = pytest.mark.parametrize("server", FLAVOURS, ids=lambda flavour: flavour.name)
each_client = pytest.mark.parametrize("client", FLAVOURS, ids=lambda flavour: flavour.name)
Talk = Callable[[Client], Awaitable[Any]]
unix = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no Unix sockets here")


def connected(client: type[Flavour], talk: Talk, *where: Any, **options: Any) -> Any:
    """What *talk* gives over a connection to *where*. *sock* is a socket in any flavour."""

    async def on_loop() -> Any:
        async with on_asyncio.connect(*where, **options) as opened:
            return await talk(opened)

    async def in_trio() -> Any:
        if (sock := options.pop("sock", None)) is not None:
            options["stream"] = trio.socket.from_stdlib_socket(sock)
        async with on_trio.connect(*where, **options) as opened:
            return await talk(opened)

    async def adapted(opened: Any) -> Any:
        return await talk(opened)

    if client is Asyncio:
        return asyncio.run(on_loop())
    if client is Trio:
        return trio.run(in_trio)
    with on_sockets.connect(*where, **options) as opened:
        return on_sockets.run(adapted(_Awaitable(opened)))


def start(server: type[Flavour], *where: Any) -> None:
    """Serve for a moment, and raise what is raised."""

    async def on_loop() -> None:
        async with on_asyncio.serve(Handler(), *where):
            pass

    async def in_trio() -> None:
        async with on_trio.serve(Handler(), *where):
            pass

    if server is Asyncio:
        asyncio.run(on_loop())
    elif server is Trio:
        trio.run(in_trio)
    else:
        with on_sockets.serve(Handler(), *where):
            pass


async def send(client: Client) -> None:
    assert (await client.send(b"hello\r\n", TO_BOB)).accepted


async def nothing(_: Client) -> None:
    raise AssertionError("it was opened")


class Ear:
    """The other end of a socket, a server that offers nothing; *got* is all that it heard."""

    def __init__(self, end: socket.socket, offer: bytes = b"250 mx\r\n") -> None:
        self._end, self._offer, self.got = end, offer, b""
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        with self._end, self._end.makefile("rb") as lines:
            self._end.sendall(b"220 mx\r\n")
            for line in lines:
                self.got += line
                self._end.sendall(self._offer if line.startswith(b"EHLO") else b"250 ok\r\n")

    def heard(self) -> bytes:
        """All, once the other side has closed."""
        self._thread.join(30)
        assert not self._thread.is_alive()
        return self.got


@contextmanager
def pair(**options: Any) -> Iterator[tuple[socket.socket, Ear]]:
    near, far = socket.socketpair()
    try:
        yield near, Ear(far, **options)
    finally:
        near.close()


# -- URLs and ports --------------------------------------------------------------------------------


@each_client
def test_a_url_says_where(client: type[Flavour], inbox: Inbox) -> None:
    with served(Blocking, inbox) as running:
        connected(client, send, f"smtp://localhost:{running.port}?tls=none&hello=c.example")
    assert inbox.mails[0][0].hello == "c.example"


@each_client
def test_a_url_says_tls_from_the_first_octet(
    client: type[Flavour], certificates: Certificates, inbox: Inbox
) -> None:
    with served(Blocking, inbox, context=certificates.server, implicit_tls=True) as running:
        url = f"smtps://localhost:{running.port}"
        connected(client, send, url, context=certificates.client)
    assert inbox.mails[0][0].tls is not None


@each_client
@pytest.mark.parametrize(
    ("where", "options", "port"),
    [
        ("mx.example", {}, 587),
        ("mx.example", {"tls": TLSMode.IMPLICIT}, 465),
        ("mx.example", {"lmtp": True}, 24),
        ("smtp://mx.example", {}, 25),
        ("smtps://mx.example", {}, 465),
        ("lmtp:///run/x", {}, 0),
    ],
)
def test_the_usual_ports(
    client: type[Flavour],
    where: str,
    options: dict[str, Any],
    port: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def dial(_: object, host: str, port: int, *__: object) -> None:
        raise ConnectFailed(f"dialled {host} {port}")

    for module in (on_asyncio, on_trio, on_sockets):
        monkeypatch.setattr(module.Runtime, "dial", dial)
    host = "/run/x" if port == 0 else "mx.example"
    with pytest.raises(ConnectFailed, match=f"dialled {host} {port}"):
        connected(client, nothing, where, **options)


@each_client
@pytest.mark.req("RFC8314-5.2-01")
def test_port_587_gets_nothing_in_clear(client: type[Flavour]) -> None:
    """RFC 8314 5.2 wants confidentiality by default; only ``tls`` says otherwise."""
    with pair() as (near, ear):
        with pytest.raises(NotOffered, match="TLS is required"):
            connected(client, nothing, "localhost", 587, sock=near, hello="c.example")
        assert ear.heard() == b"EHLO c.example\r\nQUIT\r\n"
    with pair() as (near, ear):
        connected(client, noop, "localhost", 587, sock=near, tls=TLSMode.NONE)
        assert b"NOOP" in ear.heard()


@each_client
def test_on_port_24_lmtp_is_spoken(client: type[Flavour]) -> None:
    async def noop(opened: Client) -> None:
        await opened.noop()

    with pair() as (near, ear):
        connected(client, noop, "localhost", 24, sock=near, hello="c.example")
        assert ear.heard() == b"LHLO c.example\r\nNOOP\r\nQUIT\r\n"
    with pair() as (near, ear):
        connected(client, noop, "localhost", 24, sock=near, hello="c.example", lmtp=False)
        assert ear.heard().startswith(b"EHLO")


@each_client
def test_a_path_speaks_lmtp_by_name(client: type[Flavour]) -> None:
    with pytest.raises(ConnectFailed, match="port 25"):
        connected(client, nothing, "localhost", 25, lmtp=True)
    with pytest.raises(ValueError, match="already set by the URL"):
        connected(client, nothing, "lmtp://localhost", lmtp=True)


# -- Unix sockets ----------------------------------------------------------------------------------


@unix
@each_client
@each_server
def test_mail_over_a_unix_socket(
    client: type[Flavour], server: type[Flavour], inbox: Inbox, tmp_path: Path
) -> None:
    path = tmp_path / "x.sock"
    with served(server, inbox, host=str(path)) as running:  # type: ignore[call-arg]
        assert running.port == 0
        assert stat.S_ISSOCK(path.lstat().st_mode)
        connected(client, send, str(path))
        connected(client, send, f"smtp://{path}")
    assert not path.exists()
    assert len(inbox.mails) == 2
    for session, _, body in inbox.mails:
        assert session.peer == ("", 0) and session.hello == "localhost"
        assert body == b"hello\r\n"


@unix
@each_client
def test_lmtp_over_a_unix_socket(client: type[Flavour], inbox: Inbox, tmp_path: Path) -> None:
    path = tmp_path / "x.sock"
    with served(Blocking, inbox, host=str(path), lmtp=True):  # type: ignore[call-arg]
        connected(client, send, f"lmtp://{path}")
    assert inbox.mails[0][0].lmtp


@unix
@each_client
def test_a_login_over_a_unix_socket_is_asked_for_by_name(
    client: type[Flavour], tmp_path: Path
) -> None:
    """A path proves nobody's identity, and who listens there may be anybody's program."""
    path, got = str(tmp_path / "x.sock"), []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        thread = threading.Thread(
            target=lambda: got.append(Ear(listener.accept()[0], b"250-mx\r\n250 AUTH PLAIN\r\n"))
        )
        thread.start()
        with pytest.raises(LocalProtocolError, match="no login without"):
            connected(client, nothing, path, login=("ann", "secret"))
        thread.join(30)
        assert got[0].heard() == b"EHLO localhost\r\nQUIT\r\n"


@unix
@each_client
def test_nobody_listens_at_a_path(client: type[Flavour], tmp_path: Path) -> None:
    with pytest.raises(ConnectFailed, match=r"x\.sock.*check: the path"):
        connected(client, nothing, str(tmp_path / "x.sock"))
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(tmp_path / "stale.sock"))
    with pytest.raises(ConnectFailed, match="check: whether a server listens there"):
        connected(client, nothing, str(tmp_path / "stale.sock"))


@unix
@each_client
def test_a_path_has_no_source_and_no_port(client: type[Flavour], tmp_path: Path) -> None:
    with pytest.raises(ConnectFailed, match="from an address"):
        connected(client, nothing, str(tmp_path / "x"), source="127.0.0.1")
    with pytest.raises(ValueError, match="no port"):
        connected(client, nothing, str(tmp_path / "x"), 25)


@unix
@each_server
def test_a_file_that_is_no_socket_is_left_alone(server: type[Flavour], tmp_path: Path) -> None:
    path = tmp_path / "letters"
    path.write_text("dear Bob")
    link = tmp_path / "link"
    link.symlink_to(path)
    for taken in (path, link, tmp_path):
        with pytest.raises(OSError, match="not a socket"):
            start(server, str(taken))
    assert path.read_text() == "dear Bob" and link.is_symlink()


@unix
@each_server
def test_a_dead_server_s_file_is_replaced_and_a_live_one_s_not(
    server: type[Flavour], inbox: Inbox, tmp_path: Path
) -> None:
    path = tmp_path / "x.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with served(server, inbox, host=str(path)):  # type: ignore[call-arg]
        with pytest.raises(OSError, match="a server is listening there"):
            start(server, str(path))
        connected(Blocking, send, str(path))
    assert len(inbox.mails) == 1 and not path.exists()


@unix
@each_server
def test_only_its_own_file_is_removed(server: type[Flavour], inbox: Inbox, tmp_path: Path) -> None:
    path = tmp_path / "x.sock"
    with served(server, inbox, host=str(path)):  # type: ignore[call-arg]
        path.unlink()
        path.write_text("another's")
    assert path.read_text() == "another's"
    path.unlink()
    with served(server, inbox, host=str(path)):  # type: ignore[call-arg]
        path.unlink()  # nothing left to remove: nothing raised


@unix
@each_server
def test_a_path_is_not_served_with_a_port(server: type[Flavour], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no port"):
        start(server, str(tmp_path / "x"), 25)
    assert not list(tmp_path.iterdir())


# -- source addresses ------------------------------------------------------------------------------


class Peers(Handler):
    def __init__(self) -> None:
        self.peers: list[tuple[str, int]] = []

    def connect(self, session: Session) -> None:
        self.peers.append(session.peer)


async def noop(client: Client) -> None:
    await client.noop()


@each_client
def test_the_source_address_is_chosen(client: type[Flavour]) -> None:
    handler = Peers()
    with served(Blocking, handler, host="0.0.0.0") as running:  # type: ignore[call-arg]
        with socket.create_server(("127.0.0.3", 0)) as free:
            port = free.getsockname()[1]
        connected(client, noop, "127.0.0.1", running.port, source="127.0.0.2")
        connected(client, noop, "127.0.0.1", running.port, source=("127.0.0.3", port))
    assert handler.peers[0][0] == "127.0.0.2"
    assert handler.peers[1] == ("127.0.0.3", port)


@each_client
@pytest.mark.parametrize("source", ["::1", "192.0.2.77", ("192.0.2.77", 4000)])
def test_a_source_that_cannot_be(client: type[Flavour], source: Any) -> None:
    """Of another family, or not an address of this machine: nobody is connected to."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        with pytest.raises(ConnectFailed, match="phase: connect"):
            connected(client, nothing, *listener.getsockname(), source=source)
        with pytest.raises(BlockingIOError):
            listener.accept()


# -- one's own socket ------------------------------------------------------------------------------


@each_client
def test_a_socket_of_one_s_own(client: type[Flavour]) -> None:
    with pair() as (near, ear):
        connected(client, noop, "mx.example", 25, sock=near)
        assert near.fileno() == -1
        assert ear.heard() == b"EHLO localhost\r\nNOOP\r\nQUIT\r\n"


@each_client
def test_a_socket_of_one_s_own_that_refuses_is_closed_too(client: type[Flavour]) -> None:
    with pair(offer=b"550 go away\r\n") as (near, ear):
        with pytest.raises(Exception, match="go away"):
            connected(client, nothing, "mx.example", 25, sock=near)
        assert near.fileno() == -1
        assert ear.heard() == b"EHLO localhost\r\nQUIT\r\n"


@each_client
def test_behind_one_s_own_socket_the_host_is_the_name_in_the_certificate(
    client: type[Flavour], certificates: Certificates, inbox: Inbox
) -> None:
    options: dict[str, Any] = {"tls": TLSMode.REQUIRED, "context": certificates.client}
    with served(Blocking, inbox, context=certificates.server) as running:
        near = socket.create_connection(("127.0.0.1", running.port))
        connected(client, send, "localhost", sock=near, **options)
        near = socket.create_connection(("127.0.0.1", running.port))
        with pytest.raises(TLSFailed, match="host name"):
            connected(client, nothing, "mx.example", sock=near, **options)
        assert near.fileno() == -1
    assert len(inbox.mails) == 1


def test_any_stream_of_trio_s_will_do() -> None:
    async def main() -> bytes:
        near, far = trio.testing.memory_stream_pair()
        got = b""

        async def answer() -> None:
            nonlocal got
            await far.send_all(b"220 mx\r\n")
            async for data in far:
                got += data
                await far.send_all(b"250 mx\r\n")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer)
            async with on_trio.connect("mx.example", 25, stream=near) as client:
                assert (await client.noop()).positive
        with pytest.raises(trio.ClosedResourceError):
            await near.send_all(b"x")
        return got

    assert trio.run(main) == b"EHLO localhost\r\nNOOP\r\nQUIT\r\n"


# -- the time of the whole -------------------------------------------------------------------------


@each_client
def test_the_whole_has_an_end_on_a_real_clock(client: type[Flavour]) -> None:
    near, far = socket.socketpair()
    with far:
        with pytest.raises(TimedOut, match=r"the whole operation.*phase: greeting"):
            connected(client, nothing, "mx", 25, sock=near, timeouts=Timeouts(total=0.05))
        assert near.fileno() == -1
        assert far.recv(100) == b""  # nothing was sent
