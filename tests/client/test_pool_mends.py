"""Pools: faults that a hostile review found, and their mends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Unpack

import pytest
from attrs import define, field

from smtpproto import (
    Client,
    ClientConfig,
    ConnectionLost,
    Envelope,
    MailParameters,
    NotOffered,
    Reply,
    ReversePath,
    SendRefused,
    ServerConfig,
    Session,
    TimedOut,
    Timeouts,
)
from smtpproto.adapters import blocking
from smtpproto.client.pool import Pool, PoolConfig, PoolOptions, _Connection, make_pool
from smtpproto.testing.script import ScriptedStream
from smtpproto.testing.simulation import Simulation
from smtpproto.wire.stream_wrapper import StreamWrapper
from tests.client.test_pool import Runtime, Store, body, send
from tests.support.dialogue import hello, transaction
from tests.support.envelopes import TO_BOB

SENT = transaction("bob@example.org")
BYE = "C: QUIT\nS: 221 bye\n"


@define(eq=False)
class Scripts(blocking.Runtime):
    """Whoever dials gets the next of some dialogues."""

    scripts: list[str]
    streams: list[ScriptedStream] = field(factory=list)

    async def dial(self, *_: object) -> Any:
        self.streams.append(ScriptedStream(self.scripts.pop(0)))
        return self.streams[-1]

    def pool(self, **options: Unpack[PoolOptions]) -> Pool:
        return make_pool(self, "mx", 25, {"tls": "none", **options})

    def finish(self) -> None:
        assert not self.scripts
        for stream in self.streams:
            stream.finish()


async def once() -> AsyncIterator[bytes]:
    yield b"hi\r\n"


# -- nothing stands between an outcome and who waits for it --------------------------------------


def test_an_outcome_waits_for_no_goodbye() -> None:
    """Who is cancelled meanwhile would send again what was accepted."""
    runtime = Runtime(pool_options={"max_messages": 1})

    async def task(pool: Pool) -> None:
        for number in range(3):
            await send(pool, number)
            assert runtime.store.open == 1, "the one that is spent has not said QUIT yet"
            assert runtime.store.most == 1, "and does so before another is opened"

    runtime.run(task)
    assert (runtime.store.connections, runtime.store.open) == (3, 0)


class Mute(StreamWrapper):
    """What a server does now, nobody hears."""

    async def write(self, data: bytes, timeout: float | None) -> None: ...

    async def close(self) -> None: ...


def test_a_goodbye_that_nobody_answers_is_short() -> None:
    """To the next message: of four connections whose peers are gone, without a word."""
    simulation, store = Simulation(1), Store()
    simulation.listen(25, store, ServerConfig())
    pool = make_pool(simulation, "mx.example", 25, PoolOptions(tls="none", max_idle=60))
    ready = 0

    async def one(number: int) -> None:
        nonlocal ready
        await send(pool, number)
        ready += 1

    async def later() -> None:
        while ready < 4:
            await simulation.checkpoint()
        silent = list(simulation.conversations)
        for conversation in silent:
            conversation._stream = Mute(conversation._stream)
        await simulation.sleep(61)
        before = simulation.now()
        await send(pool, 4)
        assert 0 < simulation.now() - before <= len(silent)
        await pool.close()

    simulation.run(*(one(number) for number in range(4)), later())
    assert store.received.total() == 5


# -- a server that has hung up says it in its own way --------------------------------------------


@pytest.mark.parametrize("content", [b"hi\r\n", None], ids=["octets", "once"])
@pytest.mark.parametrize(
    "end",
    [
        "C: MAIL FROM:<ann@example.org>\nS: 451 4.4.2 Timeout waiting for data\nC: QUIT\n",
        "C: MAIL FROM:<ann@example.org>\nS: 451 4.7.0 Too many messages\n" + BYE,
        "S: 421 4.7.0 No more for now\n",
    ],
    ids=["451 and gone", "451", "421 behind the last reply"],
)
def test_a_kept_connection_that_takes_no_more(end: str, content: bytes | None) -> None:
    runtime = Scripts([hello() + SENT + end, hello() + SENT + BYE])
    with blocking.Pool(runtime.pool()) as pool:
        for _ in range(2):
            assert pool.send(content or once(), TO_BOB).accepted
    runtime.finish()


def test_a_new_connection_that_refuses_for_now_is_not_asked_twice() -> None:
    refusal = "C: MAIL FROM:<ann@example.org>\nS: 451 4.7.1 Later\n"
    runtime = Scripts([hello() + refusal + BYE])
    with blocking.Pool(runtime.pool()) as pool, pytest.raises(SendRefused, match="Later"):
        pool.send(b"hi\r\n", TO_BOB)
    runtime.finish()


def test_content_that_was_on_its_way_is_not_sent_in_part() -> None:
    """As the link broke in the middle of it, no command was unanswered."""

    class Breaking(ScriptedStream):
        async def write(self, data: bytes, timeout: float | None) -> None:
            if b"second" in data:
                raise ConnectionLost("broken pipe")
            await super().write(data, timeout)

    begun = transaction("bob@example.org", "C: hi", "C: .", "S: 250 ok")
    runtime = Scripts([])
    runtime.scripts = [hello() + SENT + begun.rsplit("C: hi", 1)[0]]

    async def dial(*_: object) -> Any:
        return Breaking(runtime.scripts.pop(0))

    runtime.dial = dial  # type: ignore[method-assign]

    async def second() -> AsyncIterator[bytes]:
        yield b"second\r\n"

    pool = blocking.Pool(runtime.pool())
    assert pool.send(once(), TO_BOB).accepted
    with pytest.raises(ConnectionLost) as caught:
        pool.send(second(), TO_BOB)
    assert caught.value.command == "end of data"


# -- the whole -----------------------------------------------------------------------------------


@define(eq=False)
class Slow(Store):
    """Takes a second for each connection, and for each MAIL *patience* seconds."""

    simulation: Simulation = field(kw_only=True)
    patience: float = 0.0

    async def connect(self, session: Session) -> None:  # type: ignore[override]
        super().connect(session)
        await self.simulation.sleep(1)

    async def mail(  # type: ignore[override]
        self, session: Session, sender: ReversePath, parameters: MailParameters
    ) -> Reply | None:
        await self.simulation.sleep(self.patience)
        return super().mail(session, sender, parameters)


def slow_world() -> tuple[Runtime, Slow]:
    runtime = Runtime(client=ClientConfig(timeouts=Timeouts(total=1.5)))
    runtime.store = Slow(simulation=runtime.simulation)
    runtime.simulation.listen(25, runtime.store, ServerConfig())
    return runtime, runtime.store


def test_opening_and_message_have_one_time_together() -> None:
    runtime, store = slow_world()
    store.patience = 1

    async def task(pool: Pool) -> None:
        with pytest.raises(TimedOut, match="the whole operation"):
            await send(pool, 0)
        assert runtime.simulation.now() == pytest.approx(1.5)

    runtime.run(task)


def test_what_took_too_long_is_not_begun_again() -> None:
    runtime, store = slow_world()

    async def task(pool: Pool) -> None:
        await send(pool, 0)
        store.patience, before = 10, runtime.simulation.now()
        with pytest.raises(TimedOut, match="the whole operation"):
            await send(pool, 1)
        assert runtime.simulation.now() - before == pytest.approx(1.5)

    runtime.run(task)
    assert store.connections == 1
    assert body(1) not in store.received


# -- values --------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [1.5, float("inf"), "4"], ids=repr)
def test_connections_are_counted_in_whole_numbers(number: Any) -> None:
    with pytest.raises(TypeError, match="max_connections"):
        PoolConfig(max_connections=number)


def test_a_bound_that_nothing_reaches_is_none() -> None:
    with pytest.raises(ValueError, match="max_idle"):
        PoolConfig(max_idle=float("nan"))


def test_what_is_closed_is_not_usable() -> None:
    async def main() -> None:
        runtime = Scripts([hello()])
        client: Client = await runtime.pool()._open(None)  # type: ignore[arg-type]
        assert client.usable
        await client.close()
        assert not client.usable

    blocking.run(main())


# -- what a kept connection is for ---------------------------------------------------------------


@pytest.mark.parametrize("reply", ["550 5.1.1 No", "450 4.2.1 Later"])
def test_a_message_that_is_refused_is_not_sent_again(reply: str) -> None:
    """It is not the connection's fault; the next one goes over it."""
    mail = "C: MAIL FROM:<ann@example.org>\nS: 250 ok\nC: RCPT TO:<bob@example.org>\n"
    begun = f"{mail}S: {reply}\nC: RSET\nS: 250 ok\n"
    runtime = Scripts([hello() + SENT + begun + SENT + BYE])
    with blocking.Pool(runtime.pool()) as pool:
        assert pool.send(b"hi\r\n", TO_BOB).accepted
        with pytest.raises(SendRefused):
            pool.send(b"hi\r\n", TO_BOB)
        assert pool.send(b"hi\r\n", TO_BOB).accepted
    runtime.finish()


