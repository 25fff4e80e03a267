"""Pools over real sockets: many senders at once, dead connections, and an orderly end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest
import trio
from attrs import define, field

from smtpproto import (
    ConnectFailed,
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
from smtpproto.client import PoolOptions
from tests.adapters.flavours import Blocking, served
from tests.support.envelopes import TO_BOB

Run = Callable[[int, PoolOptions, int], list[Outcome]]


def with_asyncio(port: int, options: PoolOptions, messages: int) -> list[Outcome]:
    async def main() -> list[Outcome]:
        async with on_asyncio.pool("localhost", port, **options) as pool:
            sends = (pool.send(b"%d\r\n" % number, TO_BOB) for number in range(messages))
            return await asyncio.gather(*sends)

    return asyncio.run(main())


def with_trio(port: int, options: PoolOptions, messages: int) -> list[Outcome]:
    outcomes: list[Outcome] = []

    async def main() -> None:
        async with on_trio.pool("localhost", port, **options) as pool, trio.open_nursery() as all_:

            async def send(number: int) -> None:
                outcomes.append(await pool.send(b"%d\r\n" % number, TO_BOB))

            for number in range(messages):
                all_.start_soon(send, number)

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


each_pool = pytest.mark.parametrize("run", [with_asyncio, with_trio, with_threads])


@define(eq=False)
class Store(Handler):
    """Counts; says 421 to every *closing*-th MAIL."""

    closing: int = 0
    bodies: list[bytes] = field(factory=list)
    connections: int = 0
    open: int = 0
    most: int = 0
    mails: int = 0
    _lock: threading.Lock = field(factory=threading.Lock)
    ended: threading.Event = field(factory=threading.Event)

    def connect(self, session: Session) -> None:
        with self._lock:
            self.connections += 1
            self.open += 1
            self.most = max(self.most, self.open)

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
def test_many_senders_share_few_connections(run: Run) -> None:
    store = Store()
    with served(Blocking, store) as running:
        outcomes = run(running.port, {"max_connections": 3}, 30)
        assert store.ended.wait(30), "the pool has closed what it kept"
    assert sorted(map(int, store.bodies)) == list(range(30))
    assert all(outcome.accepted for outcome in outcomes) and len(outcomes) == 30
    assert store.most <= 3


@each_pool
def test_421_loses_no_message(run: Run) -> None:
    """One place, so that what is refused was on a connection that had been kept."""
    store = Store(closing=4)
    with served(Blocking, store) as running:
        outcomes = run(running.port, {"max_connections": 1}, 20)
    assert sorted(map(int, store.bodies)) == list(range(20))
    assert len(outcomes) == 20 and store.connections == 7  # three messages each


@each_pool
def test_a_connection_serves_as_many_messages_as_it_may(run: Run) -> None:
    store = Store()
    with served(Blocking, store) as running:
        run(running.port, {"max_connections": 1, "max_messages": 5}, 20)
    assert store.connections == 4 and len(store.bodies) == 20


def test_a_server_that_went_away_and_came_back() -> None:
    """The kept connection is dead, and only the next message notices."""
    store = Store()
    with served(Blocking, store) as running:
        port = running.port
        pool = on_sockets.pool("localhost", port)
        assert pool.send(b"1\r\n", TO_BOB).accepted
    with pytest.raises(ConnectFailed):
        pool.send(b"2\r\n", TO_BOB)
    with on_sockets.serve(store, port=port):
        assert pool.send(b"3\r\n", TO_BOB).accepted
        pool.close()
    assert store.bodies == [b"1\r\n", b"3\r\n"]


def test_nothing_is_connected_before_the_first_message() -> None:
    store = Store()
    with served(Blocking, store) as running, on_sockets.pool("localhost", running.port):
        pass
    assert store.connections == 0
