"""Pools over real sockets: concurrent senders, lost connections, limits, and the end of a pool."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from typing import Any, cast

import pytest
import trio
from attrs import define, field

from smtpproto import (
    ConnectFailed,
    ConnectionLost,
    Envelope,
    Handler,
    MailParameters,
    Outcome,
    Reply,
    ReversePath,
    Session,
)
from smtpproto.adapters import asyncio as on_asyncio
from smtpproto.adapters import blocking as on_sockets
from smtpproto.adapters import trio as on_trio
from smtpproto.client import Client, Pool, PoolConfig, PoolOptions
from tests.adapters.harness import Asyncio, Blocking, running_server
from tests.support.envelopes import TO_BOB
from tests.support.pools import NO_LINK

SendAll = Callable[[int, PoolOptions, int], list[Outcome]]


def with_asyncio(port: int, options: PoolOptions, messages: int) -> list[Outcome]:
    async def main() -> list[Outcome]:
        async with on_asyncio.pool("localhost", port, **options) as pool:
            sends = (pool.send(b"%d\r\n" % number, TO_BOB) for number in range(messages))
            return await asyncio.gather(*sends)

    return asyncio.run(main())


def with_trio(port: int, options: PoolOptions, messages: int) -> list[Outcome]:
    outcomes: list[Outcome] = []

    async def main() -> None:
        async with (
            on_trio.pool("localhost", port, **options) as pool,
            trio.open_nursery() as senders,
        ):

            async def send(number: int) -> None:
                outcomes.append(await pool.send(b"%d\r\n" % number, TO_BOB))

            for number in range(messages):
                senders.start_soon(send, number)

    trio.run(main)
    return outcomes


def with_threads(port: int, options: PoolOptions, messages: int) -> list[Outcome]:
    outcomes: list[Outcome] = []
    with on_sockets.pool("localhost", port, **options) as pool:

        def send(number: int) -> None:
            outcomes.append(pool.send(b"%d\r\n" % number, TO_BOB))

        threads = [threading.Thread(target=send, args=[number]) for number in range(messages)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return outcomes


each_pool = pytest.mark.parametrize(
    "send_all", [with_asyncio, with_trio, with_threads], ids=lambda function: function.__name__
)


@define(eq=False)
class CountingInbox(Handler):
    """Records bodies and counts connections; replies 421 to every *closing*-th MAIL."""

    closing: int = 0
    bodies: list[bytes] = field(factory=list)
    connections: int = 0
    open: int = 0
    max_open: int = 0
    mails: int = 0
    _lock: threading.Lock = field(factory=threading.Lock)
    ended: threading.Event = field(factory=threading.Event)

    def connect(self, session: Session) -> None:
        with self._lock:
            self.connections += 1
            self.open += 1
            self.max_open = max(self.max_open, self.open)

    def mail(self, session: Session, sender: ReversePath, _: MailParameters) -> Reply | None:
        with self._lock:
            self.mails += 1
            closing = self.closing and self.mails % self.closing == 0
        return Reply(421, "4.3.2", "Service closing") if closing else None

    def message(self, session: Session, envelope: Envelope, body: bytes) -> None:
        self.bodies.append(body)

    def close(self, session: Session) -> None:
        with self._lock:
            self.open -= 1
            if not self.open:
                self.ended.set()


@each_pool
def test_concurrent_senders_share_at_most_max_connections(send_all: SendAll) -> None:
    inbox = CountingInbox()
    with running_server(Blocking, inbox) as running:
        outcomes = send_all(running.port, {"max_connections": 3}, 30)
        assert inbox.ended.wait(30), "the pool closes its connections"
    assert sorted(map(int, inbox.bodies)) == list(range(30))
    assert all(outcome.accepted for outcome in outcomes) and len(outcomes) == 30
    assert inbox.max_open <= 3


@each_pool
def test_a_message_refused_with_421_is_sent_again_on_a_new_connection(send_all: SendAll) -> None:
    """With one connection, each 421 comes on a connection that the pool had kept."""
    inbox = CountingInbox(closing=4)
    with running_server(Blocking, inbox) as running:
        outcomes = send_all(running.port, {"max_connections": 1}, 20)
    assert sorted(map(int, inbox.bodies)) == list(range(20))
    assert len(outcomes) == 20 and inbox.connections == 7  # three messages each


@each_pool
def test_a_connection_serves_at_most_max_messages(send_all: SendAll) -> None:
    inbox = CountingInbox()
    with running_server(Blocking, inbox) as running:
        send_all(running.port, {"max_connections": 1, "max_messages": 5}, 20)
    assert inbox.connections == 4 and len(inbox.bodies) == 20


def test_a_pool_reconnects_to_a_restarted_server() -> None:
    """The kept connection is dead, which the pool notices only at the next message."""
    inbox = CountingInbox()
    with running_server(Blocking, inbox) as running:
        port = running.port
        pool = on_sockets.pool("localhost", port)
        assert pool.send(b"1\r\n", TO_BOB).accepted
    with pytest.raises(ConnectFailed):
        pool.send(b"2\r\n", TO_BOB)
    with on_sockets.serve(inbox, port=port):
        assert pool.send(b"3\r\n", TO_BOB).accepted
        pool.close()
    assert inbox.bodies == [b"1\r\n", b"3\r\n"]


def test_a_pool_opens_a_new_connection_after_a_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    inbox = CountingInbox()
    with running_server(Asyncio, inbox) as running:
        pool = on_sockets.pool("localhost", running.port)
        pool.send(b"1\r\n", TO_BOB)
        with monkeypatch.context() as child:
            child.setattr(os, "getpid", lambda: -1)
            pool.send(b"2\r\n", TO_BOB)
            pool.close()
    assert (inbox.bodies, inbox.connections) == ([b"1\r\n", b"2\r\n"], 2)


def test_a_client_fails_after_a_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        running_server(Asyncio, CountingInbox()) as running,
        on_sockets.connect("localhost", running.port) as client,
    ):
        monkeypatch.setattr(os, "getpid", lambda: -1)
        with pytest.raises(ConnectionLost, match="belongs to the process that opened it"):
            client.noop()


def test_a_pool_does_not_connect_before_the_first_message() -> None:
    inbox = CountingInbox()
    with running_server(Blocking, inbox) as running, on_sockets.pool("localhost", running.port):
        pass
    assert inbox.connections == 0


# -- cancellation and closing --------------------------------------------------------------------


def test_a_cancelled_trio_pool_closes_all_its_connections() -> None:
    """In a cancelled scope trio cancels every wait, including that for the reply to QUIT."""
    inbox = CountingInbox()

    async def main(port: int) -> None:
        with trio.CancelScope() as scope:
            async with on_trio.pool("localhost", port) as pool:
                async with trio.open_nursery() as senders:
                    for _ in range(4):
                        senders.start_soon(pool.send, b"x\r\n", TO_BOB)
                scope.cancel()
                await trio.sleep_forever()
        assert await trio.to_thread.run_sync(inbox.ended.wait, 10)
        assert inbox.connections > 1

    with running_server(Blocking, inbox) as running:
        trio.run(main, running.port)


def test_an_asyncio_pool_cancelled_while_closing_closes_all_its_connections() -> None:
    """asyncio cancels once, here while the first QUIT waits for its reply."""

    @define(eq=False)
    class FakeClient:
        usable: bool = True
        closed: list[str] = field(factory=list)
        _link: Any = NO_LINK

        async def send(self, *_: object) -> str:
            await asyncio.sleep(0)
            return "sent"

        async def quit(self) -> None:
            try:
                await asyncio.sleep(0)
            finally:
                self.closed.append("closed")

    async def main() -> None:
        members: list[FakeClient] = []

        async def open_one(*_: object) -> Client:
            members.append(FakeClient())
            return cast(Client, members[-1])

        pool = Pool(on_asyncio.Runtime(), open_one)
        await asyncio.gather(*(pool.send(b"x\r\n", TO_BOB) for _ in range(4)))
        closing = asyncio.create_task(pool.close())
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert [member.closed for member in members] == [["closed"]] * 4

    asyncio.run(main())


def test_a_pool_closed_by_another_thread_during_a_send_closes_that_connection() -> None:
    """The pool is closed after the send has begun, and before it returns the connection."""
    closed: list[str] = []

    class FakeClient:
        usable = True
        _link = NO_LINK

        async def send(self, *_: object) -> str:
            other = threading.Thread(target=lambda: on_sockets.run(pool.close()))
            other.start()
            other.join()
            return "sent"

        async def quit(self) -> None:
            closed.append("closed")

    async def open_one(*_: object) -> Client:
        return cast(Client, FakeClient())

    pool = Pool(on_sockets.Runtime(), open_one, PoolConfig())
    outcome: Any = on_sockets.run(pool.send(b"x\r\n", TO_BOB))
    assert outcome == "sent"
    assert closed == ["closed"]
