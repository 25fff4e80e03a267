"""A connect that is cancelled, interrupted or out of time leaves no socket and no task."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import select
import selectors
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trio
import trio.testing

from smtpproto import ConnectFailed, TimedOut, Timeouts
from smtpproto.adapters import asyncio as on_asyncio
from smtpproto.adapters import asyncio_race, asyncio_runtime, eyeballs
from smtpproto.adapters import blocking as on_sockets
from smtpproto.adapters import trio as on_trio
from tests.adapters.connections import connect_and, must_not_connect, unused_port
from tests.adapters.harness import Adapter, Asyncio, each_client, each_loop
from tests.adapters.inboxes import Certificates
from tests.dialling.addresses import inet, record_sockets, silent_port

STEPS = 40  # turns of the event loop; a connect that waits for the greeting has taken fewer
MODES = pytest.mark.parametrize("tls", ["none", "implicit"])


def open_sockets() -> set[str]:
    """Return the sockets of this process; nothing on systems that do not list them."""
    gc.collect()
    found = set[str]()
    with contextlib.suppress(FileNotFoundError):
        for number in os.listdir("/proc/self/fd"):
            with contextlib.suppress(FileNotFoundError):  # the directory that was listed
                found.add(os.readlink(f"/proc/self/fd/{number}"))
    return {name for name in found if name.startswith("socket:")}


@pytest.fixture
def listener(
    resolve: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> Iterator[socket.socket]:
    """A listener that never greets. Its name resolves to a silent address, one that refuses, the
    listener and the silent one again, which are all tried at once."""
    monkeypatch.setattr(eyeballs, "ATTEMPT_DELAY", 0)
    with socket.create_server(("127.0.0.1", 0)) as greets_nobody, silent_port() as silent:
        port = greets_nobody.getsockname()[1]
        resolve(inet(silent), inet(unused_port()), inet(port), inet(silent))
        greets_nobody.setblocking(False)
        yield greets_nobody


class Resolver(trio.abc.HostnameResolver):
    """Resolves names in the event loop. The loop turns so quickly that the system might not give a
    thread its turn before a test has ended."""

    async def getaddrinfo(self, host: Any, port: Any, *_: Any, **__: Any) -> Any:
        # uvloop asks for the form of an address, too.
        return socket.getaddrinfo(host, port) if host == "mx.example" else [inet(port, host)]

    async def getnameinfo(self, sockaddr: Any, flags: int) -> Any:
        raise NotImplementedError


def was_reached(listener: socket.socket) -> bool:
    """Return whether a client has connected, and drop its connection."""
    try:
        listener.accept()[0].close()
    except BlockingIOError:
        return False
    return True


# -- cancelled -------------------------------------------------------------------------------------


@each_loop
@MODES
def test_cancelling_connect_on_asyncio_leaves_no_socket_and_no_task(
    loop: type[Asyncio],
    tls: Any,
    listener: socket.socket,
    certificates: Certificates,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def connect() -> None:
        async with on_asyncio.connect("mx.example", 25, tls=tls, context=certificates.client):
            raise AssertionError("the server never greets")

    async def cancel_at(step: int) -> None:
        task = asyncio.create_task(connect())
        for _ in range(step):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.all_tasks() == {asyncio.current_task()}

    async def main() -> None:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", Resolver().getaddrinfo)
        await cancel_at(STEPS)
        before = open_sockets()
        for step in range(STEPS):
            await cancel_at(step)
        await asyncio.sleep(0)
        assert open_sockets() <= before

    created = record_sockets(monkeypatch)
    loop.run(main())
    assert created and all(one.fileno() == -1 for one in created)
    assert was_reached(listener)


@MODES
def test_cancelling_connect_on_trio_leaves_no_socket(
    tls: Any,
    listener: socket.socket,
    certificates: Certificates,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def connect() -> None:
        async with on_trio.connect("mx.example", 25, tls=tls, context=certificates.client):
            raise AssertionError("the server never greets")

    async def cancel_at(step: int) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connect)
            for _ in range(step):
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()

    async def main() -> None:
        trio.socket.set_custom_hostname_resolver(Resolver())
        await cancel_at(STEPS)
        before = open_sockets()
        for step in range(STEPS):
            await cancel_at(step)
        assert open_sockets() <= before

    created = record_sockets(monkeypatch)
    trio.run(main)
    assert created and all(one.fileno() == -1 for one in created)
    assert was_reached(listener)


def test_cancelling_trio_with_a_source_port_leaves_no_socket(
    monkeypatch: pytest.MonkeyPatch, resolve: Callable[..., None]
) -> None:
    async def main(port: int) -> None:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(connect, port)
                await trio.testing.wait_all_tasks_blocked()
                scope.cancel()

    async def connect(port: int) -> None:
        async with on_trio.connect("mx.example", port, source=("127.0.0.1", unused_port())):
            raise AssertionError("the server never answers")

    with silent_port() as silent:
        resolve(inet(silent))
        created = record_sockets(monkeypatch)
        trio.run(main, silent)
    assert created and all(one.fileno() == -1 for one in created)


# -- interrupted -----------------------------------------------------------------------------------


class Interrupted(KeyboardInterrupt):
    """What Ctrl-C raises."""


@pytest.mark.parametrize("call", ["connect_ex", "bind", "setsockopt"])
def test_ctrl_c_during_a_blocking_connect_leaves_no_socket(
    call: str, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any) -> None:
        raise Interrupted

    created = record_sockets(monkeypatch)
    monkeypatch.setattr(socket.socket, call, interrupt, raising=False)
    with pytest.raises(Interrupted):
        on_sockets.connect("mx.example", 25, tls="none", source="127.0.0.1")
    assert created and all(one.fileno() == -1 for one in created)


def test_ctrl_c_while_blocking_sockets_wait_leaves_no_socket(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Selector(selectors.SelectSelector):
        def select(self, timeout: float | None = None) -> Any:
            raise Interrupted

    created = record_sockets(monkeypatch)
    monkeypatch.setattr("smtpproto.adapters.eyeballs._Selector", Selector)
    with pytest.raises(Interrupted):
        on_sockets.connect("mx.example", 25)
    assert created and all(one.fileno() == -1 for one in created)


def test_ctrl_c_while_a_blocking_client_waits_for_the_greeting_leaves_no_socket(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Poll:
        def register(self, *_: Any) -> None: ...
        def poll(self, _: float) -> None:
            raise Interrupted

    created = record_sockets(monkeypatch)
    monkeypatch.setattr(select, "poll", Poll)
    with pytest.raises(Interrupted):
        on_sockets.connect("mx.example", 25, tls="none")
    assert created and all(one.fileno() == -1 for one in created)


# -- out of time, or failed ------------------------------------------------------------------------


@each_client
@MODES
@pytest.mark.parametrize("phase", ["connect", "total"])
def test_a_connect_that_is_out_of_time_leaves_no_socket(
    client: type[Adapter],
    tls: Any,
    phase: str,
    resolve: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as greets_nobody, silent_port() as silent:
        port = silent if phase == "connect" else greets_nobody.getsockname()[1]
        resolve(inet(port), inet(port))
        created = record_sockets(monkeypatch)
        with pytest.raises(TimedOut):
            timeouts = Timeouts(**{phase: 0.02})
            connect_and(must_not_connect, client, "mx.example", 25, tls=tls, timeouts=timeouts)
        assert all(one.fileno() == -1 for one in created if one.family == socket.AF_INET)


@each_client
def test_a_connect_whose_addresses_all_fail_leaves_no_socket(
    client: type[Adapter], resolve: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve(inet(unused_port()), inet(unused_port()))
    created = record_sockets(monkeypatch)
    with pytest.raises(ConnectFailed):
        connect_and(must_not_connect, client, "mx.example", 25)
    assert all(one.fileno() == -1 for one in created if one.family == socket.AF_INET)


# -- the race on asyncio ---------------------------------------------------------------------------


@each_loop
@pytest.mark.req("RFC8305-5-02")
def test_the_sockets_that_lose_a_race_on_asyncio_are_closed(
    loop: type[Asyncio], listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    created = record_sockets(monkeypatch)
    winner = loop.run(asyncio_race.connect("mx.example", 25, None))
    with winner:
        assert winner.getpeername() == listener.getsockname()
        assert [one for one in created if one.fileno() != -1 and one.family == winner.family] == [
            winner
        ]


@each_loop
def test_a_winner_whose_task_is_cancelled_while_the_losers_end_is_closed(
    loop: type[Asyncio], listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        task = asyncio.create_task(asyncio_race.connect("mx.example", 25, None))
        end = asyncio_race._Race._end

        async def cancel(race: asyncio_race._Race) -> None:
            task.cancel()
            await end(race)

        monkeypatch.setattr(asyncio_race._Race, "_end", cancel)
        with pytest.raises(asyncio.CancelledError):
            await task

    created = record_sockets(monkeypatch)
    loop.run(main())
    assert created and all(one.fileno() == -1 for one in created if one.family == socket.AF_INET)


@each_loop
def test_a_socket_of_which_the_loop_makes_no_stream_is_closed(loop: type[Asyncio]) -> None:
    async def main() -> None:
        with pytest.raises(ValueError, match="Stream Socket"):
            await asyncio_runtime.stream_over(datagrams)

    with socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        loop.run(main())
        assert datagrams.fileno() == -1


def test_a_descriptor_that_the_loop_has_closed_is_not_closed_again() -> None:
    ours = socket.socket()
    os.close(ours.fileno())
    asyncio_runtime.close_after_failure(ours)  # close() would raise, or close another's file
    assert ours.fileno() == -1


@pytest.mark.parametrize(
    ("address", "used"),
    [
        (("fe80::1", 25, 0, 3), ("fe80::1%3", 25)),
        (("fe80::1%eth0", 25, 0, 3), ("fe80::1%eth0", 25, 0, 3)),
        (("2001:db8::1", 25, 0, 0), ("2001:db8::1", 25, 0, 0)),
        (("192.0.2.1", 25), ("192.0.2.1", 25)),
    ],
)
def test_the_scope_of_a_link_local_address_stands_in_its_text(address: Any, used: Any) -> None:
    assert asyncio_race._with_scope(address) == used
