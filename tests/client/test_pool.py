"""A pool of connections: what is kept, what is retired, and that no message is lost or doubled."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any

import pytest
from attrs import define, field

from smtpproto import (
    ClientConfig,
    ConnectionLost,
    Envelope,
    ForwardPath,
    Handler,
    Limits,
    LocalProtocolError,
    MailParameters,
    NotOffered,
    RcptParameters,
    Refusal,
    Reply,
    ReversePath,
    SendRefused,
    ServerConfig,
    Session,
    SMTPError,
    Timeouts,
)
from smtpproto.client.connection import Client, open_client
from smtpproto.client.deadline import Deadline
from smtpproto.client.pool import Pool, PoolConfig
from smtpproto.testing.simulation import Simulation
from tests.support.envelopes import TO_BOB

SEEDS = 300
CLOSING = Reply(421, "4.3.2", "Service closing")


@define(eq=False)
class Store(Handler):
    """Counts what it took; says 421 to the MAIL that *closes* says, counted over all."""

    closes: Callable[[int], bool] = lambda number: False
    received: Counter[bytes] = field(factory=Counter)
    mails: int = 0
    open: int = 0
    most: int = 0
    connections: int = 0
    quits: int = 0

    def connect(self, session: Session) -> None:
        self.connections += 1
        self.open += 1
        self.most = max(self.most, self.open)

    def mail(
        self, session: Session, sender: ReversePath, parameters: MailParameters
    ) -> Reply | None:
        self.mails += 1
        return CLOSING if self.closes(self.mails) else None

    def rcpt(
        self, session: Session, recipient: ForwardPath, parameters: RcptParameters
    ) -> Reply | None:
        return Reply(550, "5.1.1", "No") if recipient.local_part == "nobody" else None

    def message(self, session: Session, envelope: Envelope, body: bytes) -> None:
        self.received[body] += 1

    def close(self, session: Session) -> None:
        self.open -= 1


@define(eq=False)
class Runtime:
    """A server, and a pool to send to it."""

    seed: int = 1
    store: Store = field(factory=Store)
    cut_at: int | None = None
    server: dict[str, Any] = field(factory=dict)
    pool_options: dict[str, Any] = field(factory=dict)
    client: ClientConfig = field(factory=ClientConfig)
    simulation: Simulation = field(init=False)
    pool: Pool = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.simulation = Simulation(self.seed, cut_at=self.cut_at)
        self.simulation.listen(25, self.store, ServerConfig(**self.server))
        whole = self.client.timeouts.total
        self.pool = Pool(self.simulation, self._open, PoolConfig(**self.pool_options), whole)

    async def _open(self, deadline: Deadline) -> Client:
        return await open_client(self.simulation, "mx.example", 25, self.client, deadline)

    def run(self, *tasks: Callable[[Pool], Awaitable[Any]]) -> None:
        """Run *tasks* at once, and close the pool when all have ended."""
        left = len(tasks)

        async def one(task: Callable[[Pool], Awaitable[Any]]) -> None:
            nonlocal left
            try:
                await task(self.pool)
            finally:
                left -= 1
                if not left:
                    await self.pool.close()

        self.simulation.run(*(one(task) for task in tasks))


def body(number: int) -> bytes:
    return b"message %d\r\n" % number


async def send(pool: Pool, number: int, **options: Any) -> None:
    outcome = await pool.send(body(number), options.get("envelope", TO_BOB))
    assert outcome.accepted


# -- what is kept --------------------------------------------------------------------------------


def test_one_connection_serves_one_after_the_other() -> None:
    runtime = Runtime()

    async def task(pool: Pool) -> None:
        for number in range(5):
            await send(pool, number)

    runtime.run(task)
    assert runtime.store.connections == 1
    assert runtime.store.received == {body(number): 1 for number in range(5)}
    assert runtime.store.open == 0


@pytest.mark.parametrize(
    ("options", "connections"),
    [
        ({"max_messages": 2}, 3),
        ({"max_messages": 1}, 6),
        ({"max_age": 25}, 2),
        ({"max_idle": 5}, 6),
        ({"max_idle": 15}, 1),
        ({"max_messages": None, "max_age": None, "max_idle": None}, 1),
    ],
    ids=str,
)
def test_connections_are_retired(options: dict[str, Any], connections: int) -> None:
    """Six messages, ten seconds apart."""
    runtime = Runtime(pool_options=options)

    async def task(pool: Pool) -> None:
        for number in range(6):
            await send(pool, number)
            await runtime.simulation.sleep(10)

    runtime.run(task)
    assert runtime.store.connections == connections
    assert sum(runtime.store.received.values()) == 6


@pytest.mark.parametrize("option", ["max_messages", "max_idle", "max_age", "max_connections"])
def test_bounds_that_make_no_sense(option: str) -> None:
    with pytest.raises(ValueError, match=option):
        PoolConfig(**{option: 0})


def test_no_more_connections_than_allowed_at_once() -> None:
    for seed in range(30):
        runtime = Runtime(seed, pool_options={"max_connections": 3})
        runtime.run(*(partial(send, number=number) for number in range(12)))
        assert runtime.store.most <= 3
        assert sum(runtime.store.received.values()) == 12


def test_a_refused_message_leaves_the_connection_to_the_next() -> None:
    runtime = Runtime()

    async def task(pool: Pool) -> None:
        with pytest.raises(SendRefused):
            await pool.send(b"x\r\n", Envelope("", "nobody@example.org"))
        await send(pool, 1)

    runtime.run(task)
    assert runtime.store.connections == 1


def test_a_pool_that_is_closed() -> None:
    runtime = Runtime()

    async def task(pool: Pool) -> None:
        await send(pool, 1)
        await pool.close()
        await pool.close()
        with pytest.raises(LocalProtocolError, match="closed"):
            await send(pool, 2)

    runtime.run(task)
    assert runtime.store.received == {body(1): 1}


@pytest.mark.parametrize("seed", range(20))
def test_a_pool_that_is_closed_while_it_is_used(seed: int) -> None:
    runtime = Runtime(seed)
    halfway: list[bool] = []

    def slow() -> Iterator[bytes]:
        halfway.append(True)
        yield b"x\r\n" * 30_000

    async def sender(pool: Pool) -> None:
        assert (await pool.send(slow(), TO_BOB)).accepted

    async def closer(pool: Pool) -> None:
        await runtime.simulation.wait(lambda: bool(halfway), None)
        await pool.close()

    runtime.simulation.run(sender(runtime.pool), closer(runtime.pool))
    assert runtime.store.received == {b"x\r\n" * 30_000: 1}
    assert runtime.simulation.now() == 0  # the server had a QUIT, and did not wait in vain


# -- what dies -----------------------------------------------------------------------------------


def test_a_connection_that_the_server_gave_up_meanwhile() -> None:
    """The server's time-out is the shorter one: each message finds a dead connection."""
    runtime = Runtime(
        server={"timeouts": Timeouts(command=5)}, pool_options={"max_idle": None, "max_age": None}
    )

    async def task(pool: Pool) -> None:
        for number in range(4):
            await send(pool, number)
            await runtime.simulation.sleep(10)

    runtime.run(task)
    assert runtime.store.connections == 4
    assert runtime.store.received == {body(number): 1 for number in range(4)}


