"""A mail agent's server in the simulation: what it accepts is in a queue in memory."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any, TypeVar

from attrs import define, evolve, field

from smtpproto import Client, ClientConfig, Envelope, Outcome, ServerConfig
from smtpproto.client import open_client
from smtpproto.mta.memory_store import MemoryQueue
from smtpproto.mta.retry import RetrySchedule
from smtpproto.mta.route import Direct, Local, Route, Routes
from smtpproto.mta.store import Entry, QueueStore, Selection
from smtpproto.mta.trace import Tracer
from smtpproto.testing import Simulation
from smtpproto.transfer.expansion import Recipients
from smtpproto.transfer.intake import Intake
from smtpproto.transfer.receive import Receiver
from smtpproto.transfer.relaying import Relaying

T = TypeVar("T")
ANN, BOB = "ann@example.com", "bob@example.org"
ROUTES: Mapping[str, Route] = {"example.org": Local(bool), "*": Direct()}
INSIDE = ["192.0.2.0/24"]  # networks that may relay, with the address of the client
MESSAGE = b"Subject: hello\r\n\r\nhello\r\n"


@define(slots=False)
class Site:
    """A server on port 25 with its queue."""

    relay_from: Iterable[str] = ()
    relay_for: Iterable[str] = ()
    routes: Mapping[str, Route] = ROUTES
    by_sender: Mapping[str, Route] = field(factory=dict)
    receiver: Callable[[Intake], Receiver] = Receiver
    store: QueueStore = field(factory=MemoryQueue)
    options: dict[str, Any] = field(factory=dict)
    client: dict[str, Any] = field(factory=dict)
    facts: dict[str, Any] = field(factory=dict)
    simulation: Simulation = field(factory=lambda: Simulation(1))
    woken: int = 0

    def __attrs_post_init__(self) -> None:
        tracer = Tracer(hostname="mx.example.org")
        relaying = Relaying(relay_from=self.relay_from, relay_for=self.relay_for)
        facts = {**self.facts}
        about = {it: facts.pop(it) for it in ("postmaster", "aliases", "srs") if it in facts}
        recipients = Recipients(
            runtime=self.simulation,
            hostname=tracer.hostname,
            routes=Routes(self.routes, self.by_sender),
            relay_for=relaying.relay_for,
            **about,
        )
        self.intake = Intake(
            runtime=self.simulation,
            store=self.store,
            tracer=tracer,
            recipients=recipients,
            relaying=relaying,
            schedule=RetrySchedule(),
            wake=self._wake,
        )
        self.intake = evolve(self.intake, **facts)
        config = ServerConfig(hostname="mx.example.org", **self.options)
        self.simulation.listen(25, self.receiver(self.intake), config)

    def _wake(self) -> None:
        self.woken += 1

    def run(self, scenario: Callable[[Client], Coroutine[Any, Any, T]]) -> T:
        """Run *scenario* with a client that is connected to the server."""

        async def main() -> T:
            await self.store.open(self.simulation)
            config = ClientConfig(hello="client.example", **self.client)
            async with await open_client(self.simulation, "mx.example.org", 25, config) as client:
                return await scenario(client)

        [result] = self.simulation.run(main())
        returned: T = result
        return returned

    def send(self, envelope: Envelope, message: bytes = MESSAGE) -> Outcome:
        """Send *message* to the server."""

        async def scenario(client: Client) -> Outcome:
            return await client.send(message, envelope)

        return self.run(scenario)

    def queued(self) -> list[tuple[Entry, bytes]]:
        """Return all that is in the queue, with its content."""

        async def main() -> list[tuple[Entry, bytes]]:
            entries = await self.store.find(Selection())
            return [(it, await self._content(it)) for it in entries]

        [found] = self.simulation.run(main())
        returned: list[tuple[Entry, bytes]] = found
        return returned

    async def _content(self, entry: Entry) -> bytes:
        source: Any = await self.store.content(entry.message)
        return source if isinstance(source, bytes) else b"".join(source)