def test_what_this_server_cannot_take_is_not_the_connection_s_fault() -> None:
    runtime = Scripts([hello() + SENT + SENT + BYE])
    foreign = Envelope("ann@example.org", "j\N{LATIN SMALL LETTER U WITH DIAERESIS}@example.org")
    with blocking.Pool(runtime.pool()) as pool:
        assert pool.send(b"hi\r\n", TO_BOB).accepted
        with pytest.raises(NotOffered):
            pool.send(b"hi\r\n", foreign)
        assert pool.send(b"hi\r\n", TO_BOB).accepted
    runtime.finish()


@pytest.mark.parametrize("content", [b"hi\r\n", None], ids=["octets", "once"])
@pytest.mark.parametrize("end", ["S: <reset>\n", "S: <silence>\n", ""])
@pytest.mark.parametrize("answered", range(3))
def test_a_kept_connection_that_is_dead_loses_no_message(
    answered: int, end: str, content: bytes | None
) -> None:
    """Wherever that shows before the content: at MAIL, RCPT or DATA."""
    dead = "".join(SENT.splitlines(keepends=True)[: 2 * answered + 1])
    runtime = Scripts([hello() + SENT + dead + end, hello() + SENT + BYE])
    with blocking.Pool(runtime.pool()) as pool:
        for _ in range(2):
            assert pool.send(content or once(), TO_BOB).accepted
    runtime.finish()


def test_the_connection_that_was_used_last_is_the_next() -> None:
    """The others may go then, as they are not needed."""
    used: list[int] = []

    class Member:
        usable = True

        def __init__(self, number: int) -> None:
            self.number = number

        async def _send(self, *_: object) -> str:
            used.append(self.number)
            return "sent"

        async def quit(self) -> None: ...

    async def never(*_: object) -> Client:
        raise AssertionError("there are enough")

    pool = Pool(blocking.Runtime(), never)
    for number in range(3):
        member: Any = Member(number)
        pool._keep(_Connection(member, opened_at=pool._runtime.now(), used_at=0))
    for _ in range(3):
        blocking.run(pool.send(b"hi\r\n", TO_BOB))
    assert used == [2, 2, 2]
