"""What the operations on an SQLite queue read and write."""

from __future__ import annotations

import io
import logging
import sqlite3
import zlib
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

from ..errors import QueueFailed
from ..grammar.address import ForwardPath, ReversePath
from ..grammar.printable import printable
from ..mta.queue import Delivery, Message, State
from ..mta.queue_text import read_message, write_log, write_message
from ..mta.settlement import Done, Ended, Fate, Settlement
from ..mta.store import (
    Claim,
    Entry,
    PassOver,
    Queued,
    QueueStats,
    Selection,
    address_key,
    busiest,
    domain_key,
)
from .segments import FileSlice, Segments, crc_of
from .sqlite_claims import due_keys, earliest, lower_lanes, raise_lanes
from .sqlite_errors import content_lost
from .sqlite_rows import (
    DELIVERY,
    MASK,
    SHIFT,
    Place,
    conditions,
    delivery_of,
    delivery_row,
    key_range,
    mailbox_of,
    of_message,
)
from .sqlite_schema import STATES, find_lanes

__all__ = ["Tables"]

_BUFFER = 65536  # octets of a content that are read at once
_FORGET_AT_ONCE = 50  # messages, so that no settlement takes long
_DUE = "due = max(?, (SELECT not_before FROM message WHERE message.key = delivery.key >> 20))"
_MESSAGE = "key, id, size, data"

log: logging.Logger = logging.getLogger("smtpproto.queue")


