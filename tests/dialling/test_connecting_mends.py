"""Connecting: faults that a hostile review found, and their mends."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from smtpproto import Client, ConnectFailed, TimedOut, Timeouts
from smtpproto.adapters import blocking as on_sockets
from smtpproto.adapters import dialling, eyeballs
from smtpproto.adapters import trio as on_trio
from smtpproto.client import make_target
from tests.adapters.flavours import FLAVOURS, Asyncio, Flavour, Trio, served
from tests.adapters.inboxes import Inbox
from tests.adapters.test_connecting import connected, each_client, unix
from tests.dialling.test_eyeballs import inet, inet6, nobody


async def noop(client: Client) -> int:
    return (await client.noop()).code


# -- a Unix socket whose queue is full -----------------------------------------------------------


@pytest.fixture
def full(tmp_path: Path) -> Iterator[socket.socket]:
    """A server that has more to do than it can remember: Linux then says EAGAIN at once."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "full"))
        listener.listen(0)
        with socket.socket(socket.AF_UNIX) as waiting:
            waiting.connect(listener.getsockname())
            yield listener


@unix
def test_a_full_queue_is_waited_for(full: socket.socket) -> None:
    class Runtime(on_sockets.Runtime):
        async def sleep(self, seconds: float) -> None:
            full.accept()[0].close()

    with on_sockets.run(dialling.connect_unix(Runtime(), full.getsockname())) as ours:
        assert ours.getpeername() == full.getsockname()


@unix
@each_client
def test_a_queue_that_stays_full_is_a_time_out(client: type[Flavour], full: socket.socket) -> None:
    with pytest.raises(TimedOut, match=r"cannot connect to .* in time"):
        connected(client, noop, full.getsockname(), timeouts=Timeouts(connect=0.1))


@unix
def test_no_path_ends_at_a_nul() -> None:
    with pytest.raises(ValueError, match="NUL"):
        make_target("/run/x\0y")


# -- whose turn it is ----------------------------------------------------------------------------


def test_who_refuses_needs_no_time_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though an address before them still says nothing."""
    clock, told, tried = 0.0, 0, list[float]()
    winner = socket.socket()

    def start(race: eyeballs._Race, info: eyeballs.AddressInfo) -> None:
        tried.append(clock)
        if info[4][1] == 2:
            race.errors.append(ConnectionRefusedError("no"))

    def wait(race: eyeballs._Race, seconds: float) -> socket.socket | None:
        nonlocal clock, told
        if len(tried) == len(found):
            return winner
        if len(race.errors) == told:
            clock += seconds
        told = len(race.errors)
        return None

    silent, refusing, good = inet(1), inet(2), inet(3)
    found = [silent, refusing, refusing, refusing, good]
    monkeypatch.setattr(eyeballs._Race, "start", start)
    monkeypatch.setattr(eyeballs._Race, "wait", wait)
    monkeypatch.setattr(eyeballs._Race, "running", True)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with winner:
        assert eyeballs.connect("mx.example", 25, 60, now=lambda: clock) is winner
    assert tried == [0, *[eyeballs.ATTEMPT_DELAY] * 4]


@pytest.mark.parametrize("client", FLAVOURS, ids=lambda flavour: flavour.name)
def test_more_patience_than_the_system_has(client: type[Flavour], inbox: Inbox) -> None:
    """select takes a month at the most."""
    with served(client, inbox) as running:
        times = Timeouts(connect=10**8)
        assert connected(client, noop, "127.0.0.1", running.port, timeouts=times, tls="none") == 250


def test_families_take_turns_in_the_race(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[eyeballs.AddressInfo] = []

    def refuse(race: eyeballs._Race, info: eyeballs.AddressInfo) -> None:
        tried.append(info)
        race.errors.append(OSError("no"))

    found = [inet(1), inet(2), inet6(3), inet6(4)]
    monkeypatch.setattr(eyeballs._Race, "start", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(OSError, match="all addresses failed"):
        eyeballs.connect("mx.example", 25, 60)
    assert tried == [inet(1), inet6(3), inet(2), inet6(4)]


def test_from_a_port_one_address_after_the_other(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(Trio, inbox) as running:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            source = taken.getsockname()
            found = [inet(nobody()), inet(running.port)]  # neither is the source
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        assert connected(Trio, noop, "mx.example", 25, source=source, tls="none") == 250


# -- a connection of one's own -------------------------------------------------------------------


def plain(own: socket.socket) -> socket.socket:
    return own


def wrapped(own: socket.socket) -> socket.socket:
    return ssl.create_default_context().wrap_socket(
        own, server_hostname="mx.example", do_handshake_on_connect=False
    )


@pytest.mark.parametrize(
    ("client", "kind", "port"),
    [
        *((client, plain, 70000) for client in FLAVOURS),
        (Asyncio, wrapped, 25),
        (Trio, wrapped, 25),
    ],
)
def test_one_that_cannot_be_used_is_closed(
    client: type[Flavour], kind: Callable[[socket.socket], socket.socket], port: int
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        own = kind(socket.create_connection(listener.getsockname()))
        key = "stream" if client is Trio else "sock"
        with pytest.raises(ConnectFailed):
            connected(client, noop, "mx.example", port, **{key: own})
        assert own.fileno() == -1


def test_a_stream_of_trio_s_that_cannot_be_used_is_closed() -> None:
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
            raise AssertionError("connected")

    own = Stream()
    with pytest.raises(ConnectFailed):
        trio.run(main)
    assert own.closed


def test_a_plain_socket_will_do_for_trio(inbox: Inbox) -> None:
    with served(Trio, inbox) as running:
        own = socket.create_connection(("127.0.0.1", running.port))

        async def main() -> Any:
            async with on_trio.connect("127.0.0.1", 25, stream=own, tls="none") as opened:
                return await noop(opened)

        assert trio.run(main) == 250
