"""Which deliveries in the database a claim takes: those of all lanes, in turn."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from functools import partial
from math import inf

from ..limits import EXCLUDED_LANES
from ..mta.queue import Delivery, State
from ..mta.store import PassOver
from .queue_turns import Due, Place, Turns

__all__ = ["due_keys", "earliest", "lower_lanes", "raise_lanes"]

_FIRST = 8  # deliveries of a lane that are read at first; most lanes have few


def due_keys(
    connection: sqlite3.Connection, now: float, limit: int, pass_over: PassOver
) -> tuple[list[int], set[Place]]:
    """Return the keys of the deliveries to claim, in their order, and the lanes whose time is too
    early then. It looks at what it returns, and at one delivery more of each lane."""
    picked: list[int] = []
    early: set[Place] = set()
    for priority in _priorities(connection):
        if len(picked) >= limit:
            break
        with closing(_lanes(connection, priority, now, pass_over)) as lanes:
            turns = Turns(lanes, partial(_rows, connection, now), early)
            while len(picked) < limit and (key := turns.next()) is not None:
                picked.append(key)
    return picked, early


def _priorities(connection: sqlite3.Connection) -> Iterator[int]:
    """Yield the priorities of lanes, the highest first."""
    priority = 1000
    while True:
        (found,) = connection.execute(
            "SELECT max(priority) FROM lane WHERE priority < ?", (priority,)
        ).fetchone()
        if found is None:
            return
        yield (priority := found)


def _rows(connection: sqlite3.Connection, now: float, place: Place) -> Iterator[Due]:
    """Yield the deliveries of a lane that are due, in growing slices."""
    last, size = (float("-inf"), 0), _FIRST
    while True:
        rows = connection.execute(
            """SELECT due, key FROM delivery WHERE state = 0 AND fate IS NULL AND priority = ?
            AND domain = ? AND origin = ? AND due <= ? AND (due, key) > (?, ?)
            ORDER BY due, key LIMIT ?""",
            (*place, now, *last, size),
        ).fetchall()
        yield from rows
        if len(rows) < size:
            return
        last, size = rows[-1], size * 4


def _lanes(
    connection: sqlite3.Connection, priority: int, until: float, pass_over: PassOver
) -> Generator[tuple[Place, float], None, None]:
    """Yield lanes, each with a time that is not later than its earliest
    delivery, in the order of these times. It passes over a bounded number of them; the agent puts
    back what it cannot use of the others, so that they are out of the way. Close this in the end:
    as long as it looks them up, SQLite cannot make the log shorter."""
    statement = "SELECT domain, origin, due FROM lane WHERE priority = ? AND due <= ? ORDER BY due"
    passed_over = 0
    with closing(connection.execute(statement, (priority, until))) as lanes:
        for lane in lanes:
            if passed_over < EXCLUDED_LANES and pass_over(lane[0], lane[1]):
                passed_over += 1
            else:
                domain, origin, due = lane
                yield (priority, domain, origin), due


def lower_lanes(
    connection: sqlite3.Connection, deliveries: Iterable[tuple[int, str, Delivery]]
) -> None:
    """Note those of *deliveries*, each with its priority and origin, that wait from now on."""
    least: dict[Place, float] = {}
    for priority, origin, it in deliveries:
        if it.state is State.WAITING:
            place = priority, it.domain, origin
            least[place] = min(it.due, least.get(place, it.due))
    connection.executemany(
        """INSERT INTO lane VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE
        SET due = excluded.due WHERE excluded.due < due""",
        [(*place, due) for place, due in least.items()],
    )


def raise_lanes(connection: sqlite3.Connection, lanes: Iterable[Place]) -> None:
    """Note the time of the earliest delivery that waits, for each of *lanes*."""
    for place in lanes:
        due = _earliest_of(connection, *place)
        which = "WHERE priority = ? AND domain = ? AND origin = ?"
        if due is None:
            connection.execute(f"DELETE FROM lane {which}", place)
        else:
            connection.execute(f"UPDATE lane SET due = ? {which}", (due, *place))


def earliest(connection: sqlite3.Connection, pass_over: PassOver) -> float | None:
    """Return when the next delivery that waits is due."""
    best: float | None = None
    for priority in [*_priorities(connection)]:
        with closing(_lanes(connection, priority, inf, pass_over)) as lanes:
            for place, least in lanes:
                if best is not None and least >= best:
                    break
                due = _earliest_of(connection, *place)
                if due is not None and (best is None or due < best):
                    best = due
    return best


def _earliest_of(
    connection: sqlite3.Connection, priority: int, domain: str, origin: str
) -> float | None:
    (due,) = connection.execute(
        """SELECT min(due) FROM delivery WHERE state = 0 AND fate IS NULL AND domain = ?
        AND origin = ? AND priority = ?""",
        (domain, origin, priority),
    ).fetchone()
    found: float | None = due
    return found
