"""A queue in memory, which nothing survives: for tests, and for programs that may lose mail."""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from itertools import count, islice
from operator import attrgetter
from typing import Any

from attrs import define, evolve, field

from ..errors import QueueFailed, QueueFull
from ..ports import Runtime, Semaphore
from .destination_stats import DestinationStats
from .queue import Delivery, Message, State
from .settlement import Done, Ended, Fate, Settlement, check_reason
from .store import (
    MAX_PREPENDED,
    Body,
    Claim,
    Entry,
    PassOver,
    Queued,
    QueueStats,
    Selection,
    check_queued,
    check_settlements,
    stats_by_domain,
    take_all,
)

__all__ = ["MemoryQueue"]

_DAY = 86400

Place = tuple[str, int]  # the id of the message, and the number of the delivery


class MemoryQueue:
    """A :class:`.QueueStore` that keeps everything in memory.

    *capacity* bounds the octets of contents; a message beyond it raises :class:`.QueueFull`.
    Messages that have left the queue are remembered for *remember* seconds. After ``close`` and
    ``open`` the queue is still there, without leases, as after a restart of a durable store.
    """

    def __init__(self, *, capacity: int = 256 * 1024 * 1024, remember: float = 7 * _DAY) -> None:
        self._capacity, self._remember = capacity, remember
        self._octets = 0
        self._records: dict[str, _Record] = {}
        self._left: deque[tuple[float, str]] = deque()  # messages that have left, and when
        self._waiting = _Waiting()
        self._order = count()
        self._turn: _Turn | None = None
        self._known: Mapping[str, DestinationStats] = {}

    async def open(self, runtime: Runtime) -> None:
        """Open the store. All leases are void."""
        self._turn = _Turn(runtime.semaphore(1))
        async with self._turn:
            for delivery in [*self._deliveries(State.LEASED)]:
                self._replace(evolve(delivery, state=State.WAITING))

    async def close(self) -> None:
        """Close the store; its messages stay."""
        self._turn, self._known = None, {}

    def watch(self, changed: Callable[[], object]) -> None:
        """Do nothing: no other process can change this queue."""

    def share(self, limit: int, what: str) -> int:
        """Return *limit*: no other process works on the queue."""
        return limit

    async def post(self, known: Mapping[str, DestinationStats], now: float) -> None:
        """Let others see what is *known* of destinations."""
        async with self._locked():
            self._known = known

    def body(self) -> Body:
        """Return a new, empty content."""
        return MemoryBody(self._capacity)

    async def put(self, messages: Sequence[Queued]) -> None:
        """Add *messages*, all or none. Raises QueueFull and ValueError."""
        async with self._locked():
            self._add(self._checked(messages))

    async def claim(
        self,
        now: float,
        limit: int,
        due: Callable[[Delivery], float],
        *,
        pass_over: PassOver = take_all,
    ) -> Sequence[Claim]:
        """Lease deliveries that are due *now*: see :meth:`.QueueStore.claim`."""
        async with self._locked():
            taken = [*map(self._at, self._waiting.take(now, limit, pass_over))]
            try:
                leased = [delivery.leased(due(delivery)) for delivery in taken]
            except BaseException:
                for delivery in taken:
                    self._replace(delivery)
                raise
            by_message: dict[str, list[Delivery]] = {}
            for delivery in leased:
                self._replace(delivery)
                by_message.setdefault(delivery.message, []).append(delivery)
            return [
                Claim(
                    message=self._records[name].message,
                    deliveries=tuple(sorted(deliveries, key=attrgetter("number"))),
                )
                for name, deliveries in by_message.items()
            ]

    async def settle(
        self, settlements: Sequence[Settlement], now: float, new: Sequence[Queued] = ()
    ) -> None:
        """Write what became of claimed deliveries: see :meth:`.QueueStore.settle`."""
        async with self._locked():
            check_settlements(settlements)
            for settlement in settlements:
                self._check_leased(settlement.delivery)
            added = self._checked(new)
            for settlement in settlements:
                after, decision = settlement.delivery_after, settlement.decision
                if isinstance(decision, Done):
                    self._end(after, decision.fate, now)
                else:
                    self._replace(after)
            self._add(added)
            self._forget(now)

    async def content(self, message: Message) -> bytes:
        """Return the content of *message*. Raises QueueFailed if it is not in the queue."""
        async with self._locked():
            record = self._records.get(message.id)
            if record is None or not record.deliveries:
                raise QueueFailed(f"message {message.id} is not in the queue")
            return record.content

    async def next_due(self, *, pass_over: PassOver = take_all) -> float | None:
        """Return when the next delivery that waits is due: see :meth:`.QueueStore.next_due`."""
        async with self._locked():
            return self._waiting.next_due(pass_over)

    async def find(self, selection: Selection, limit: int = 100) -> Sequence[Entry]:
        """Return messages that *selection* selects: see :meth:`.QueueStore.find`."""
        async with self._locked():
            found = (it for it in self._records.values() if it.is_selected(selection))
            return [it.entry for it in islice(found, limit)]

    async def hold(self, selection: Selection, reason: str) -> int:
        """Hold the waiting deliveries of *selection*; return how many."""
        check_reason(reason)
        return await self._change(selection, State.WAITING, state=State.HELD, reason=reason)

    async def release(self, selection: Selection, now: float) -> int:
        """Let held deliveries wait again, due *now*; return how many."""
        return await self._change(selection, State.HELD, now, state=State.WAITING, reason="")

    async def retry(self, selection: Selection, now: float) -> int:
        """Make waiting deliveries due *now*; return how many."""
        return await self._change(selection, State.WAITING, now)

    async def drop(self, selection: Selection, now: float) -> int:
        """Take deliveries that wait or are held out of the queue; return how many."""
        async with self._locked():
            dropped = [
                it
                for state in (State.WAITING, State.HELD)
                for it in self._deliveries(state, selection)
            ]
            for delivery in dropped:
                self._end(delivery, Fate.DROPPED, now)
            self._forget(now)
            return len(dropped)

    async def stats(self) -> QueueStats:
        """Return how much is in the queue."""
        async with self._locked():
            queued = [it for it in self._records.values() if it.deliveries]
            deliveries = [
                (record.message, record.deliveries[number])
                for record in queued
                for number in sorted(record.deliveries)
            ]
            return QueueStats(
                messages=len(queued),
                octets=self._octets,
                deliveries=Counter(it.state for _, it in deliveries),
                domains=stats_by_domain(deliveries),
                oldest=min((it.message.arrived for it in queued), default=None),
                destinations=self._known,
            )

    # -- the parts, which are called with the turn -------------------------------------------

    def _locked(self) -> _Turn:
        if self._turn is None:
            raise QueueFailed("the queue is not open", check="that open() was called first")
        return self._turn

    def _at(self, place: Place) -> Delivery:
        return self._records[place[0]].deliveries[place[1]]

    def _deliveries(self, state: State, selection: Selection | None = None) -> Iterator[Delivery]:
        for record in self._records.values():
            for delivery in record.deliveries.values():
                if delivery.state is state and (
                    selection is None or selection.matches(record.message, delivery)
                ):
                    yield delivery

    async def _change(
        self, selection: Selection, among: State, due: float | None = None, **changes: Any
    ) -> int:
        """Change deliveries of *selection* that are in the state *among*. They are *due* then, if
        it is given, but not before their message allows it."""
        async with self._locked():
            selected = [*self._deliveries(among, selection)]
            for it in selected:
                earliest = self._records[it.message].message.not_before
                at = it.due if due is None else max(due, earliest)
                self._replace(evolve(it, due=at, **changes))
            return len(selected)

    def _replace(self, delivery: Delivery) -> None:
        record = self._records[delivery.message]
        record.deliveries[delivery.number] = delivery
        if delivery.state is State.WAITING:
            self._waiting.add(delivery, record)
        else:
            self._waiting.remove(delivery)

    def _check_leased(self, delivery: Delivery) -> None:
        record = self._records.get(delivery.message)
        known = None if record is None else record.deliveries.get(delivery.number)
        if known is None or known.state is not State.LEASED:
            raise ValueError(f"delivery {delivery.number} of {delivery.message} is not leased")

    def _checked(self, messages: Sequence[Queued]) -> list[tuple[Queued, bytes]]:
        """Return *messages*, each with its content, if they may enter the queue."""
        for queued in messages:
            check_queued(queued)
        names = [queued.message.id for queued in messages]
        if len(set(names)) < len(names) or not self._records.keys().isdisjoint(names):
            raise ValueError("a message with this id is in the queue already")
        size = sum(queued.message.size for queued in messages)
        if self._octets + size > self._capacity:
            raise _full(self._capacity)
        return [(queued, _octets(queued.content)) for queued in messages]

    def _add(self, messages: Iterable[tuple[Queued, bytes]]) -> None:
        for queued, content in messages:
            record = _Record(next(self._order), queued.message, content)
            self._records[queued.message.id] = record
            self._octets += len(content)
            for delivery in queued.deliveries:
                self._replace(delivery)

    def _end(self, delivery: Delivery, fate: Fate, now: float) -> None:
        record = self._records[delivery.message]
        del record.deliveries[delivery.number]
        self._waiting.remove(delivery)
        record.ended.append(Ended(delivery=delivery, fate=fate, at=now))
        if not record.deliveries:
            self._octets -= len(record.content)
            record.content = b""
            self._left.append((now, delivery.message))

    def _forget(self, now: float) -> None:
        while self._left and self._left[0][0] + self._remember < now:
            del self._records[self._left.popleft()[1]]


