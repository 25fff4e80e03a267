"""What operations on a queue do with its tables: what SQLite and PostgreSQL have in common."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, Protocol

from ..errors import QueueFailed
from ..grammar.address import ForwardPath, ReversePath
from ..grammar.printable import printable
from ..mta.destination_stats import DestinationStats, added_up
from ..mta.queue import Delivery, Message, State
from ..mta.queue_text import read_destinations, read_message, unreadable
from ..mta.settlement import Ended, Fate, Settlement, check_reason
from ..mta.store import Claim, DomainStats, Entry, PassOver, QueueStats, Selection, busiest
from .queue_rows import (
    DELIVERY,
    MASK,
    SHIFT,
    STATES,
    conditions,
    delivery_of,
    key_range,
    mailbox_of,
    of_message,
)

__all__ = ["QueueTables"]

_MESSAGE = "key, id, size, data"


class Rows(Protocol):
    """What a statement has found or changed."""

    @property
    def rowcount(self) -> int:
        """How many rows it has changed."""
        ...

    def __iter__(self) -> Iterator[Any]: ...

    def fetchone(self) -> Any:
        """Return the next row; None if there is none."""
        ...

    def fetchall(self) -> list[Any]:
        """Return all rows."""
        ...


class QueueTables:
    """The tables, over one connection. The caller begins and commits transactions. Errors of the
    database are raised as they are."""

    greatest = "max"
    """The function that returns the greatest of its arguments."""

    def execute(self, statement: str, values: Sequence[Any] = ()) -> Rows:
        """Run *statement*, which has ``?`` for each of *values*."""
        raise NotImplementedError

    # -- writing -----------------------------------------------------------------------------

    def claim(
        self, now: float, limit: int, due: Callable[[Delivery], float], pass_over: PassOver
    ) -> list[Claim]:
        """Lease deliveries: see :meth:`.QueueStore.claim`. One that cannot be read is held."""
        raise NotImplementedError

    def settle(self, settlements: Sequence[Settlement], now: float) -> list[str]:
        """Write what became of deliveries; return the ids of the messages that left. Raises
        ValueError for one that is not leased."""
        raise NotImplementedError

    def forget(self, before: float) -> None:
        """Remove what is known of some messages that left the queue *before*."""
        raise NotImplementedError

    def post(self, known: Mapping[str, DestinationStats], now: float) -> None:
        """Let others see what is *known* of destinations: see :meth:`.QueueStore.post`."""
        raise NotImplementedError

    def hold_message(self, message_key: int, reason: str) -> None:
        """Hold all deliveries of a message that wait."""
        first, last = key_range(message_key)
        self.execute(
            """UPDATE delivery SET state = 2, reason = ? WHERE key BETWEEN ? AND ?
            AND state = 0 AND fate IS NULL""",
            (reason, first, last),
        )

    def hold(self, selection: Selection, reason: str) -> int:
        """Hold the waiting deliveries of *selection*; return how many."""
        check_reason(reason)
        return self._set(selection, 0, "state = 2, reason = ?", [reason])

    def release(self, selection: Selection, now: float) -> int:
        """Let held deliveries wait again; return how many."""
        return self._set(selection, 2, f"state = 0, reason = '', {self._due_text}", [now])

    def retry(self, selection: Selection, now: float) -> int:
        """Make waiting deliveries due; return how many."""
        return self._set(selection, 0, self._due_text, [now])

    def _set(self, selection: Selection, state: int, what: str, values: list[Any]) -> int:
        if selection.state is not None and STATES[selection.state] != state:
            return 0
        where, more = conditions(selection)
        return self._change(what, f"state = {state} AND {where}", [*values, *more])

    def _change(self, what: str, where: str, values: Sequence[Any]) -> int:
        """Set *what* of the deliveries in the queue that are *where*; return how many."""
        raise NotImplementedError

    def drop(self, selection: Selection, now: float) -> tuple[int, list[str]]:
        """Take deliveries out of the queue; return how many, and the ids of messages that left."""
        where, values = conditions(selection)
        state = "" if selection.state is None else f"AND state = {STATES[selection.state]}"
        keys = self.execute(
            f"""UPDATE delivery SET fate = ?, at = ? WHERE state IN (0, 2) {state} AND {where}
            RETURNING key""",
            [Fate.DROPPED.value, now, *values],
        ).fetchall()
        touched = {
            key: self._one("SELECT id FROM message WHERE key = ?", key)[0]
            for key in {key >> SHIFT for (key,) in keys}
        }
        return len(keys), self._leave(touched, now)

    @property
    def _due_text(self) -> str:
        of_its_message = "SELECT not_before FROM message WHERE message.key = delivery.key >> 20"
        return f"due = {self.greatest}(?, ({of_its_message}))"

    def _leave(self, touched: dict[int, str], now: float) -> list[str]:
        """Remove the contents of those messages of *touched* that have no delivery left."""
        left = []
        for key, name in touched.items():
            first, last = key_range(key)
            has_left = self.execute(
                """UPDATE message SET "left" = ? WHERE key = ? AND NOT EXISTS (
                SELECT 1 FROM delivery WHERE key BETWEEN ? AND ? AND fate IS NULL)""",
                (now, key, first, last),
            )
            if has_left.rowcount:
                self._free(key)
                left.append(name)
        return left

    def _free(self, message_key: int) -> None:
        """Remove the content of a message that has left."""
        raise NotImplementedError

    # -- reading -----------------------------------------------------------------------------

    def posts(self) -> Iterator[tuple[float, str]]:
        """Yield how many seconds ago each process that lives has posted, and what."""
        raise NotImplementedError

    def content(self, message: Message) -> bytes | BinaryIO:
        """Return the content. Raises ContentLost if it is missing or damaged."""
        raise NotImplementedError

    def next_due(self, pass_over: PassOver) -> float | None:
        """Return when the next delivery that waits is due."""
        raise NotImplementedError

    def find(self, selection: Selection, limit: int) -> list[Entry]:
        """Return the messages that *selection* selects."""
        remembers = selection.id is not None and selection.state is None
        where, values = conditions(selection, in_queue=not remembers)
        state = "" if selection.state is None else f"AND state = {STATES[selection.state]}"
        among = "" if remembers else '"left" IS NULL AND'
        which, more = of_message(selection)
        rows = self.execute(
            f"""SELECT {_MESSAGE} FROM message WHERE {among} {which} AND EXISTS (
                SELECT 1 FROM delivery WHERE delivery.key >= message.key << 20
                AND delivery.key < (message.key + 1) << 20 {state} AND {where})
            ORDER BY key LIMIT ?""",
            [*more, *values, limit],
        )
        return [self._entry(row) for row in rows.fetchall()]

    def _entry(self, row: tuple[Any, ...]) -> Entry:
        key, name, size, data = row
        rows = self.execute(
            f"SELECT {DELIVERY} FROM delivery WHERE key BETWEEN ? AND ? ORDER BY key",
            key_range(key),
        ).fetchall()
        try:
            return Entry(
                message=read_message(name, size, data),
                deliveries=tuple(delivery_of(name, it) for it in rows if it[-2] is None),
                ended=tuple(_ended(name, it) for it in rows if it[-2] is not None),
            )
        except QueueFailed as error:
            return self._stand_in(key, name, size, printable(error.message))

    def _stand_in(self, key: int, name: str, size: int, reason: str) -> Entry:
        """Return what is known of a message that cannot be read. It is shown as held."""
        sender, arrived = self._one("SELECT sender, arrived FROM message WHERE key = ?", key)
        rows = self.execute(
            """SELECT key, address FROM delivery WHERE key BETWEEN ? AND ? AND fate IS NULL
            ORDER BY key""",
            key_range(key),
        )
        message = Message(
            id=name, sender=ReversePath(mailbox_of(sender)), size=size, arrived=arrived,
            expires=arrived,
        )  # fmt: skip
        deliveries = [
            Delivery(
                message=name, number=its_key & MASK, recipient=ForwardPath(mailbox_of(address)),
                due=arrived, state=State.HELD, reason=reason,
            )
            for its_key, address in rows
        ]  # fmt: skip
        return Entry(message=message, deliveries=tuple(deliveries))

    def stats(self) -> QueueStats:
        """Return how much is in the queue."""
        messages, octets, oldest = self._one(
            "SELECT count(*), coalesce(sum(size), 0), min(arrived) FROM message"
            ' WHERE "left" IS NULL'
        )
        by_domain: dict[str, dict[State, int]] = {}
        first: dict[str, int] = {}  # the key of the delivery that is the longest in the queue
        earliest: dict[str, float] = {}
        for state, number in STATES.items():
            least = "min(due)" if state is State.WAITING else "NULL"
            for domain, count, key, due in self.execute(
                f"""SELECT domain, count(*), min(key), {least} FROM delivery WHERE state = {number}
                AND fate IS NULL GROUP BY domain"""
            ):
                by_domain.setdefault(domain, {})[state] = count
                first[domain] = min(key, first.get(domain, key))
                if due is not None:
                    earliest[domain] = due
        states: Counter[State] = Counter()
        for counts in by_domain.values():
            states.update(counts)
        return QueueStats(
            messages=messages,
            octets=int(octets),
            deliveries=states,
            domains={
                name: stats
                for name in busiest(by_domain)
                if (stats := self._domain_stats(first[name], by_domain[name], earliest.get(name)))
            },
            oldest=oldest,
            destinations=added_up(
                read_destinations(text, time.time() - ago) for ago, text in self.posts()
            ),
        )

    def _domain_stats(
        self, key: int, deliveries: Mapping[State, int], due: float | None
    ) -> DomainStats | None:
        """Return the stats of the domain of the delivery at *key*; None if it has left by now."""
        row = self.execute(f"SELECT {DELIVERY} FROM delivery WHERE key = ?", [key]).fetchone()
        statement = "SELECT id, arrived FROM message WHERE key = ?"
        message = self.execute(statement, [key >> SHIFT]).fetchone()
        if row is None or message is None:
            return None
        name, arrived = message
        try:
            last = delivery_of(name, row).last
        except QueueFailed:  # find shows why
            last = None
        return DomainStats(
            deliveries=deliveries, oldest=arrived, oldest_id=name, due=due, last=last
        )

    def _message(self, key: int) -> Message:
        _, name, size, data = self._one(f"SELECT {_MESSAGE} FROM message WHERE key = ?", key)
        return read_message(name, size, data)

    def _one(self, statement: str, *values: object) -> tuple[Any, ...]:
        row: tuple[Any, ...] | None = self.execute(statement, values).fetchone()
        if row is None:
            raise QueueFailed("the queue's database contradicts itself: a row is missing")
        return row


def _ended(name: str, row: tuple[Any, ...]) -> Ended:
    *_, fate, at = row
    try:
        return Ended(delivery=delivery_of(name, row), fate=Fate(fate), at=at)
    except ValueError as error:
        raise unreadable(name, error) from error
