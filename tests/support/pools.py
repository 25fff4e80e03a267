"""Pools against a simulated server, or against one script for each connection."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, Unpack

from attrs import define, field

from smtpproto import (
    ClientConfig,
    Envelope,
    ForwardPath,
    Handler,
    MailParameters,
    RcptParameters,
    Reply,
    ReversePath,
    ServerConfig,
    Session,
)
from smtpproto.adapters import blocking
from smtpproto.client.connection import Client, open_client
from smtpproto.client.deadline import Deadline
from smtpproto.client.pool import Pool, PoolConfig, PoolOptions, make_pool
from smtpproto.testing.script import ScriptedStream
from smtpproto.testing.simulation import Simulation
from tests.support.envelopes import TO_BOB

NO_LINK: Any = SimpleNamespace(deadline=Deadline(lambda: 0.0, None))
"""The link of a fake client for a pool."""

CLOSING = Reply(421, "4.3.2", "Service closing")


@define(eq=False)
class CountingServer(Handler):
    """Counts connections and messages. Replies 421 to the MAIL commands for which *closes* is
    true; it is called with the number of the command."""

    closes: Callable[[int], bool] = lambda number: False
    received: Counter[bytes] = field(factory=Counter)
    mails: int = 0
    open: int = 0
    most: int = 0
    connections: int = 0

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
class SimulatedPool:
    """A simulated server, and a pool that sends to it."""

    seed: int = 1
    handler: CountingServer = field(factory=CountingServer)
    cut_at: int | None = None
    server: dict[str, Any] = field(factory=dict)
    pool_options: dict[str, Any] = field(factory=dict)
    client: ClientConfig = field(factory=ClientConfig)
    simulation: Simulation = field(init=False)
    pool: Pool = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.simulation = Simulation(self.seed, cut_at=self.cut_at)
        self.simulation.listen(25, self.handler, ServerConfig(**self.server))
        total = self.client.timeouts.total
        self.pool = Pool(self.simulation, self._open, PoolConfig(**self.pool_options), total)

    async def _open(self, deadline: Deadline) -> Client:
        return await open_client(self.simulation, "mx.example", 25, self.client, deadline)

    def run(self, *tasks: Callable[[Pool], Awaitable[Any]]) -> None:
        """Run *tasks* at the same time, and close the pool when all have ended."""
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


@define(eq=False)
class ScriptedRuntime(blocking.Runtime):
    """A runtime whose connections follow *scripts*, one script each."""

    scripts: list[str]
    streams: list[ScriptedStream] = field(factory=list)

    async def dial(self, *_: object) -> Any:
        self.streams.append(ScriptedStream(self.scripts.pop(0)))
        return self.streams[-1]

    def pool(self, **options: Unpack[PoolOptions]) -> Pool:
        """Return a pool on this runtime, without TLS."""
        return make_pool(self, "mx", 25, {"tls": "none", **options})

    def finish(self) -> None:
        """Check that every script was played to its end."""
        assert not self.scripts
        for stream in self.streams:
            stream.finish()


def body(number: int) -> bytes:
    """Return the content of the message with this number."""
    return b"message %d\r\n" % number


async def send(pool: Pool, number: int) -> None:
    """Send the message with this number to Bob, who must get it."""
    outcome = await pool.send(body(number), TO_BOB)
    assert outcome.accepted