def _full(capacity: int) -> QueueFull:
    return QueueFull(f"the queue has no room: its contents may have {capacity} octets in all")


@define(eq=False)
class _Turn:
    """Lets one task or thread after the other use the queue."""

    _semaphore: Semaphore

    async def __aenter__(self) -> None:
        await self._semaphore.acquire()

    async def __aexit__(self, *_: object) -> None:
        self._semaphore.release()


@define(eq=False)
class _Record:
    """A message that is in the queue, or is remembered."""

    order: int
    message: Message
    content: bytes
    deliveries: dict[int, Delivery] = field(factory=dict)
    ended: list[Ended] = field(factory=list)

    @property
    def entry(self) -> Entry:
        return Entry(
            message=self.message,
            deliveries=tuple(self.deliveries.values()),
            ended=tuple(sorted(self.ended, key=lambda it: it.delivery.number)),
        )

    def is_selected(self, selection: Selection) -> bool:
        among = [*self.deliveries.values()]
        if selection.id is not None and selection.state is None:
            among += [it.delivery for it in self.ended]
        return any(selection.matches(self.message, delivery) for delivery in among)


class MemoryBody:
    """Implements :class:`.Body`."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._pieces: list[bytes] = []
        self._room = MAX_PREPENDED  # octets that may be put before the content
        self._discarded = False
        self.size: int = 0

    async def write(self, data: bytes) -> None:
        """Add octets. Raises QueueFull if they alone are more than the queue may have."""
        self._insert(len(self._pieces), data)

    async def prepend(self, data: bytes) -> None:
        """Add octets before all others. Raises as :meth:`write` does, and ValueError for more than
        64 KiB in all."""
        self._room -= len(data)
        if self._room < 0:
            raise ValueError("more than 64 KiB cannot be put before a content")
        self._insert(0, data)

    def _insert(self, index: int, data: bytes) -> None:
        if self.size + len(data) > self._capacity:
            raise _full(self._capacity)
        self._pieces.insert(index, bytes(data))
        self.size += len(data)

    async def slices(self) -> AsyncGenerator[bytes, None]:
        """Return the octets written so far."""
        for piece in tuple(self._pieces):
            yield piece

    async def discard(self) -> None:
        """Give up the content."""
        self._discarded = True
        self._pieces.clear()

    def octets(self) -> bytes:
        """Return all that was written. Raises ValueError if it was discarded."""
        if self._discarded:
            raise ValueError("this content was discarded")
        return b"".join(self._pieces)


def _octets(content: bytes | Body) -> bytes:
    if isinstance(content, bytes):
        return content
    if not isinstance(content, MemoryBody):
        raise TypeError("the content must be octets, or the body() of this queue")
    return content.octets()


# -- what waits ------------------------------------------------------------------------------

_Waits = tuple[float, int, int, Place]  # due, order of the message, number, place


class _Waiting:
    """The deliveries that wait, in a heap for each priority and lane.

    A claim costs as much as there are lanes, whatever waits in each. An entry of a heap is out of
    date if its delivery does not wait any more, or for another time; it is dropped when it comes
    up.
    """

    def __init__(self) -> None:
        self._heaps: dict[int, dict[tuple[str, str], list[_Waits]]] = {}  # by -priority, then lane
        self._due: dict[Place, float] = {}  # of each delivery that waits

    def add(self, delivery: Delivery, record: _Record) -> None:
        """Add *delivery*, or change when it is due."""
        place = delivery.message, delivery.number
        if self._due.get(place) == delivery.due:
            return
        self._due[place] = delivery.due
        priority, origin = record.message.parameters.mt_priority or 0, record.message.origin
        heap = self._heaps.setdefault(-priority, {}).setdefault((delivery.domain, origin), [])
        heapq.heappush(heap, (delivery.due, record.order, delivery.number, place))

    def remove(self, delivery: Delivery) -> None:
        """Remove *delivery* if it waits."""
        self._due.pop((delivery.message, delivery.number), None)

    def take(self, now: float, limit: int, pass_over: PassOver) -> list[Place]:
        """Remove and return the deliveries to lease: see :meth:`.QueueStore.claim`."""
        taken: list[Place] = []
        for priority in sorted(self._heaps):
            heads = [(0, heap[0], heap) for heap in self._lanes(priority, pass_over)]
            heads = [it for it in heads if it[1][0] <= now]
            heapq.heapify(heads)
            while heads and len(taken) < limit:
                turn, (*_, place), heap = heapq.heappop(heads)
                heapq.heappop(heap)
                del self._due[place]
                taken.append(place)
                if self._clean(heap) and heap[0][0] <= now:
                    heapq.heappush(heads, (turn + 1, heap[0], heap))
        return taken

    def next_due(self, pass_over: PassOver) -> float | None:
        """Return when the next delivery is due, except those in *pass_over*."""
        heaps = (heap for priority in [*self._heaps] for heap in self._lanes(priority, pass_over))
        return min((heap[0][0] for heap in heaps), default=None)

    def _lanes(self, priority: int, pass_over: PassOver) -> Iterator[list[_Waits]]:
        """Yield the heap of each lane. Remove those that are empty."""
        lanes = self._heaps[priority]
        for lane, heap in [*lanes.items()]:
            if not self._clean(heap):
                del lanes[lane]
            elif not pass_over(*lane):
                yield heap

    def _clean(self, heap: list[_Waits]) -> list[_Waits]:
        """Drop entries of *heap* that come first and are out of date; return *heap*."""
        while heap and self._due.get(heap[0][3]) != heap[0][0]:
            heapq.heappop(heap)
        return heap
