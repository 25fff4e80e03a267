"""How long a pool takes: Timeouts.total, and QUIT to a peer that is gone."""

from __future__ import annotations

import pytest
from attrs import define, field

from smtpproto import (
    ClientConfig,
    MailParameters,
    Reply,
    ReversePath,
    ServerConfig,
    Session,
    TimedOut,
    Timeouts,
)
from smtpproto.client.pool import Pool, PoolOptions, make_pool
from smtpproto.testing.simulation import Simulation
from smtpproto.wire.stream_wrapper import StreamWrapper
from tests.support.pools import (
    CountingServer,
    SimulatedPool,
    body,
    send,
)


@define(eq=False)
class SlowServer(CountingServer):
    """Takes one second for each connection, and *mail_seconds* for each MAIL."""

    simulation: Simulation = field(kw_only=True)
    mail_seconds: float = 0.0

    async def connect(self, session: Session) -> None:  # type: ignore[override]
        super().connect(session)
        await self.simulation.sleep(1)

    async def mail(  # type: ignore[override]
        self, session: Session, sender: ReversePath, parameters: MailParameters
    ) -> Reply | None:
        await self.simulation.sleep(self.mail_seconds)
        return super().mail(session, sender, parameters)


def slow_pool() -> tuple[SimulatedPool, SlowServer]:
    """Return a pool with 1.5 seconds for each message, and its server."""
    simulated = SimulatedPool(client=ClientConfig(timeouts=Timeouts(total=1.5)))
    simulated.handler = SlowServer(simulation=simulated.simulation)
    simulated.simulation.listen(25, simulated.handler, ServerConfig())
    return simulated, simulated.handler


def test_timeouts_total_covers_opening_and_message_together() -> None:
    simulated, server = slow_pool()
    server.mail_seconds = 1

    async def task(pool: Pool) -> None:
        with pytest.raises(TimedOut, match="the whole operation"):
            await send(pool, 0)
        assert simulated.simulation.now() == pytest.approx(1.5)

    simulated.run(task)


def test_a_message_that_ran_out_of_time_is_not_sent_again() -> None:
    simulated, server = slow_pool()

    async def task(pool: Pool) -> None:
        await send(pool, 0)
        server.mail_seconds, before = 10, simulated.simulation.now()
        with pytest.raises(TimedOut, match="the whole operation"):
            await send(pool, 1)
        assert simulated.simulation.now() - before == pytest.approx(1.5)

    simulated.run(task)
    assert server.connections == 1
    assert body(1) not in server.received


class DeafStream(StreamWrapper):
    """A stream that drops what is written, and does not close."""

    async def write(self, data: bytes, timeout: float | None) -> None: ...

    async def close(self) -> None: ...


def test_quit_to_a_peer_that_is_gone_takes_one_second_at_most() -> None:
    """The next message waits that long for each of the connections that it retires."""
    simulation, server = Simulation(1), CountingServer()
    simulation.listen(25, server, ServerConfig())
    pool = make_pool(simulation, "mx.example", 25, PoolOptions(tls="none", max_idle=60))
    ready = 0

    async def one(number: int) -> None:
        nonlocal ready
        await send(pool, number)
        ready += 1

    async def later() -> None:
        while ready < 4:
            await simulation.checkpoint()
        deaf = list(simulation.conversations)
        for conversation in deaf:
            conversation._stream = DeafStream(conversation._stream)
        await simulation.sleep(61)
        before = simulation.now()
        await send(pool, 4)
        assert 0 < simulation.now() - before <= len(deaf)
        await pool.close()

    simulation.run(*(one(number) for number in range(4)), later())
    assert server.received.total() == 5
