"""Happy eyeballs: which address is tried when, which one wins, and that the others are closed."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Callable
from typing import Any

import pytest

from smtpproto import Timeouts
from smtpproto.adapters import eyeballs
from tests.adapters.connections import connect_and, noop, unused_port
from tests.adapters.harness import Adapter, Blocking, Trio, each_client, running_server
from tests.adapters.inboxes import Inbox
from tests.dialling.addresses import inet, inet6, record_sockets, silent_port


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


@each_client
@pytest.mark.parametrize("host", ["127.0.0.1", "mx.example"])
def test_the_connection_to_an_only_address_does_not_delay_small_writes(
    client: type[Adapter],
    host: str,
    inbox: Inbox,
    resolve: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    created = record_sockets(monkeypatch)

    async def check(opened: Any) -> None:
        await opened.noop()
        mine = [one for one in created if one.fileno() != -1 and leads_to(one, running.port)]
        (delays,) = [not one.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for one in mine]
        assert not delays

    with running_server(Blocking, inbox) as running:
        resolve(inet(running.port))
        connect_and(check, client, host, running.port, tls="none")


def leads_to(created: socket.socket, port: int) -> bool:
    """Return whether a socket is connected to *port*; a listener and a pair are not."""
    with contextlib.suppress(OSError):
        return bool(created.getpeername()[1:] == (port,))
    return False


def test_trio_with_a_source_port_tries_one_address_after_the_other(
    inbox: Inbox, resolve: Callable[..., None]
) -> None:
    with running_server(Trio, inbox) as running:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            source = taken.getsockname()
            found = [inet(unused_port()), inet(running.port)]  # neither is the source
        resolve(*found)
        connect_and(noop, Trio, "mx.example", 25, source=source, tls="none")


# -- the schedule ----------------------------------------------------------------------------------


class Clock:
    """A clock that moves when a test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.req("RFC8305-4-01")
def test_the_schedule_alternates_the_families() -> None:
    four, six = [inet(port) for port in (1, 2)], [inet6(port) for port in (3, 4, 5)]

    def tried(*found: eyeballs.AddressInfo) -> list[int]:
        schedule, ports = eyeballs.Schedule(found, Clock()), []
        while (info := schedule.due()) is not None:
            ports.append(info[4][1])
            schedule.failed(info, OSError("no"))
        return ports

    assert tried(*six, *four) == [3, 1, 4, 2, 5]
    assert tried(*four, *six) == [1, 3, 2, 4, 5]
    assert tried() == []


@pytest.mark.req("RFC8305-5-01")
def test_the_next_attempt_starts_after_250_ms_or_when_one_fails() -> None:
    clock = Clock()
    schedule = eyeballs.Schedule([inet(port) for port in (1, 2, 3)], clock)
    first = schedule.due()
    assert first == inet(1) and schedule.due() is None
    assert schedule.seconds == eyeballs.ATTEMPT_DELAY == 0.25
    clock.now = 0.25
    assert schedule.due() == inet(2) and schedule.due() is None
    schedule.failed(inet(1), ConnectionRefusedError(errno.ECONNREFUSED, "no"))
    assert schedule.due() == inet(3)
    assert not schedule and schedule.due() is None and schedule.seconds == float("inf")


def test_the_error_of_the_schedule_has_the_code_and_address_of_each_attempt() -> None:
    schedule = eyeballs.Schedule([inet(1), inet(2)], Clock())
    schedule.failed(inet(1), OSError(errno.ECONNREFUSED, "Connect call failed ('127.0.0.1', 1)"))
    schedule.failed(inet(2), OSError("words"))
    group = schedule.error.__cause__
    assert isinstance(group, ExceptionGroup)
    refused = f"[Errno {errno.ECONNREFUSED}] Connection refused ('127.0.0.1', 1)"
    assert [str(one) for one in group.exceptions] == [refused, "words ('127.0.0.1', 2)"]


# -- eyeballs.connect ------------------------------------------------------------------------------


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
