"""A mail agent on a host of a simulation, whose process may die at any write of its queue."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from attrs import define, field

from ..dns import Resolver
from ..limits import ScheduleLimits
from ..mta.bounce import Reporter
from ..mta.exchangers import Self
from ..mta.judge import Judge
from ..mta.queue import Delivery, Result, State
from ..mta.retry import RetrySchedule
from ..mta.route import Route, Routes
from ..mta.schedule import Schedule
from ..mta.settlement import Settlement
from ..mta.store import Entry, Queued
from ..mta.trace import Tracer
from ..server.config import ServerConfig
from ..transfer.agent import Agent
from ..transfer.intake import Intake, Relaying
from ..transfer.receive import Receiver
from ..transfer.relay import Relay
from .crashing_queue import CrashingQueue
from .mail_host import Record, key_of
from .simulation import CLIENT, SimulatedHost

__all__ = ["ADDRESSES", "MTAQueue", "SimulatedMTA"]

T = TypeVar("T")

_FOR_EVER = float("inf")
ADDRESSES = "198.18.0.0/15"
"""The network of the hosts of an internet: that of RFC 2544."""
_LOOK = 3600.0  # seconds; nobody else changes the queue
_SYNC = 0.02  # seconds that a write takes at most
_OF_CLAIMS = 0.01  # of the crashes; there are many claims for nothing
_RESTART = 600.0  # seconds that a host needs at most to come back after a crash


class MTAQueue(CrashingQueue):
    """The queue of a :class:`SimulatedMTA`. A write takes time, and may be the last one of its
    process. It remembers all messages, with what was in them."""

    crash_at: int | None

    def __init__(
        self, machine: SimulatedHost, doubts: Counter[str], die: Callable[[], None]
    ) -> None:
        super().__init__(machine._scheduler.dice)
        self._remember = _FOR_EVER
        self._machine, self._doubts, self._end_process = machine, doubts, die
        self.keys: dict[str, str] = {}
        """The key of each message, by its id: see :func:`.key_of`."""
        self.contents: dict[str, bytes] = {}
        """By the id of the message."""
        self.confirmed: dict[str, frozenset[str]] = {}
        """The recipients of each message of which its client was, or could be, told that it is in
        the queue, by its id."""
        self.crash_rate: float = 0.0
        """The share of writes at which the process dies."""

    @property
    def entries(self) -> Sequence[Entry]:
        """All that is or was in the queue, whether the process lives or not."""
        return [record.entry for record in self._records.values()]

    @property
    def is_empty(self) -> bool:
        """Whether no delivery is in the queue."""
        return not any(record.deliveries for record in self._records.values())

    def _add(self, messages: Any) -> None:
        messages = [*messages]
        super()._add(messages)
        for queued, content in messages:
            name = queued.message.id
            self.keys[name], self.contents[name] = key_of(content), content

    async def put(self, messages: Sequence[Queued]) -> None:
        await super().put(messages)
        for queued in messages:
            recipients = frozenset(str(it.recipient) for it in queued.deliveries)
            self.confirmed[queued.message.id] = recipients

    async def settle(
        self, settlements: Sequence[Settlement], now: float, new: Sequence[Queued] = ()
    ) -> None:
        unknown = [
            it.delivery
            for it in settlements
            if it.counts and it.attempt is not None and it.attempt.result is Result.UNKNOWN
        ]
        try:
            await super().settle(settlements, now, new)
        finally:  # at a crash, too: what was not written is still leased
            if unknown:
                leased = {(it.message, it.number) for it in self._deliveries(State.LEASED)}
                for delivery in unknown:
                    if (delivery.message, delivery.number) not in leased:
                        self._doubts[self.keys[delivery.message]] += 1

    def doubt_leases(self) -> None:
        """Note that nobody will know what became of the deliveries that are leased."""
        for delivery in self._deliveries(State.LEASED):
            self._doubts[self.keys[delivery.message]] += 1

    async def _write(
        self, operation: Coroutine[Any, Any, T], claimed: Sequence[Delivery] | None = None
    ) -> T:
        try:
            await self._machine.sleep(self._dice.random() * _SYNC)
        except BaseException:  # the end of the process
            operation.close()
            raise
        rate = self.crash_rate if claimed is None else self.crash_rate * _OF_CLAIMS
        if self._dice.random() < rate:
            self.crash_at = self.writes + 1
        result = await super()._write(operation, claimed)
        await self._machine.sleep(self._dice.random() * _SYNC)
        return result

    async def _die(self) -> None:
        self._end_process()
        while True:
            await self._machine.sleep(1e9)


@define(eq=False)
class SimulatedMTA:
    """A server that takes mail for everybody, and an agent that passes it on.

    If its process dies, its host comes back some minutes later, with what the queue has kept.
    """

    name: str
    machine: SimulatedHost
    resolver: Resolver
    routes: Mapping[str, Route]
    record: Record
    schedule: RetrySchedule = field(factory=RetrySchedule)
    limits: ScheduleLimits = field(factory=ScheduleLimits)
    max_hops: int = 20
    """The Received fields of a message that is not in a loop."""
    queue: MTAQueue = field(init=False)
    _agent: Agent | None = field(default=None, init=False)  # None while the host is down
    _stopping: bool = field(default=False, init=False)
    _is_down: bool = field(default=True, init=False)

    def __attrs_post_init__(self) -> None:
        self.queue = MTAQueue(self.machine, self.record.doubts, self.crash)

    # -- the process -------------------------------------------------------------------------

    def start(self) -> None:
        """Start the process."""
        self._is_down = False
        self.machine.start(self._run())

    async def _run(self) -> None:
        await self.queue.open(self.machine)
        itself = Self(names=[self.name], addresses=[self.machine.address])
        routes = Routes(self.routes)
        self._agent = Agent(
            self.machine,
            self.queue,
            routes,
            Relay(self.machine, self.resolver, itself, self.name),
            Reporter(hostname=self.name, schedule=self.schedule),
            Judge(self.schedule),
            Schedule(self.limits),
            look=_LOOK,
        )
        intake = Intake(
            runtime=self.machine,
            store=self.queue,
            routes=routes,
            tracer=Tracer(hostname=self.name),
            relaying=Relaying(relay_from=[CLIENT, ADDRESSES]),
            schedule=self.schedule,
            max_hops=self.max_hops,
            wake=self._agent.wake,
        )
        self.machine.listen(25, Receiver(intake), _config(self.name))
        await self._agent.run()

    def stop(self) -> None:
        """Stop the agent; its jobs come to their end."""
        self._stopping = True
        if self._agent is not None:
            self._agent.stop()

    def crash(self) -> None:
        """End the process at once. The host comes back after a while."""
        if self._is_down:
            return
        self._is_down = True
        self.record.crashes[self.name] += 1
        self.queue.doubt_leases()
        self._agent = None
        self.machine.crash(self._restart)

    def _restart(self) -> None:
        seconds = self.machine._scheduler.dice.random() * _RESTART

        async def restart() -> None:
            await self.machine.sleep(seconds)
            if not self._stopping:
                self.start()

        self.queue._turn = None
        self.machine._scheduler.start(restart())


def _config(name: str) -> ServerConfig:
    """Return the options of the server, which offers what its agent can do."""
    return ServerConfig(hostname=name, extensions={"DSN": ""})
