"""An agent in a simulated network, with a queue in memory, for tests."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from attrs import define, field

from smtpproto import ForwardPath, MailParameters, RcptParameters, ReversePath
from smtpproto.dns import MX, Kind
from smtpproto.limits import ScheduleLimits
from smtpproto.mta.bounce import Reporter
from smtpproto.mta.judge import Judge
from smtpproto.mta.memory_store import MemoryQueue
from smtpproto.mta.queue import Delivery, Message
from smtpproto.mta.retry import RetrySchedule
from smtpproto.mta.route import Routes
from smtpproto.mta.schedule import Schedule
from smtpproto.mta.settlement import Ended
from smtpproto.mta.store import Entry, Queued, QueueStore, Selection
from smtpproto.testing.simulation import EPOCH
from smtpproto.transfer.agent import Agent
from tests.support.hosts import Host
from tests.transfer.relaying import CONTENT, ROUTE, Network

ANN = "ann@example.org"
EVERYTHING = Selection()


@define(eq=False)
class Working:
    """The hosts of :class:`.Network`, one for the domain of senders, and an agent."""

    network: Network = field(factory=Network)
    routes: Routes = field(factory=lambda: Routes({"*": ROUTE}))
    store: QueueStore = field(factory=MemoryQueue)
    limits: ScheduleLimits = field(factory=ScheduleLimits)
    retry: RetrySchedule = field(factory=lambda: RetrySchedule(jitter=0))
    look: float = 60.0
    home: Host = field(factory=Host)
    agent: Agent = field(init=False)
    _number: int = field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        simulation, zone = self.network.simulation, self.network.zone
        zone.records["example.org"] = {Kind.MX: [MX(0, "mx.example.org")]}
        zone.records["mx.example.org"] = {Kind.A: ["192.0.2.100"]}
        simulation.serve("192.0.2.100", self.home)
        self.agent = Agent(
            simulation,
            self.store,
            self.routes,
            self.network.relay,
            Reporter(hostname="mx.us.test", schedule=self.retry),
            Judge(self.retry),
            Schedule(self.limits),
            look=self.look,
        )

    def queued(
        self,
        *recipients: str,
        sender: str | None = ANN,
        mail: MailParameters | None = None,
        rcpt: RcptParameters | None = None,
        **facts: Any,
    ) -> Queued:
        """Return a message that arrives now."""
        self._number += 1
        name, now = f"m{self._number}", self.network.simulation.utc()
        reverse = ReversePath.of(sender)
        mail = mail or MailParameters()
        expires = self.retry.expires(reverse, mail, now)
        values: dict[str, Any] = {"parameters": mail, "arrived": now, "expires": expires}
        return Queued(
            message=Message(id=name, sender=reverse, size=len(CONTENT), **values | facts),
            deliveries=tuple(
                Delivery(
                    message=name,
                    number=number,
                    recipient=ForwardPath.of(to),
                    parameters=rcpt or RcptParameters(),
                    due=now,
                )
                for number, to in enumerate(recipients or ("bob@example.net",))
            ),
            content=CONTENT,
        )

    def run(self, scenario: Callable[[], Awaitable[Any]]) -> Any:
        """Run *scenario* while the agent works; return what it returns, when the agent has ended.

        The store is opened before."""

        async def script() -> Any:
            try:
                return await scenario()
            finally:
                self.agent.stop()

        async def both() -> Any:
            await self.store.open(self.network.simulation)
            async with self.network.simulation.tasks() as tasks:
                tasks.start(self.agent.run())
                return await script()

        return self.network.simulation.run(both())[0]

    def deliver(self, *messages: Queued, hours: float = 1.0) -> list[Entry]:
        """Put *messages*, wait, and return what the queue knows of everything."""

        async def scenario() -> list[Entry]:
            await self.store.put(messages)
            self.agent.wake()
            await self.network.simulation.sleep(hours * 3600)
            return await self.entries()

        entries: list[Entry] = self.run(scenario)
        return entries

    async def entries(self) -> list[Entry]:
        """Return all that the queue knows, also of messages that have left it."""
        found = await self.store.find(Selection(id=""), 10_000)
        return [*found]

    def ended(self, entries: list[Entry]) -> list[Ended]:
        """Return the deliveries that came to their end, but for those of reports."""
        return [it for entry in entries if entry.message.id.startswith("m") for it in entry.ended]

    @property
    def reports(self) -> list[bytes]:
        """The reports that the host of the sender has got."""
        return [body for envelope, body in self.home.received if not str(envelope.sender)]

    def at(self, time: float) -> float:
        """Return *time* in seconds since the start of the simulation."""
        return time - EPOCH