def test_behind_a_dead_connection_a_new_one_is_tried() -> None:
    """The others that were kept may be as dead, and each would cost its time."""
    runtime = Runtime(
        server={"timeouts": Timeouts(command=5)},
        pool_options={"max_connections": 3, "max_idle": None},
    )

    def slowly() -> Iterator[bytes]:
        yield b"x\r\n" * 50_000

    async def first(pool: Pool) -> None:
        assert (await pool.send(slowly(), TO_BOB)).accepted

    runtime.simulation.run(*(first(runtime.pool) for _ in range(3)))
    opened = runtime.store.connections
    assert opened > 1

    async def later() -> None:
        await runtime.simulation.sleep(10)
        await send(runtime.pool, 9)
        await runtime.pool.close()

    runtime.simulation.run(later())
    assert runtime.store.connections == opened + 1
    assert runtime.store.received[body(9)] == 1


def test_421_retires_one_connection_and_loses_nothing() -> None:
    runtime = Runtime(store=Store(closes=lambda number: number % 3 == 0))

    async def task(pool: Pool) -> None:
        for number in range(9):
            await send(pool, number)

    runtime.run(task)
    assert runtime.store.received == {body(number): 1 for number in range(9)}
    assert runtime.store.connections == 5


def test_a_server_that_always_says_421_is_not_asked_for_ever() -> None:
    runtime = Runtime(store=Store(closes=lambda number: True))

    async def task(pool: Pool) -> None:
        with pytest.raises(SendRefused) as caught:
            await send(pool, 1)
        assert caught.value.reply.code == 421

    runtime.run(task)
    assert runtime.store.connections == 1


