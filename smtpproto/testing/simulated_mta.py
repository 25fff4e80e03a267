"""A mail agent on a host of a simulation, whose process may die at any write of its queue."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from attrs import define, field

from ..dns import Resolver
from ..dns_cache import CachingResolver
from ..mta.queue import Delivery, Result, State
from ..mta.settlement import Settlement
from ..mta.store import Entry, PassOver, Queued, take_all
from ..server.config import ServerConfig
from ..transfer.assembly import MTAConfig, RunningMTA, assemble
from ..transfer.intake import Intake
from ..transfer.receive import Receiver
from .crashing_queue import CrashingQueue
from .mail_host import Record, key_of
from .simulation import SimulatedHost

__all__ = ["MTAQueue", "SimulatedMTA"]

T = TypeVar("T")

_FOR_EVER = float("inf")
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
        try:
            await super().settle(settlements, now, new)
        finally:  # at a crash, too, after which it may be written or not
            for it in settlements:
                is_unknown = it.attempt is not None and it.attempt.result is Result.UNKNOWN
                if it.counts and is_unknown and self._is_written(it):
                    self._doubts[self.keys[it.delivery.message]] += 1

    async def next_due(self, *, pass_over: PassOver = take_all) -> float | None:
        """Like a database, tell what was true a moment ago."""
        due = await super().next_due(pass_over=pass_over)
        await self._machine.sleep(self._dice.random() * _SYNC)
        return due

    def _is_written(self, it: Settlement) -> bool:
        """Return whether *it* is in the queue, whose delivery may be claimed again already."""
        known = self._records[it.delivery.message].deliveries.get(it.delivery.number)
        return known is None or it.attempt in known.log

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
    """An MTA on a host, with a server at port 25.

    If its process dies, its host comes back some minutes later, with what the queue has kept.
    """

    machine: SimulatedHost
    config: MTAConfig
    resolver: Resolver
    record: Record
    receiver: Callable[[Intake], Receiver] = Receiver
    """Makes the handler of a connection."""
    server: ServerConfig = field(default=ServerConfig())
    queue: MTAQueue = field(init=False)
    _mail: RunningMTA | None = field(default=None, init=False)  # None while the host is down
    _stopping: bool = field(default=False, init=False)
    _is_down: bool = field(default=True, init=False)

    def __attrs_post_init__(self) -> None:
        self.queue = MTAQueue(self.machine, self.record.doubts, self.crash)

    @property
    def name(self) -> str:
        """The name of the host."""
        return str(self.config.hostname)

    def start(self) -> None:
        """Start the process."""
        self._is_down = False
        self.machine.start(self._run())

    async def _run(self) -> None:
        await self.queue.open(self.machine)
        resolver = CachingResolver(self.resolver, self.machine)
        mail = assemble(self.machine, self.config, self.queue, resolver, look=_FOR_EVER)
        self._mail = mail
        self.machine.listen(25, lambda: mail.receiver(self.receiver), self.server)
        self.machine.start(mail.reports.run(mail.send_report))
        self.machine.start(mail.guarding.run())
        await mail.agent.run()
        mail.reports.stop()
        mail.guarding.stop()

    def stop(self) -> None:
        """Stop the agent; its jobs come to their end."""
        self._stopping = True
        if self._mail is not None:
            self._mail.agent.stop()

    def crash(self) -> None:
        """End the process at once. The host comes back after a while."""
        if self._is_down:
            return
        self._is_down = True
        self.record.crashes[self.name] += 1
        self.queue.doubt_leases()
        self._mail = None
        self.machine.crash(self._restart)

    def _restart(self) -> None:
        seconds = self.machine._scheduler.dice.random() * _RESTART

        async def restart() -> None:
            await self.machine.sleep(seconds)
            if not self._stopping:
                self.start()

        self.queue._turn = None
        self.machine._scheduler.start(restart())
