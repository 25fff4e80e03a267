"""When a pool sends a message again over another connection, and when it must not."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

import pytest

from smtpproto import (
    ConnectionLost,
    Limits,
    NotOffered,
    Refusal,
    Reply,
    SendRefused,
    Session,
    SMTPError,
    Timeouts,
)
from smtpproto.adapters import blocking
from smtpproto.client.pool import Pool
from smtpproto.testing.script import ScriptedStream
from tests.support.dialogue import GOODBYE, RSET, SENT, hello, mail, rcpt, transaction
from tests.support.envelopes import TO_BOB
from tests.support.pieces import async_pieces
from tests.support.pools import CountingServer, ScriptedRuntime, SimulatedPool, body, send

# -- kept connections that are dead --------------------------------------------------------------


def test_a_kept_connection_that_the_server_timed_out_loses_no_message() -> None:
    """The server's timeout is shorter than the pool's, so each message finds a dead connection."""
    simulated = SimulatedPool(
        server={"timeouts": Timeouts(command=5)}, pool_options={"max_idle": None, "max_age": None}
    )

    async def task(pool: Pool) -> None:
        for number in range(4):
            await send(pool, number)
            await simulated.simulation.sleep(10)

    simulated.run(task)
    assert simulated.handler.connections == 4
    assert simulated.handler.received == {body(number): 1 for number in range(4)}


def test_a_dead_connection_is_followed_by_a_new_one_not_by_another_kept_one() -> None:
    """The other kept connections may be dead as well, and trying each would take time."""
    simulated = SimulatedPool(
        server={"timeouts": Timeouts(command=5)},
        pool_options={"max_connections": 3, "max_idle": None},
    )

    def slowly() -> Iterator[bytes]:
        yield b"x\r\n" * 50_000

    async def first(pool: Pool) -> None:
        assert (await pool.send(slowly(), TO_BOB)).accepted

    simulated.simulation.run(*(first(simulated.pool) for _ in range(3)))
    opened = simulated.handler.connections
    assert opened > 1

    async def later() -> None:
        await simulated.simulation.sleep(10)
        await send(simulated.pool, 9)
        await simulated.pool.close()

    simulated.simulation.run(later())
    assert simulated.handler.connections == opened + 1
    assert simulated.handler.received[body(9)] == 1


@pytest.mark.parametrize("content", [b"hi\r\n", None], ids=["octets", "once"])
@pytest.mark.parametrize("end", ["S: <reset>\n", "S: <silence>\n", ""])
@pytest.mark.parametrize("answered", range(3))
def test_a_kept_connection_that_is_dead_before_the_content_loses_no_message(
    answered: int, end: str, content: bytes | None
) -> None:
    """The client notices at MAIL, RCPT or DATA."""
    dead = "".join(SENT.splitlines(keepends=True)[: 2 * answered + 1])
    runtime = ScriptedRuntime([hello() + SENT + dead + end, hello() + SENT + GOODBYE])
    with blocking.Pool(runtime.pool()) as pool:
        for _ in range(2):
            assert pool.send(content or async_pieces([b"hi\r\n"]), TO_BOB).accepted
    runtime.finish()


# -- kept connections on which the server takes no more ------------------------------------------


def test_421_retires_the_connection_and_loses_no_message() -> None:
    simulated = SimulatedPool(handler=CountingServer(closes=lambda number: number % 3 == 0))

    async def task(pool: Pool) -> None:
        for number in range(9):
            await send(pool, number)

    simulated.run(task)
    assert simulated.handler.received == {body(number): 1 for number in range(9)}
    assert simulated.handler.connections == 5


@pytest.mark.parametrize("content", [b"hi\r\n", None], ids=["octets", "once"])
@pytest.mark.parametrize(
    "end",
    [
        "C: MAIL FROM:<ann@example.org>\nS: 451 4.4.2 Timeout waiting for data\nC: QUIT\n",
        "C: MAIL FROM:<ann@example.org>\nS: 451 4.7.0 Too many messages\n" + GOODBYE,
        "S: 421 4.7.0 No more for now\n",
    ],
    ids=["451 and gone", "451", "421 after the last reply"],
)
def test_421_or_451_on_a_kept_connection_moves_the_message_to_a_new_one(
    end: str, content: bytes | None
) -> None:
    runtime = ScriptedRuntime([hello() + SENT + end, hello() + SENT + GOODBYE])
    with blocking.Pool(runtime.pool()) as pool:
        for _ in range(2):
            assert pool.send(content or async_pieces([b"hi\r\n"]), TO_BOB).accepted
    runtime.finish()


def test_a_connection_whose_server_refuses_rset_is_not_used_again() -> None:
    refused = mail() + rcpt(reply="450 no") + "C: RSET\nS: 550 no\n"
    runtime = ScriptedRuntime(
        [hello() + SENT + refused + "C: RSET\nS: 550 no\nS: <silence>\n", hello() + SENT + GOODBYE]
    )
    with blocking.Pool(runtime.pool()) as pool:
        assert pool.send(b"hi\r\n", TO_BOB).accepted
        with pytest.raises(SendRefused):
            pool.send(b"hi\r\n", TO_BOB)
        assert pool.send(b"hi\r\n", TO_BOB).accepted


# -- messages that are not sent again ------------------------------------------------------------


@pytest.mark.parametrize("reply", ["550 5.1.1 No", "450 4.2.1 Later"])
def test_a_message_whose_recipient_is_refused_is_not_sent_again(reply: str) -> None:
    """The connection is kept, and the next message goes over it."""
    refused = f"{mail()}{rcpt(reply=reply)}{RSET}"
    runtime = ScriptedRuntime([hello() + SENT + refused + SENT + GOODBYE])
    with blocking.Pool(runtime.pool()) as pool:
        assert pool.send(b"hi\r\n", TO_BOB).accepted
        with pytest.raises(SendRefused):
            pool.send(b"hi\r\n", TO_BOB)
        assert pool.send(b"hi\r\n", TO_BOB).accepted
    runtime.finish()


def test_421_on_a_new_connection_is_raised() -> None:
    simulated = SimulatedPool(handler=CountingServer(closes=lambda number: True))

    async def task(pool: Pool) -> None:
        with pytest.raises(SendRefused) as caught:
            await send(pool, 1)
        assert caught.value.reply.code == 421

    simulated.run(task)
    assert simulated.handler.connections == 1


def test_451_on_a_new_connection_is_raised() -> None:
    refusal = "C: MAIL FROM:<ann@example.org>\nS: 451 4.7.1 Later\n"
    runtime = ScriptedRuntime([hello() + refusal + GOODBYE])
    with blocking.Pool(runtime.pool()) as pool, pytest.raises(SendRefused, match="Later"):
        pool.send(b"hi\r\n", TO_BOB)
    runtime.finish()


def test_a_connection_that_cannot_be_opened_is_an_error_for_its_sender() -> None:
    class Full(CountingServer):
        def connect(self, session: Session) -> Reply:  # type: ignore[override]
            super().connect(session)
            return Reply(421, "4.3.2", "Too many connections")

    simulated = SimulatedPool(handler=Full(), pool_options={"max_connections": 1})

    async def task(pool: Pool) -> None:
        with pytest.raises(Refusal, match="421"):
            await send(pool, 1)

    simulated.run(task, task, task)
    assert simulated.handler.connections == 3  # each sender tries once, and releases its slot


def test_a_message_that_a_kept_connection_cannot_take_is_tried_on_one_new_one() -> None:
    simulated = SimulatedPool(
        server={"limits": Limits(transactions=2, message_size=65536)},
    )

    async def task(pool: Pool) -> None:
        await send(pool, 1)
        with pytest.raises(NotOffered):
            await pool.send(b"x" * 70 + b"\r\n" * 40_000, TO_BOB)

    simulated.run(task)
    assert simulated.handler.connections == 2


# -- content that can be read only once ----------------------------------------------------------


def test_an_iterator_is_sent_again_if_nothing_of_it_was_read() -> None:
    simulated = SimulatedPool(handler=CountingServer(closes=lambda number: number == 2))

    async def task(pool: Pool) -> None:
        await send(pool, 1)
        outcome = await pool.send(iter([b"a\r\n", b"b\r\n"]), TO_BOB)
        assert outcome.accepted

    simulated.run(task)
    assert simulated.handler.received == {body(1): 1, b"a\r\nb\r\n": 1}


def test_an_iterator_that_was_partly_read_is_not_sent_again() -> None:
    """The link breaks after the first piece; the rest alone must not become a message."""
    simulated = SimulatedPool(handler=CountingServer())

    def cutting() -> Iterator[bytes]:
        yield b"first\r\n" * 40_000
        for conversation in simulated.simulation.conversations:
            conversation._stream.cut()  # type: ignore[attr-defined]
        yield b"second\r\n" * 40_000

    async def task(pool: Pool) -> None:
        await send(pool, 1)
        with pytest.raises(ConnectionLost):
            await pool.send(cutting(), TO_BOB)

    simulated.run(task)
    assert simulated.handler.received == {body(1): 1}
    assert simulated.handler.connections == 1


def test_an_iterator_is_not_sent_again_if_writing_the_content_failed() -> None:
    """No command is unanswered when the link breaks."""

    class Breaking(ScriptedStream):
        async def write(self, data: bytes, timeout: float | None) -> None:
            if b"second" in data:
                raise ConnectionLost("broken pipe")
            await super().write(data, timeout)

    begun = transaction("bob@example.org", "C: hi", "C: .", "S: 250 ok")
    runtime = ScriptedRuntime([])
    runtime.scripts = [hello() + SENT + begun.rsplit("C: hi", 1)[0]]

    async def dial(*_: object) -> Any:
        return Breaking(runtime.scripts.pop(0))

    runtime.dial = dial  # type: ignore[method-assign]

    async def second() -> AsyncIterator[bytes]:
        yield b"second\r\n"

    pool = blocking.Pool(runtime.pool())
    assert pool.send(async_pieces([b"hi\r\n"]), TO_BOB).accepted
    with pytest.raises(ConnectionLost) as caught:
        pool.send(second(), TO_BOB)
    assert caught.value.command == "end of data"


# -- no message is lost or received twice --------------------------------------------------------


SESSIONS = 1000


def _one_in_five(rng: random.Random, number: int) -> bool:
    return rng.random() < 0.2


def test_an_accepted_message_is_received_exactly_once(
    seeds: Callable[[int, int], Iterator[int]],
) -> None:
    """This holds whatever breaks, and however many tasks send at once."""
    fates: Counter[str] = Counter()
    for seed in seeds(SESSIONS, 5):
        rng = random.Random(seed)
        closes = partial(_one_in_five, rng)
        handler = CountingServer(closes=closes)
        simulated = SimulatedPool(
            seed,
            handler,
            cut_at=rng.randint(0, 150),
            pool_options={"max_connections": rng.randint(1, 4), "max_messages": rng.randint(1, 9)},
        )
        fate_of: dict[bytes, str] = {}

        async def task(
            pool: Pool, first: int, fate_of: dict[bytes, str] = fate_of, rng: random.Random = rng
        ) -> None:
            for number in range(first, first + 3):
                content = body(number)
                try:
                    outcome = await pool.send(
                        iter([content]) if rng.random() < 0.3 else content, TO_BOB
                    )
                    fate_of[content] = "accepted" if outcome.accepted else "unknown"
                except SMTPError:
                    fate_of[content] = "not taken"

        simulated.run(*(partial(task, first=10 * each) for each in range(4)))
        assert len(fate_of) == 12
        for content, fate in fate_of.items():
            count = handler.received[content]
            assert count == {"accepted": 1, "not taken": 0}.get(fate, min(count, 1)), seed
        assert handler.open == 0, seed
        fates.update(fate_of.values())
    assert fates.keys() == {"accepted", "unknown", "not taken"}
    assert fates["accepted"] > 0.8 * sum(fates.values())
