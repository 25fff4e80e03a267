"""Which deliveries in PostgreSQL a claim takes, while other processes claim too.

The row of a lane has a time that is not later than its earliest delivery that waits. A transaction
that adds deliveries keeps that row, or makes its time earlier, and locks it until the commit; a
claim makes the time later only in rows that nobody has locked. So the time is never too late.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import inf
from typing import Any

from ..limits import EXCLUDED_LANES
from ..mta.store import PassOver
from .postgres_connection import Connection, sql
from .queue_turns import Due, Place, Turns

__all__ = ["due_keys", "earliest", "lower_lanes", "raise_lanes"]

_SLICE = 500  # lanes that are looked at together

_PLACES = "unnest(?::smallint[], ?::text[], ?::text[])"
_IN_LANE = """state = 0 AND fate IS NULL AND delivery.priority = l.priority
    AND delivery.domain = l.domain AND delivery.origin = l.origin"""
_LANE = "(priority, domain, origin)"

_Lane = tuple[Place, float]


def due_keys(
    connection: Connection, now: float, limit: int, pass_over: PassOver
) -> tuple[list[int], set[Place]]:
    """Lock the deliveries to claim, and return their keys, in their order, and the lanes whose time
    is too early then. What other transactions have locked is passed over."""
    picked: list[int] = []
    early: set[Place] = set()
    for priority in _priorities(connection):
        if len(picked) >= limit:
            break
        lanes = _LockedLanes(connection, priority, now, limit - len(picked), pass_over)
        turns = Turns(iter(lanes), lanes.rows, early, lanes.prepare)
        while len(picked) < limit and (key := turns.next()) is not None:
            picked.append(key)
    return picked, early


def _priorities(connection: Connection) -> list[int]:
    """Return the priorities of lanes, the highest first."""
    rows = connection.execute(
        """WITH RECURSIVE found AS (
            SELECT max(priority) AS priority FROM lane UNION ALL
            SELECT (SELECT max(priority) FROM lane WHERE lane.priority < found.priority)
            FROM found WHERE found.priority IS NOT NULL)
        SELECT priority FROM found WHERE priority IS NOT NULL"""
    )
    return [priority for (priority,) in rows]


def _slices(
    connection: Connection, priority: int, until: float, size: int, pass_over: PassOver
) -> Iterator[list[_Lane]]:
    """Yield lanes in the order of their times, *size* at once. It passes over a bounded number of
    them; the agent puts back what it cannot use of the others."""
    last, passed_over, full = (-inf, "", ""), 0, True
    seen: set[tuple[str, str]] = set()  # a lane comes twice if its time is changed meanwhile
    while full:
        found = connection.execute(
            sql(
                """SELECT due, domain, origin FROM lane WHERE priority = ? AND due <= ?
                AND (due, domain, origin) > (?, ?, ?) ORDER BY due, domain, origin LIMIT ?"""
            ),
            (priority, until, *last, size),
        ).fetchall()
        full = len(found) == size
        lanes: list[_Lane] = []
        for due, domain, origin in found:
            last = due, domain, origin
            if passed_over < EXCLUDED_LANES and pass_over(domain, origin):
                passed_over += 1
            elif (domain, origin) not in seen:
                seen.add((domain, origin))
                lanes.append(((priority, domain, origin), due))
        if lanes:
            yield lanes


class _LockedLanes:
    """Lanes of a priority, and their deliveries, which are locked as they are read."""

    def __init__(
        self, connection: Connection, priority: int, now: float, wanted: int, pass_over: PassOver
    ) -> None:
        self._connection, self._now, self._left = connection, now, wanted
        size = min(max(wanted, 1), _SLICE)
        self._slices = _slices(connection, priority, now, size, pass_over)
        self._rows: dict[Place, deque[Due]] = {}  # that were read, and not yielded yet
        self._last: dict[Place, Due] = {}  # of lanes that may have more

    def __iter__(self) -> Iterator[_Lane]:
        for lanes in self._slices:
            for place, _ in lanes:
                self._rows[place], self._last[place] = deque(), (-inf, 0)
            self.prepare([place for place, _ in lanes])
            yield from lanes

    def rows(self, place: Place) -> Iterator[Due]:
        """Yield the deliveries of a lane that are due."""
        rows = self._rows[place]
        while rows or place in self._last:
            if rows:
                self._left -= 1
                yield rows.popleft()
            else:
                self.prepare([place])

    def prepare(self, places: Sequence[Place]) -> None:
        """Read more of those of *places* of which nothing is left, as much as is wanted of them."""
        places = [it for it in places if not self._rows[it] and it in self._last]
        if not places:
            return
        each = max(-(-self._left // len(places)), 1)
        found = self._connection.execute(
            sql(
                f"""SELECT l.priority, l.domain, l.origin, d.due, d.key FROM unnest(
                    ?::smallint[], ?::text[], ?::text[], ?::double precision[], ?::bigint[])
                    AS l(priority, domain, origin, due, key)
                CROSS JOIN LATERAL (
                    SELECT due, key FROM delivery WHERE {_IN_LANE} AND due <= ?
                    AND (due, key) > (l.due, l.key) ORDER BY due, key LIMIT ?
                    FOR UPDATE SKIP LOCKED) AS d
                ORDER BY d.due, d.key"""
            ),
            (*_columns([(*place, *self._last[place]) for place in places]), self._now, each),
        )
        for priority, domain, origin, due, key in found:
            self._rows[priority, domain, origin].append((due, key))
        for place in places:
            rows = self._rows[place]
            if len(rows) == each:
                self._last[place] = rows[-1]
            else:
                del self._last[place]


def lower_lanes(connection: Connection, least: Mapping[Place, float]) -> None:
    """Note that deliveries wait from now on: of each lane, when the earliest is due."""
    if not least:
        return
    places = sorted(least)
    kept = connection.execute(
        sql(
            f"""SELECT priority, domain, origin FROM lane
            JOIN unnest(?::smallint[], ?::text[], ?::text[], ?::double precision[])
            AS l(priority, domain, origin, least) USING {_LANE}
            WHERE lane.due <= l.least ORDER BY priority, domain, origin FOR SHARE OF lane"""
        ),
        (*_columns(places), [least[place] for place in places]),
    ).fetchall()
    changed = sorted(least.keys() - set(kept))
    if changed:
        connection.execute(
            sql(
                f"""INSERT INTO lane
                SELECT * FROM unnest(?::smallint[], ?::text[], ?::text[], ?::double precision[])
                ON CONFLICT {_LANE} DO UPDATE SET due = least(lane.due, excluded.due)"""
            ),
            (*_columns(changed), [least[place] for place in changed]),
        )


def raise_lanes(connection: Connection, lanes: Iterable[Place]) -> None:
    """Note the time of the earliest delivery that waits, for those of *lanes* that no transaction
    uses now."""
    locked = connection.execute(
        sql(
            f"""SELECT priority, domain, origin FROM lane
            JOIN {_PLACES} AS l(priority, domain, origin) USING {_LANE}
            ORDER BY priority, domain, origin FOR UPDATE OF lane SKIP LOCKED"""
        ),
        _columns(sorted(lanes)),
    ).fetchall()
    if locked:  # only now: another statement sees all that was committed before the lock
        connection.execute(
            sql(
                f"""WITH present AS MATERIALIZED (
                    SELECT l.*, (SELECT due FROM delivery WHERE {_IN_LANE} ORDER BY due LIMIT 1)
                    AS due FROM {_PLACES} AS l(priority, domain, origin)),
                empty AS (
                    DELETE FROM lane USING present AS p WHERE p.due IS NULL
                    AND (lane.priority, lane.domain, lane.origin)
                    = (p.priority, p.domain, p.origin))
                UPDATE lane SET due = p.due FROM present AS p WHERE lane.due <> p.due
                AND (lane.priority, lane.domain, lane.origin) = (p.priority, p.domain, p.origin)"""
            ),
            _columns(locked),
        )


def earliest(connection: Connection, pass_over: PassOver) -> float | None:
    """Return when the next delivery that waits is due."""
    best = inf
    for priority in _priorities(connection):
        for lanes in _slices(connection, priority, inf, 20, pass_over):
            (due,) = connection.execute(
                sql(
                    f"""SELECT min(d.due) FROM {_PLACES} AS l(priority, domain, origin)
                    CROSS JOIN LATERAL (
                        SELECT due FROM delivery WHERE {_IN_LANE} ORDER BY due LIMIT 1) AS d"""
                ),
                _columns([place for place, _ in lanes]),
            ).fetchone() or (None,)
            best = best if due is None else min(best, due)
            if lanes[-1][1] >= best:
                break
    return None if best == inf else best


def _columns(places: Sequence[Any]) -> list[list[Any]]:
    """Return the columns of *places*, for ``unnest``."""
    return [list(column) for column in zip(*places, strict=True)]
