"""A queue so simple that it is right: what the stores are compared with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from attrs import define, evolve, field

from ..mta.queue import Delivery, Message, State
from ..mta.settlement import Done, Ended, Fate, Settlement
from ..mta.store import (
    Claim,
    Entry,
    PassOver,
    Queued,
    QueueStats,
    Selection,
    stats_by_domain,
    take_all,
)


@define(eq=False)
class Record:
    """A message, with all of its deliveries in their order."""

    message: Message
    content: bytes
    deliveries: list[Delivery]
    ended: list[Ended] = field(factory=list)


class QueueModel:
    """Does what :class:`.QueueStore` says, slowly: each method looks at every delivery."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def put(self, messages: Sequence[Queued]) -> None:
        """Add *messages*, whose contents must be octets."""
        for queued in messages:
            assert isinstance(queued.content, bytes)
            self.records.append(Record(queued.message, queued.content, [*queued.deliveries]))

    def claim(
        self,
        now: float,
        limit: int,
        due: Callable[[Delivery], float],
        pass_over: PassOver = take_all,
    ) -> list[Claim]:
        """Lease deliveries."""
        lanes: dict[tuple[int, str, str], list[tuple[float, int, int, Delivery]]] = {}
        for place, record in enumerate(self.records):
            message = record.message
            for it in record.deliveries:
                wanted = not pass_over(it.domain, message.origin)
                if it.state is State.WAITING and it.due <= now and wanted:
                    lane = -(message.parameters.mt_priority or 0), it.domain, message.origin
                    lanes.setdefault(lane, []).append((it.due, place, it.number, it))
        in_turn = [
            (priority, turn, *entry[:3], entry[3])
            for (priority, _, _), lane in lanes.items()
            for turn, entry in enumerate(sorted(lane, key=lambda it: it[:3]))
        ]
        leased: dict[int, list[Delivery]] = {}
        for _, _, _, place, _, delivery in sorted(in_turn, key=lambda it: it[:5])[:limit]:
            attempts = delivery.attempts + 1
            after = evolve(delivery, state=State.LEASED, attempts=attempts, due=due(delivery))
            self._replace(after)
            leased.setdefault(place, []).append(after)
        return [
            Claim(
                message=self.records[place].message,
                deliveries=tuple(sorted(deliveries, key=lambda it: it.number)),
            )
            for place, deliveries in leased.items()
        ]

    def settle(
        self, settlements: Sequence[Settlement], now: float, new: Sequence[Queued] = ()
    ) -> None:
        """Write what became of claimed deliveries."""
        for settlement in settlements:
            if isinstance(settlement.decision, Done):
                self._end(settlement.delivery_after, settlement.decision.fate, now)
            else:
                self._replace(settlement.delivery_after)
        self.put(new)

    def reopen(self) -> None:
        """Void all leases."""
        for record in self.records:
            for delivery in [*record.deliveries]:
                if delivery.state is State.LEASED:
                    self._replace(evolve(delivery, state=State.WAITING))

    def next_due(self, pass_over: PassOver = take_all) -> float | None:
        """Return when the next delivery is due."""
        waiting = (
            it.due
            for record in self.records
            for it in record.deliveries
            if it.state is State.WAITING and not pass_over(it.domain, record.message.origin)
        )
        return min(waiting, default=None)

    def find(self, selection: Selection, limit: int) -> list[Entry]:
        """Return messages with deliveries that *selection* selects."""
        return [
            Entry(
                message=record.message,
                deliveries=tuple(record.deliveries),
                ended=tuple(sorted(record.ended, key=lambda it: it.delivery.number)),
            )
            for record in self.records
            if any(selection.matches(record.message, it) for it in _visible(record, selection))
        ][:limit]

    def hold(self, selection: Selection, reason: str) -> int:
        """Hold waiting deliveries."""
        return self._change(selection, State.WAITING, state=State.HELD, reason=reason)

    def release(self, selection: Selection, now: float) -> int:
        """Let held deliveries wait again."""
        return self._change(selection, State.HELD, now, state=State.WAITING, reason="")

    def retry(self, selection: Selection, now: float) -> int:
        """Make waiting deliveries due."""
        return self._change(selection, State.WAITING, now)

    def drop(self, selection: Selection, now: float) -> int:
        """Take deliveries out of the queue."""
        dropped = [
            it
            for record in self.records
            for it in record.deliveries
            if it.state is not State.LEASED and selection.matches(record.message, it)
        ]
        for delivery in dropped:
            self._end(delivery, Fate.DROPPED, now)
        return len(dropped)

    def stats(self) -> QueueStats:
        """Return how much is in the queue."""
        queued = [record for record in self.records if record.deliveries]
        deliveries = [(record.message, it) for record in queued for it in record.deliveries]
        return QueueStats(
            messages=len(queued),
            octets=sum(record.message.size for record in queued),
            deliveries=Counter(it.state for _, it in deliveries),
            domains=stats_by_domain(deliveries),
            oldest=min((record.message.arrived for record in queued), default=None),
        )

    def deliveries(self, state: State) -> Iterator[Delivery]:
        """Yield the deliveries that are in *state*."""
        for record in self.records:
            yield from (it for it in record.deliveries if it.state is state)

    def record(self, name: str) -> Record:
        """Return the record of the message *name*."""
        return next(record for record in self.records if record.message.id == name)

    def _replace(self, delivery: Delivery) -> None:
        deliveries = self.record(delivery.message).deliveries
        place = next(i for i, it in enumerate(deliveries) if it.number == delivery.number)
        deliveries[place] = delivery

    def _change(
        self, selection: Selection, among: State, due: float | None = None, **changes: Any
    ) -> int:
        changed = 0
        for record in self.records:
            message = record.message
            for it in [*record.deliveries]:
                if it.state is among and selection.matches(message, it):
                    at = it.due if due is None else max(due, message.not_before)
                    self._replace(evolve(it, due=at, **changes))
                    changed += 1
        return changed

    def _end(self, delivery: Delivery, fate: Fate, now: float) -> None:
        record = self.record(delivery.message)
        record.deliveries = [it for it in record.deliveries if it.number != delivery.number]
        record.ended.append(Ended(delivery=delivery, fate=fate, at=now))


def _visible(record: Record, selection: Selection) -> list[Delivery]:
    ended = selection.id is not None and selection.state is None
    return [*record.deliveries, *((it.delivery for it in record.ended) if ended else ())]
