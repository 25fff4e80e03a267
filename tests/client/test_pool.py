"""Which connections a pool opens, keeps and retires."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from smtpproto import (
    Client,
    Envelope,
    Limits,
    LocalProtocolError,
    NotOffered,
    SendRefused,
)
from smtpproto.adapters import blocking
from smtpproto.client.pool import Pool, PoolConfig, _Connection
from tests.support.dialogue import GOODBYE, SENT, hello
from tests.support.envelopes import TO_BOB
from tests.support.pools import NO_LINK, ScriptedRuntime, SimulatedPool, body, send

# -- connections that are kept -------------------------------------------------------------------


def test_messages_sent_one_after_the_other_share_a_connection() -> None:
    simulated = SimulatedPool()

    async def task(pool: Pool) -> None:
        for number in range(5):
            await send(pool, number)

    simulated.run(task)
    assert simulated.handler.connections == 1
    assert simulated.handler.received == {body(number): 1 for number in range(5)}
    assert simulated.handler.open == 0


def test_connect_opens_one_connection_which_messages_use() -> None:
    simulated = SimulatedPool()

    async def task(pool: Pool) -> None:
        for _ in range(2):
            await pool.connect()
            assert simulated.handler.connections == 1
        await send(pool, 0)

    simulated.run(task)
    assert simulated.handler.connections == 1


def test_connect_leaves_an_idle_connection_as_old_as_it_is() -> None:
    simulated = SimulatedPool(pool_options={"max_idle": 15})

    async def task(pool: Pool) -> None:
        for _ in range(3):
            await pool.connect()
            await simulated.simulation.sleep(10)

    simulated.run(task)
    assert simulated.handler.connections == 2


def test_connect_raises_what_opening_a_connection_raises() -> None:
    refused = LocalProtocolError("no")

    async def refuse(*_: object) -> Client:
        raise refused

    pool = Pool(blocking.Runtime(), refuse)
    for _ in range(2):  # it does not keep the slot
        with pytest.raises(LocalProtocolError) as caught:
            blocking.run(pool.connect())
        assert caught.value is refused


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
def test_connections_are_retired_at_the_limits_of_the_pool(
    options: dict[str, Any], connections: int
) -> None:
    """The pool sends six messages, ten seconds apart."""
    simulated = SimulatedPool(pool_options=options)

    async def task(pool: Pool) -> None:
        for number in range(6):
            await send(pool, number)
            await simulated.simulation.sleep(10)

    simulated.run(task)
    assert simulated.handler.connections == connections
    assert sum(simulated.handler.received.values()) == 6


def test_connections_are_retired_at_the_mailmax_of_the_server() -> None:
    simulated = SimulatedPool(server={"limits": Limits(transactions=2)})

    async def task(pool: Pool) -> None:
        for number in range(5):
            await send(pool, number)

    simulated.run(task)
    assert simulated.handler.connections == 3
    assert sum(simulated.handler.received.values()) == 5


def test_max_connections_bounds_the_connections_open_at_once() -> None:
    for seed in range(30):
        simulated = SimulatedPool(seed, pool_options={"max_connections": 3})
        simulated.run(*(partial(send, number=number) for number in range(12)))
        assert simulated.handler.most <= 3
        assert sum(simulated.handler.received.values()) == 12


def test_the_connection_used_last_is_used_next() -> None:
    """So the others become idle and are retired when they are not needed."""
    used: list[int] = []

    class FakeClient:
        usable = True
        _link = NO_LINK

        def __init__(self, number: int) -> None:
            self.number = number

        async def send(self, *_: object) -> str:
            used.append(self.number)
            return "sent"

        async def quit(self) -> None: ...

    async def never(*_: object) -> Client:
        raise AssertionError("a new connection was opened")

    pool = Pool(blocking.Runtime(), never)
    for number in range(3):
        client: Any = FakeClient(number)
        kept = _Connection(client, opened_at=pool._runtime.now(), used_at=0)
        blocking.run(pool._keep(kept))
    for _ in range(3):
        blocking.run(pool.send(b"hi\r\n", TO_BOB))
    assert used == [2, 2, 2]


def test_a_connection_is_kept_after_a_refused_message() -> None:
    simulated = SimulatedPool()

    async def task(pool: Pool) -> None:
        with pytest.raises(SendRefused):
            await pool.send(b"x\r\n", Envelope("", "nobody@example.org"))
        await send(pool, 1)

    simulated.run(task)
    assert simulated.handler.connections == 1


@pytest.mark.req("RFC5321-4.1.1.10-03", "RFC5321-4.1.4-18")
def test_a_connection_is_kept_after_a_message_that_the_server_cannot_take() -> None:
    runtime = ScriptedRuntime([hello() + SENT + SENT + GOODBYE])
    foreign = Envelope("ann@example.org", "j\N{LATIN SMALL LETTER U WITH DIAERESIS}@example.org")
    with blocking.Pool(runtime.pool()) as pool:
        assert pool.send(b"hi\r\n", TO_BOB).accepted
        with pytest.raises(NotOffered):
            pool.send(b"hi\r\n", foreign)
        assert pool.send(b"hi\r\n", TO_BOB).accepted
    runtime.finish()


def test_an_outcome_does_not_wait_for_quit() -> None:
    """A task cancelled meanwhile would lose the outcome, and send the message again."""
    simulated = SimulatedPool(pool_options={"max_messages": 1})

    async def task(pool: Pool) -> None:
        for number in range(3):
            await send(pool, number)
            assert simulated.handler.open == 1, "QUIT is not sent before the outcome is returned"
            assert simulated.handler.most == 1, "QUIT is sent before the next connection is opened"

    simulated.run(task)
    assert (simulated.handler.connections, simulated.handler.open) == (3, 0)


# -- closing -------------------------------------------------------------------------------------


def test_a_closed_pool_refuses_messages() -> None:
    simulated = SimulatedPool()

    async def task(pool: Pool) -> None:
        await send(pool, 1)
        await pool.close()
        await pool.close()
        with pytest.raises(LocalProtocolError, match="closed"):
            await send(pool, 2)

    simulated.run(task)
    assert simulated.handler.received == {body(1): 1}


@pytest.mark.parametrize("seed", range(20))
def test_a_message_under_way_is_sent_before_its_connection_is_closed(seed: int) -> None:
    simulated = SimulatedPool(seed)
    started: list[bool] = []

    def slow() -> Iterator[bytes]:
        started.append(True)
        yield b"x\r\n" * 30_000

    async def sender(pool: Pool) -> None:
        assert (await pool.send(slow(), TO_BOB)).accepted

    async def closer(pool: Pool) -> None:
        await simulated.simulation.wait(lambda: bool(started), None)
        await pool.close()

    simulated.simulation.run(sender(simulated.pool), closer(simulated.pool))
    assert simulated.handler.received == {b"x\r\n" * 30_000: 1}
    assert simulated.simulation.now() == 0  # the server got QUIT at once


def test_a_closed_client_is_not_usable() -> None:
    async def main() -> None:
        runtime = ScriptedRuntime([hello()])
        client: Client = await runtime.pool()._open(None)  # type: ignore[arg-type]
        assert client.usable
        await client.close()
        assert not client.usable

    blocking.run(main())


# -- options -------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["max_messages", "max_idle", "max_age", "max_connections"])
def test_limits_of_zero_are_refused(option: str) -> None:
    with pytest.raises(ValueError, match=option):
        PoolConfig(**{option: 0})


@pytest.mark.parametrize("number", [1.5, float("inf"), "4"], ids=repr)
def test_max_connections_must_be_an_integer(number: Any) -> None:
    with pytest.raises(TypeError, match="max_connections"):
        PoolConfig(max_connections=number)


def test_a_limit_that_is_not_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match="max_idle"):
        PoolConfig(max_idle=float("nan"))