def test_what_cannot_be_opened_is_the_senders_to_know() -> None:
    class Full(Store):
        def connect(self, session: Session) -> Reply:  # type: ignore[override]
            super().connect(session)
            return Reply(421, "4.3.2", "Too many connections")

    runtime = Runtime(store=Full(), pool_options={"max_connections": 1})

    async def task(pool: Pool) -> None:
        with pytest.raises(Refusal, match="421"):
            await send(pool, 1)

    runtime.run(task, task, task)
    assert runtime.store.connections == 3  # each sender's own attempt, and the place was given back


# -- content that can be read only once ----------------------------------------------------------


def pieces(*parts: bytes) -> Iterator[bytes]:
    yield from parts


def test_pieces_go_over_another_connection_if_nothing_was_read_of_them() -> None:
    runtime = Runtime(store=Store(closes=lambda number: number == 2))

    async def task(pool: Pool) -> None:
        await send(pool, 1)
        outcome = await pool.send(pieces(b"a\r\n", b"b\r\n"), TO_BOB)
        assert outcome.accepted

    runtime.run(task)
    assert runtime.store.received == {body(1): 1, b"a\r\nb\r\n": 1}


def test_pieces_that_were_read_are_not_sent_in_part() -> None:
    """The link breaks after the first piece: half a message must not become a whole one."""
    runtime = Runtime(store=Store())

    def cutting() -> Iterator[bytes]:
        yield b"first\r\n" * 40_000
        for conversation in runtime.simulation.conversations:
            conversation._stream.cut()  # type: ignore[attr-defined]
        yield b"second\r\n" * 40_000

    async def task(pool: Pool) -> None:
        await send(pool, 1)
        with pytest.raises(ConnectionLost):
            await pool.send(cutting(), TO_BOB)

    runtime.run(task)
    assert runtime.store.received == {body(1): 1}
    assert runtime.store.connections == 1


# -- what a server allows on one connection (RFC 9422) -------------------------------------------


def test_as_many_messages_as_the_server_takes_on_a_connection() -> None:
    runtime = Runtime(server={"limits": Limits(transactions=2)})

    async def task(pool: Pool) -> None:
        for number in range(5):
            await send(pool, number)

    runtime.run(task)
    assert runtime.store.connections == 3
    assert sum(runtime.store.received.values()) == 5


def test_what_no_connection_takes_is_not_tried_for_ever() -> None:
    runtime = Runtime(
        server={"limits": Limits(transactions=2, message_size=65536)},
    )

    async def task(pool: Pool) -> None:
        await send(pool, 1)
        with pytest.raises(NotOffered):
            await pool.send(b"x" * 70 + b"\r\n" * 40_000, TO_BOB)

    runtime.run(task)
    assert runtime.store.connections == 2


# -- the law -------------------------------------------------------------------------------------


@pytest.mark.parametrize("offset", [0, 1_000])
def test_accepted_is_received_exactly_once(offset: int) -> None:
    """Whatever breaks, and however many send at once: what a sender was told is true."""
    fates: Counter[str] = Counter()
    for seed in range(offset, offset + SEEDS):
        rng = random.Random(seed)
        store = Store(closes=lambda number, rng=rng: rng.random() < 0.2)  # type: ignore[misc]
        runtime = Runtime(
            seed,
            store,
            cut_at=rng.randint(0, 150),
            pool_options={"max_connections": rng.randint(1, 4), "max_messages": rng.randint(1, 9)},
        )
        told: dict[bytes, str] = {}

        async def task(
            pool: Pool, first: int, told: dict[bytes, str] = told, rng: random.Random = rng
        ) -> None:
            for number in range(first, first + 3):
                content = body(number)
                try:
                    outcome = await pool.send(
                        pieces(content) if rng.random() < 0.3 else content, TO_BOB
                    )
                    told[content] = "accepted" if outcome.accepted else "unknown"
                except SMTPError:
                    told[content] = "not taken"

        runtime.run(*(partial(task, first=10 * each) for each in range(4)))
        assert len(told) == 12
        for content, fate in told.items():
            count = store.received[content]
            assert count == {"accepted": 1, "not taken": 0}.get(fate, min(count, 1)), seed
        assert store.open == 0, seed
        fates.update(told.values())
    assert fates.keys() == {"accepted", "unknown", "not taken"}
    assert fates["accepted"] > 0.8 * sum(fates.values())
