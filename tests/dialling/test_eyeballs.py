"""Happy eyeballs: which address is tried when, which one wins, and that the others are closed."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest

from smtpproto import Timeouts
from smtpproto.adapters import eyeballs
from tests.adapters.connections import connect_and, noop, unused_port
from tests.adapters.harness import Adapter, Blocking, Trio, each_client, running_server
from tests.adapters.inboxes import Inbox
from tests.dialling.addresses import inet, inet6, silent_port


@each_client
def test_a_silent_address_does_not_hold_up_the_next(
    client: type[Adapter], inbox: Inbox, resolve: Callable[..., None]
) -> None:
    with running_server(Blocking, inbox) as running, silent_port() as silent:
        resolve(inet(silent), inet(running.port))
        client.client(running.port, noop, timeouts=Timeouts(connect=20))


@each_client
def test_an_address_that_refuses_is_passed_over(
    client: type[Adapter], inbox: Inbox, resolve: Callable[..., None]
) -> None:
    with running_server(Blocking, inbox) as running:
        resolve(inet6(unused_port()), inet(unused_port()), inet(running.port))
        client.client(running.port, noop)


def test_trio_with_a_source_port_tries_one_address_after_the_other(
    inbox: Inbox, resolve: Callable[..., None]
) -> None:
    with running_server(Trio, inbox) as running:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            source = taken.getsockname()
            found = [inet(unused_port()), inet(running.port)]  # neither is the source
        resolve(*found)
        connect_and(noop, Trio, "mx.example", 25, source=source, tls="none")


# -- eyeballs.connect ------------------------------------------------------------------------------


def test_interleave_alternates_the_families() -> None:
    four, six = [inet(port) for port in (1, 2)], [inet6(port) for port in (3, 4, 5)]
    assert [info[4][1] for info in eyeballs.interleave(six + four)] == [3, 1, 4, 2, 5]
    assert [info[4][1] for info in eyeballs.interleave(four + six)] == [1, 3, 2, 4, 5]
    assert eyeballs.interleave([]) == []


@pytest.mark.req("RFC8305-4-01")
def test_connect_tries_the_families_alternately(
    resolve: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[eyeballs.AddressInfo] = []

    def refuse(race: eyeballs._Race, info: eyeballs.AddressInfo) -> None:
        tried.append(info)
        race.errors.append(OSError("no"))

    resolve(inet(1), inet(2), inet6(3), inet6(4))
    monkeypatch.setattr(eyeballs._Race, "start", refuse)
    with pytest.raises(OSError, match="all addresses failed"):
        eyeballs.connect("mx.example", 25, 60)
    assert tried == [inet(1), inet6(3), inet(2), inet6(4)]


@pytest.mark.req("RFC8305-5-01")
def test_an_address_that_refuses_lets_the_next_start_at_once(
    resolve: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """This holds also while an earlier address is still silent."""
    clock, errors_seen, tried = 0.0, 0, list[float]()
    winner = socket.socket()

    def start(race: eyeballs._Race, info: eyeballs.AddressInfo) -> None:
        tried.append(clock)
        if info[4][1] == 2:
            race.errors.append(ConnectionRefusedError("no"))

    def wait(race: eyeballs._Race, seconds: float) -> socket.socket | None:
        nonlocal clock, errors_seen
        if len(tried) == len(found):
            return winner
        if len(race.errors) == errors_seen:
            clock += seconds
        errors_seen = len(race.errors)
        return None

    silent, refusing, good = inet(1), inet(2), inet(3)
    found = [silent, refusing, refusing, refusing, good]
    resolve(*found)
    monkeypatch.setattr(eyeballs._Race, "start", start)
    monkeypatch.setattr(eyeballs._Race, "wait", wait)
    monkeypatch.setattr(eyeballs._Race, "running", True)
    with winner:
        assert eyeballs.connect("mx.example", 25, 60, now=lambda: clock) is winner
    assert tried == [0, *[eyeballs.ATTEMPT_DELAY] * 4]


def record_sockets(monkeypatch: pytest.MonkeyPatch) -> list[socket.socket]:
    """Return a list to which each socket created from now on is added."""
    created: list[socket.socket] = []

    class RecordedSocket(socket.socket):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            created.append(self)

    monkeypatch.setattr(socket, "socket", RecordedSocket)
    return created


@pytest.mark.req("RFC8305-5-02")
def test_the_sockets_that_lose_are_closed(
    resolve: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, silent_port() as silent:
        resolve(inet(silent), inet(unused_port()), inet(listener.getsockname()[1]))
        created = record_sockets(monkeypatch)
        winner = eyeballs.connect("mx.example", 25, 20)
        with winner:
            assert winner.getpeername() == listener.getsockname()
            assert [one.fileno() == -1 for one in created] == [True, True, False]


def test_the_time_out_covers_all_addresses_and_closes_their_sockets(
    resolve: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On this clock the time ends after the second address was started."""
    with silent_port() as silent:
        resolve(inet(silent), inet(silent), inet(silent))
        created = record_sockets(monkeypatch)
        monkeypatch.setattr(eyeballs._Race, "wait", lambda *_: None)
        ticks = iter(range(1000))
        with pytest.raises(TimeoutError):
            eyeballs.connect("mx.example", 25, 0.4, now=lambda: next(ticks) * 0.02)
    assert len(created) == 2
    assert all(one.fileno() == -1 for one in created)


def test_an_address_family_that_the_machine_lacks_fails_like_any_address(
    resolve: Callable[..., None],
) -> None:
    resolve((12345, socket.SOCK_STREAM, 0, "", ("x", 1)))
    with pytest.raises(OSError, match="all addresses failed") as caught:
        eyeballs.connect("mx.example", 25, 20)
    group = caught.value.__cause__
    assert isinstance(group, ExceptionGroup) and len(group.exceptions) == 1
