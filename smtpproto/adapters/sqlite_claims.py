"""Which deliveries in the database a claim takes: those of all domains, merged by their times."""

from __future__ import annotations

import heapq
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing

from ..mta.queue import Delivery, State

__all__ = ["due_keys", "earliest", "lower_destinations", "raise_destinations"]

_FIRST = 8  # deliveries of a domain that are read at first; most domains have few

Destination = tuple[int, str]  # priority, domain


def due_keys(
    connection: sqlite3.Connection,
    now: float,
    limit: int,
    excluded: Collection[str],
    each: int | None,
) -> tuple[list[int], set[Destination]]:
    """Return the keys of the deliveries to claim, in their order, and the destinations that were
    looked at. It looks at what it returns, and at one delivery more of each destination."""
    picked: list[int] = []
    seen: set[Destination] = set()
    of_domain: Counter[str] = Counter()
    for priority in _priorities(connection):
        if len(picked) >= limit:
            break
        with closing(_Merge(connection, priority, now, excluded, seen)) as merge:
            while len(picked) < limit and (found := merge.next()) is not None:
                key, domain = found
                if each is not None and of_domain[domain] >= each:
                    merge.drop()
                    continue
                picked.append(key)
                of_domain[domain] += 1
                merge.advance()
    return picked, seen


def _priorities(connection: sqlite3.Connection) -> Iterator[int]:
    """Yield the priorities of destinations, the highest first."""
    priority = 1000
    while True:
        (found,) = connection.execute(
            "SELECT max(priority) FROM destination WHERE priority < ?", (priority,)
        ).fetchone()
        if found is None:
            return
        yield (priority := found)


class _Merge:
    """The deliveries of one priority that are due, of all destinations, in their order."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        priority: int,
        now: float,
        excluded: Collection[str],
        seen: set[Destination],
    ) -> None:
        self._connection, self._priority, self._now = connection, priority, now
        self._excluded, self._seen = excluded, seen
        self._heads: list[tuple[float, int, str, Iterator[tuple[float, int]]]] = []
        self._destinations: sqlite3.Cursor = connection.execute(
            "SELECT domain, due FROM destination WHERE priority = ? AND due <= ? ORDER BY due",
            (priority, now),
        )
        self._coming: tuple[str, float] | None = next(self._destinations, None)

    def close(self) -> None:
        """End the look-up of destinations, which would keep SQLite from making the log shorter."""
        self._destinations.close()

    def next(self) -> tuple[int, str] | None:
        """Return the key and the domain of the next delivery; None if there is none."""
        while self._coming is not None and (
            not self._heads or self._coming[1] <= self._heads[0][0]
        ):
            domain, _ = self._coming
            if domain not in self._excluded:
                self._seen.add((self._priority, domain))
                self._push(domain, self._rows(domain))
            self._coming = next(self._destinations, None)
        return (self._heads[0][1], self._heads[0][2]) if self._heads else None

    def advance(self) -> None:
        """Go on behind the delivery that :meth:`next` returned."""
        _, _, domain, rows = heapq.heappop(self._heads)
        self._push(domain, rows)

    def drop(self) -> None:
        """Leave out all further deliveries to the domain that :meth:`next` returned."""
        heapq.heappop(self._heads)

    def _push(self, domain: str, rows: Iterator[tuple[float, int]]) -> None:
        if (row := next(rows, None)) is not None:
            heapq.heappush(self._heads, (*row, domain, rows))

    def _rows(self, domain: str) -> Iterator[tuple[float, int]]:
        """Yield due time and key of the deliveries to *domain*, in growing slices."""
        last, size = (float("-inf"), 0), _FIRST
        while True:
            rows = self._connection.execute(
                """SELECT due, key FROM delivery WHERE state = 0 AND fate IS NULL AND domain = ?
                AND priority = ? AND due <= ? AND (due, key) > (?, ?) ORDER BY due, key LIMIT ?""",
                (domain, self._priority, self._now, *last, size),
            ).fetchall()
            yield from rows
            if len(rows) < size:
                return
            last, size = rows[-1], size * 4


def lower_destinations(
    connection: sqlite3.Connection, deliveries: Iterable[tuple[int, Delivery]]
) -> None:
    """Note those of *deliveries*, each with its priority, that wait from now on."""
    least: dict[Destination, float] = {}
    for priority, it in deliveries:
        if it.state is State.WAITING:
            destination = priority, it.domain
            least[destination] = min(it.due, least.get(destination, it.due))
    connection.executemany(
        """INSERT INTO destination VALUES (?, ?, ?) ON CONFLICT DO UPDATE
        SET due = excluded.due WHERE excluded.due < due""",
        [(*destination, due) for destination, due in least.items()],
    )


def raise_destinations(connection: sqlite3.Connection, seen: Iterable[Destination]) -> None:
    """Note the time of the earliest delivery that waits, for each destination of *seen*."""
    for priority, domain in seen:
        due = _earliest_of(connection, priority, domain)
        if due is None:
            statement = "DELETE FROM destination WHERE priority = ? AND domain = ?"
            connection.execute(statement, (priority, domain))
        else:
            statement = "UPDATE destination SET due = ? WHERE priority = ? AND domain = ?"
            connection.execute(statement, (due, priority, domain))


def earliest(connection: sqlite3.Connection, excluded: Collection[str]) -> float | None:
    """Return when the next delivery that waits is due."""
    best: float | None = None
    for priority in [*_priorities(connection)]:
        for domain, least in connection.execute(
            "SELECT domain, due FROM destination WHERE priority = ? ORDER BY due", (priority,)
        ):
            if best is not None and least >= best:
                break
            if domain not in excluded:
                due = _earliest_of(connection, priority, domain)
                if due is not None and (best is None or due < best):
                    best = due
    return best


def _earliest_of(connection: sqlite3.Connection, priority: int, domain: str) -> float | None:
    (due,) = connection.execute(
        """SELECT min(due) FROM delivery WHERE state = 0 AND fate IS NULL AND domain = ?
        AND priority = ?""",
        (domain, priority),
    ).fetchone()
    found: float | None = due
    return found
