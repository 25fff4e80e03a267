"""Happy eyeballs: which address is tried when, who wins, and what is told if none does."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from smtpproto import Client, ConnectFailed, TimedOut, Timeouts
from smtpproto.adapters import eyeballs
from smtpproto.adapters.dialling import map_connect_errors
from tests.adapters.flavours import FLAVOURS, Flavour, served
from tests.adapters.inboxes import Inbox

each_client = pytest.mark.parametrize("client", FLAVOURS, ids=lambda flavour: flavour.name)
Resolved = list[eyeballs.AddressInfo]


def inet(port: int, host: str = "127.0.0.1") -> eyeballs.AddressInfo:
    return socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port)


def inet6(port: int) -> eyeballs.AddressInfo:
    return socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("::1", port, 0, 0)


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let every name have these addresses."""

    def addresses(*found: eyeballs.AddressInfo) -> None:
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: list(found))

    return addresses


@contextmanager
def dead() -> Iterator[int]:
    """A port that answers nobody: its backlog is full, and nothing is accepted."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def nobody() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port


async def noop(client: Client) -> None:
    assert (await client.noop()).positive


async def nothing(_: Client) -> None:
    raise AssertionError("nobody is there")


# -- all three -----------------------------------------------------------------------------------


@each_client
def test_a_dead_address_is_overtaken(
    client: type[Flavour], inbox: Inbox, resolve: Callable[..., None]
) -> None:
    with served(FLAVOURS[2], inbox) as running, dead() as silent:
        resolve(inet(silent), inet(running.port))
        client.client(running.port, noop, timeouts=Timeouts(connect=20))


@each_client
def test_a_dead_address_alone_is_a_time_out(
    client: type[Flavour], resolve: Callable[..., None]
) -> None:
    with dead() as silent:
        resolve(inet(silent), inet(silent))
        with pytest.raises(
            TimedOut, match=r"in time.*phase: connect.*check: host and port"
        ) as told:
            client.client(silent, nothing, timeouts=Timeouts(connect=0.05))
    assert told.value.phase == "connect"


@each_client
def test_an_address_that_refuses_is_passed_over(
    client: type[Flavour], inbox: Inbox, resolve: Callable[..., None]
) -> None:
    with served(FLAVOURS[2], inbox) as running:
        resolve(inet6(nobody()), inet(nobody()), inet(running.port))
        client.client(running.port, noop)


@each_client
def test_each_address_is_told(client: type[Flavour], resolve: Callable[..., None]) -> None:
    first, second = nobody(), nobody()
    resolve(inet(first), inet(second, "127.0.0.2"))
    with pytest.raises(ConnectFailed) as caught:
        client.client(first, nothing)
    text = str(caught.value)
    assert f"cannot connect to localhost, port {first}: " in text
    assert f"('127.0.0.1', {first})" in text and f"('127.0.0.2', {second})" in text
    assert caught.value.phase == "connect"
    assert caught.value.check == "whether a server listens there"


@each_client
def test_a_name_that_has_no_address(client: type[Flavour], monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> Resolved:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(ConnectFailed, match=r"cannot resolve localhost.*not known.*DNS"):
        client.client(25, nothing)


# -- what is told --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("codes", "port", "check"),
    [
        ([errno.ECONNREFUSED], 25, "whether a server listens there"),
        ([errno.ECONNREFUSED, errno.ECONNREFUSED], 587, "whether a server listens there"),
        ([errno.ENETUNREACH], 587, "this machine's network and routes"),
        ([errno.EHOSTUNREACH], 25, "firewalls on the way; many providers block outgoing port 25"),
        ([errno.ENETUNREACH, errno.ECONNREFUSED], 587, "host and port, whether the server runs"),
        ([errno.EPIPE], 587, "host and port, whether the server runs"),
    ],
)
def test_what_to_check(codes: list[int], port: int, check: str) -> None:
    errors = [OSError(code, "words") for code in codes]
    with pytest.raises(ConnectFailed) as caught, map_connect_errors("mx.example", port):
        raise OSError("all failed") from ExceptionGroup("all failed", errors)
    assert check in caught.value.check
    assert ("providers" in caught.value.check) == ("providers" in check)
    assert str(caught.value).count("words") == len(codes)


def test_silence_on_port_25_may_be_the_provider_s() -> None:
    with (
        pytest.raises(TimedOut, match="providers block outgoing port 25"),
        map_connect_errors("mx.example", 25),
    ):
        raise TimeoutError


def test_what_is_told_is_one_line() -> None:
    with pytest.raises(ConnectFailed) as caught, map_connect_errors("mx\r\n", 25):
        raise OSError("first\r\nsecond")
    assert "\n" not in str(caught.value) and "\r" not in str(caught.value)


# -- the one for blocking sockets ------------------------------------------------------------------


def test_families_take_turns() -> None:
    four, six = [inet(port) for port in (1, 2)], [inet6(port) for port in (3, 4, 5)]
    assert [info[4][1] for info in eyeballs.interleave(six + four)] == [3, 1, 4, 2, 5]
    assert [info[4][1] for info in eyeballs.interleave(four + six)] == [1, 3, 2, 4, 5]
    assert eyeballs.interleave([]) == []


def test_losers_are_closed(resolve: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[socket.socket] = []

    class Noted(socket.socket):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            made.append(self)

    with socket.create_server(("127.0.0.1", 0)) as listener, dead() as silent:
        resolve(inet(silent), inet(nobody()), inet(listener.getsockname()[1]))
        monkeypatch.setattr(socket, "socket", Noted)
        winner = eyeballs.connect("mx.example", 25, 20)
        with winner:
            assert winner.getpeername() == listener.getsockname()
            assert [one.fileno() == -1 for one in made] == [True, True, False]


def test_all_are_closed_if_none_answers(
    resolve: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One time for all, on a clock of ours: the second address is tried at its turn."""
    made: list[socket.socket] = []

    class Noted(socket.socket):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            made.append(self)

    with dead() as silent:
        resolve(inet(silent), inet(silent), inet(silent))
        monkeypatch.setattr(socket, "socket", Noted)
        monkeypatch.setattr(eyeballs._Race, "wait", lambda *_: None)
        ticks = iter(range(1000))
        with pytest.raises(TimeoutError):
            eyeballs.connect("mx.example", 25, 0.4, now=lambda: next(ticks) * 0.02)
    assert len(made) == 2
    assert all(one.fileno() == -1 for one in made)


def test_a_family_that_the_machine_has_not(resolve: Callable[..., None]) -> None:
    resolve((12345, socket.SOCK_STREAM, 0, "", ("x", 1)))
    with pytest.raises(OSError, match="all addresses failed") as caught:
        eyeballs.connect("mx.example", 25, 20)
    group = caught.value.__cause__
    assert isinstance(group, ExceptionGroup) and len(group.exceptions) == 1