class Tables:
    """The tables, over one connection. The caller begins and commits transactions. Errors of SQLite
    are raised as they are."""

    def __init__(self, connection: sqlite3.Connection, segments: Segments) -> None:
        self.connection: sqlite3.Connection = connection
        self._segments = segments

    # -- writing -----------------------------------------------------------------------------

    def put(self, queued: Queued, place: Place) -> None:
        """Add a message. Raises ValueError if its id is known."""
        message = queued.message
        if queued.deliveries[-1].number > MASK:
            raise ValueError(f"message {message.id} has more recipients than {MASK}")
        priority = message.parameters.mt_priority or 0
        try:
            key = self.connection.execute(
                f"INSERT INTO message VALUES (NULL{', ?' * 11}, NULL)",
                (
                    message.id,
                    address_key(message.sender),
                    domain_key(message.sender),
                    priority,
                    message.size,
                    message.arrived,
                    message.not_before,
                    write_message(message),
                    place.segment,
                    place.start,
                    place.crc,
                ),
            ).lastrowid
        except sqlite3.IntegrityError:
            raise ValueError("a message with this id is in the queue already") from None
        assert key is not None
        if place.octets is not None:
            self.connection.execute("INSERT INTO body VALUES (?, ?)", (key, place.octets))
        self.connection.executemany(
            f"INSERT INTO delivery VALUES (?{', ?' * 11}, NULL, NULL)",
            [delivery_row(key, message, it) for it in queued.deliveries],
        )
        lower_lanes(self.connection, ((priority, message.origin, it) for it in queued.deliveries))

    def claim(
        self,
        now: float,
        limit: int,
        due: Callable[[Delivery], float],
        pass_over: PassOver,
    ) -> list[Claim]:
        """Lease deliveries: see :meth:`.QueueStore.claim`. One that cannot be read is held."""
        keys, early = due_keys(self.connection, now, limit, pass_over)
        by_message: dict[int, list[int]] = {}
        for key in keys:
            by_message.setdefault(key >> SHIFT, []).append(key)
        claims = []
        for message_key, its_keys in by_message.items():
            try:
                claims.append(self._lease(message_key, sorted(its_keys), due))
            except QueueFailed as error:
                log.error("%s", error)
                self.hold_message(message_key, printable(error.message))
        raise_lanes(self.connection, early)
        return claims

    def _lease(self, message_key: int, keys: list[int], due: Callable[[Delivery], float]) -> Claim:
        message = self._message(message_key)
        deliveries = []
        for key in keys:
            row = self._one(f"SELECT {DELIVERY} FROM delivery WHERE key = ?", key)
            before = delivery_of(message.id, row)
            deliveries.append(before.leased(due(before)))
        self.connection.executemany(
            "UPDATE delivery SET state = 1, attempts = ?, due = ? WHERE key = ?",
            [(it.attempts, it.due, key) for it, key in zip(deliveries, keys, strict=True)],
        )
        return Claim(message=message, deliveries=tuple(deliveries))

    def hold_message(self, message_key: int, reason: str) -> None:
        """Hold all deliveries of a message that wait."""
        first, last = key_range(message_key)
        self.connection.execute(
            """UPDATE delivery SET state = 2, reason = ? WHERE key BETWEEN ? AND ?
            AND state = 0 AND fate IS NULL""",
            (reason, first, last),
        )

    def settle(self, settlements: Sequence[Settlement], now: float) -> list[str]:
        """Write what became of deliveries; return the ids of the messages that left. Raises
        ValueError for one that is not leased."""
        touched: dict[int, str] = {}
        waiting: list[tuple[int, str, Delivery]] = []
        for settlement in settlements:
            delivery, decision = settlement.delivery_after, settlement.decision
            fate = decision.fate.value if isinstance(decision, Done) else None
            row = self.connection.execute(
                """UPDATE delivery SET state = ?, due = ?, attempts = ?, warned = ?, reason = ?,
                log = ?, fate = ?, at = ?
                WHERE key = (SELECT (key << 20) + ? FROM message WHERE id = ?)
                AND state = 1 AND fate IS NULL RETURNING key, priority, origin""",
                (
                    STATES[delivery.state],
                    delivery.due,
                    delivery.attempts,
                    delivery.warned,
                    delivery.reason,
                    write_log(delivery.log),
                    fate,
                    now,
                    delivery.number,
                    delivery.message,
                ),
            ).fetchone()
            if row is None:
                what = f"delivery {delivery.number} of {delivery.message}"
                raise ValueError(f"{what} is not leased")
            key, priority, origin = row
            if fate is None:
                waiting.append((priority, origin, delivery))
            else:
                touched[key >> SHIFT] = delivery.message
        lower_lanes(self.connection, waiting)
        return self._leave(touched, now)

    def _leave(self, touched: dict[int, str], now: float) -> list[str]:
        """Remove the contents of those messages of *touched* that have no delivery left."""
        left = []
        for key, name in touched.items():
            first, last = key_range(key)
            has_left = self.connection.execute(
                """UPDATE message SET left = ? WHERE key = ? AND NOT EXISTS (
                SELECT 1 FROM delivery WHERE key BETWEEN ? AND ? AND fate IS NULL)""",
                (now, key, first, last),
            )
            if has_left.rowcount:
                self._free(key)
                left.append(name)
        return left

    def _free(self, message_key: int) -> None:
        """Remove the content of a message that has left."""
        statement = "DELETE FROM body WHERE message = ?"
        if not self.connection.execute(statement, (message_key,)).rowcount:
            (segment,) = self._one("SELECT segment FROM message WHERE key = ?", message_key)
            if segment is not None:
                self._segments.candidates.add(segment)

    def forget(self, before: float) -> None:
        """Remove what is known of some messages that left the queue *before*."""
        old = self.connection.execute(
            "SELECT key FROM message WHERE left < ? ORDER BY left LIMIT ?",
            (before, _FORGET_AT_ONCE),
        )
        for (key,) in old.fetchall():
            self.connection.execute(
                "DELETE FROM delivery WHERE key BETWEEN ? AND ?", key_range(key)
            )
            self.connection.execute("DELETE FROM message WHERE key = ?", (key,))

    def segments(self) -> set[int]:
        """Return the segments that messages in the queue need."""
        rows = self.connection.execute(
            "SELECT DISTINCT segment FROM message WHERE segment IS NOT NULL AND left IS NULL"
        )
        return {segment for (segment,) in rows}

    def is_needed(self, segment: int) -> bool:
        """Return whether a message in the queue has its content in *segment*."""
        row = self.connection.execute(
            "SELECT 1 FROM message WHERE segment = ? AND left IS NULL LIMIT 1", (segment,)
        )
        return row.fetchone() is not None

    def hold(self, selection: Selection, reason: str) -> int:
        """Hold the waiting deliveries of *selection*; return how many."""
        return self._change(selection, 0, "state = 2, reason = ?", [reason])

    def release(self, selection: Selection, now: float) -> int:
        """Let held deliveries wait again; return how many."""
        return self._change(selection, 2, f"state = 0, reason = '', {_DUE}", [now])

    def retry(self, selection: Selection, now: float) -> int:
        """Make waiting deliveries due; return how many."""
        return self._change(selection, 0, _DUE, [now])

    def _change(self, selection: Selection, state: int, what: str, values: list[Any]) -> int:
        if selection.state is not None and STATES[selection.state] != state:
            return 0
        where, more = conditions(selection)
        changed = self.connection.execute(
            f"UPDATE delivery SET {what} WHERE state = {state} AND {where}", [*values, *more]
        ).rowcount
        if changed and "due" in what:
            find_lanes(self.connection)
        return changed

    def drop(self, selection: Selection, now: float) -> tuple[int, list[str]]:
        """Take deliveries out of the queue; return how many, and the ids of messages that left."""
        where, values = conditions(selection)
        state = "" if selection.state is None else f"AND state = {STATES[selection.state]}"
        keys = self.connection.execute(
            f"SELECT key FROM delivery WHERE state IN (0, 2) {state} AND {where}", values
        ).fetchall()
        self.connection.executemany(
            "UPDATE delivery SET fate = ?, at = ? WHERE key = ?",
            [(Fate.DROPPED.value, now, key) for (key,) in keys],
        )
        touched = {
            key: self._one("SELECT id FROM message WHERE key = ?", key)[0]
            for key in {key >> SHIFT for (key,) in keys}
        }
        return len(keys), self._leave(touched, now)

    # -- reading -----------------------------------------------------------------------------

    def content(self, message: Message) -> bytes | BinaryIO:
        """Return the content. Raises ContentLost if it is missing or damaged."""
        row = self.connection.execute(
            """SELECT size, segment, start, crc, octets FROM message
            LEFT JOIN body ON body.message = message.key WHERE id = ? AND left IS NULL""",
            (message.id,),
        ).fetchone()
        if row is None:
            raise QueueFailed(f"message {message.id} is not in the queue")
        size, segment, start, crc, octets = row
        if segment is None:
            if not isinstance(octets, bytes) or zlib.crc32(octets) != crc:
                raise content_lost(message.id, None)
            return octets
        path = self._segments.path(segment)
        content = FileSlice(path, start, size)
        if self._segments.size(segment) < start + size or crc_of(content) != crc:
            raise content_lost(message.id, path)
        content.seek(0)
        return io.BufferedReader(content, _BUFFER)

    def next_due(self, pass_over: PassOver) -> float | None:
        """Return when the next delivery that waits is due."""
        return earliest(self.connection, pass_over)

    def find(self, selection: Selection, limit: int) -> list[Entry]:
        """Return the messages that *selection* selects."""
        remembers = selection.id is not None and selection.state is None
        where, values = conditions(selection, in_queue=not remembers)
        state = "" if selection.state is None else f"AND state = {STATES[selection.state]}"
        among = "" if remembers else "left IS NULL AND"
        which, more = of_message(selection)
        rows = self.connection.execute(
            f"""SELECT {_MESSAGE} FROM message WHERE {among} {which} AND EXISTS (
                SELECT 1 FROM delivery WHERE delivery.key >= message.key << 20
                AND delivery.key < (message.key + 1) << 20 {state} AND {where})
            ORDER BY key LIMIT ?""",
            [*more, *values, limit],
        )
        return [self._entry(row) for row in rows.fetchall()]

    def _entry(self, row: tuple[Any, ...]) -> Entry:
        key, name, size, data = row
        rows = self.connection.execute(
            f"SELECT {DELIVERY} FROM delivery WHERE key BETWEEN ? AND ? ORDER BY key",
            key_range(key),
        ).fetchall()
        try:
            return Entry(
                message=read_message(name, size, data),
                deliveries=tuple(delivery_of(name, it) for it in rows if it[-2] is None),
                ended=tuple(
                    Ended(delivery=delivery_of(name, it), fate=Fate(it[-2]), at=it[-1])
                    for it in rows
                    if it[-2] is not None
                ),
            )
        except QueueFailed as error:
            return self._stand_in(key, name, size, printable(error.message))

    def _stand_in(self, key: int, name: str, size: int, reason: str) -> Entry:
        """Return what is known of a message that cannot be read. It is shown as held."""
        sender, arrived = self._one("SELECT sender, arrived FROM message WHERE key = ?", key)
        rows = self.connection.execute(
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
            "SELECT count(*), total(size), min(arrived) FROM message WHERE left IS NULL"
        )
        states: dict[State, int] = {}
        domains: dict[str, int] = {}
        for state, number in STATES.items():
            for domain, count in self.connection.execute(
                f"""SELECT domain, count(*) FROM delivery WHERE state = {number}
                AND fate IS NULL GROUP BY domain"""
            ):
                states[state] = states.get(state, 0) + count
                domains[domain] = domains.get(domain, 0) + count
        return QueueStats(
            messages=messages,
            octets=int(octets),
            deliveries=states,
            domains=busiest(domains),
            oldest=oldest,
        )

    def _message(self, key: int) -> Message:
        _, name, size, data = self._one(f"SELECT {_MESSAGE} FROM message WHERE key = ?", key)
        return read_message(name, size, data)

    def _one(self, statement: str, *values: object) -> tuple[Any, ...]:
        row: tuple[Any, ...] | None = self.connection.execute(statement, values).fetchone()
        if row is None:
            raise QueueFailed("the queue's database contradicts itself: a row is missing")
        return row
