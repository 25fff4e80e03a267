"""What the operations on an SQLite queue read and write."""

from __future__ import annotations

import io
import logging
import sqlite3
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO

from ..errors import QueueFailed
from ..grammar.printable import printable
from ..mta.destination_stats import DestinationStats
from ..mta.queue import Delivery, Message
from ..mta.queue_text import write_destinations, write_log
from ..mta.settlement import Done, Settlement
from ..mta.store import Claim, PassOver, Queued
from .queue_rows import (
    DELIVERY,
    SHIFT,
    STATES,
    content_lost,
    delivery_of,
    delivery_row,
    key_range,
    message_row,
)
from .queue_tables import QueueTables
from .segments import FileSlice, Segments, crc_of
from .sqlite_claims import due_keys, earliest, lower_lanes, raise_lanes
from .sqlite_rows import Place
from .sqlite_schema import find_lanes

__all__ = ["Tables"]

_BUFFER = 65536  # octets of a content that are read at once
_FORGET_AT_ONCE = 50  # messages, so that no settlement takes long
_ALIVE = 180.0  # seconds for which a process that posts nothing counts as one that lives

log: logging.Logger = logging.getLogger("smtpproto.queue")


class Tables(QueueTables):
    """The tables, over one connection."""

    def __init__(self, connection: sqlite3.Connection, files: Segments) -> None:
        self.connection: sqlite3.Connection = connection
        self.files = files

    def execute(self, statement: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Run *statement*."""
        return self.connection.execute(statement, values)

    # -- writing -----------------------------------------------------------------------------

    def put(self, queued: Queued, place: Place) -> None:
        """Add a message. Raises ValueError if its id is known."""
        message, row = queued.message, message_row(queued)
        try:
            key = self.execute(
                f"INSERT INTO message VALUES (NULL{', ?' * 11}, NULL)",
                (*row, place.segment, place.start, place.crc),
            ).lastrowid
        except sqlite3.IntegrityError:
            raise ValueError("a message with this id is in the queue already") from None
        assert key is not None
        if place.octets is not None:
            self.execute("INSERT INTO body VALUES (?, ?)", (key, place.octets))
        self.connection.executemany(
            f"INSERT INTO delivery VALUES (?{', ?' * 11}, NULL, NULL)",
            [delivery_row(key, message, it) for it in queued.deliveries],
        )
        priority = message.parameters.mt_priority or 0
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

    def settle(self, settlements: Sequence[Settlement], now: float) -> list[str]:
        """Write what became of deliveries; return the ids of the messages that left. Raises
        ValueError for one that is not leased."""
        touched: dict[int, str] = {}
        waiting: list[tuple[int, str, Delivery]] = []
        for settlement in settlements:
            delivery, decision = settlement.delivery_after, settlement.decision
            fate = decision.fate.value if isinstance(decision, Done) else None
            row = self.execute(
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

    def post(self, known: Mapping[str, DestinationStats], now: float) -> None:
        """Let others see what is *known* of destinations."""
        self.execute(
            "INSERT OR REPLACE INTO post VALUES (0, ?, ?)",
            (time.time(), write_destinations(known, now)),
        )

    def _free(self, message_key: int) -> None:
        """Remove the content of a message that has left."""
        statement = "DELETE FROM body WHERE message = ?"
        if not self.execute(statement, (message_key,)).rowcount:
            (segment,) = self._one("SELECT segment FROM message WHERE key = ?", message_key)
            if segment is not None:
                self.files.candidates.add(segment)

    def forget(self, before: float) -> None:
        """Remove what is known of some messages that left the queue *before*."""
        old = self.execute(
            "SELECT key FROM message WHERE left < ? ORDER BY left LIMIT ?",
            (before, _FORGET_AT_ONCE),
        )
        for (key,) in old.fetchall():
            self.execute("DELETE FROM delivery WHERE key BETWEEN ? AND ?", key_range(key))
            self.execute("DELETE FROM message WHERE key = ?", (key,))

    def _change(self, what: str, where: str, values: Sequence[Any]) -> int:
        changed = self.execute(f"UPDATE delivery SET {what} WHERE {where}", values).rowcount
        if changed and "due" in what:
            find_lanes(self.connection)
        return changed

    def segments(self) -> set[int]:
        """Return the segments that messages in the queue need."""
        rows = self.execute(
            "SELECT DISTINCT segment FROM message WHERE segment IS NOT NULL AND left IS NULL"
        )
        return {segment for (segment,) in rows}

    def is_needed(self, segment: int) -> bool:
        """Return whether a message in the queue has its content in *segment*."""
        row = self.execute(
            "SELECT 1 FROM message WHERE segment = ? AND left IS NULL LIMIT 1", (segment,)
        )
        return row.fetchone() is not None

    # -- reading -----------------------------------------------------------------------------

    def content(self, message: Message) -> bytes | BinaryIO:
        """Return the content. Raises ContentLost if it is missing or damaged."""
        row = self.execute(
            """SELECT size, segment, start, crc, octets FROM message
            LEFT JOIN body ON body.message = message.key WHERE id = ? AND left IS NULL""",
            (message.id,),
        ).fetchone()
        if row is None:
            raise QueueFailed(f"message {message.id} is not in the queue")
        size, segment, start, crc, octets = row
        if segment is None:
            if not isinstance(octets, bytes) or zlib.crc32(octets) != crc:
                raise content_lost(message.id)
            return octets
        path = self.files.path(segment)
        content = FileSlice(path, start, size)
        if self.files.size(segment) < start + size or crc_of(content) != crc:
            raise content_lost(message.id, path)
        content.seek(0)
        return io.BufferedReader(content, _BUFFER)

    def posts(self) -> Iterator[tuple[float, str]]:
        """Yield how many seconds ago the process that works on the queue has posted, and what."""
        now = time.time()
        for at, text in self.execute(
            "SELECT at, destinations FROM post WHERE at > ?", [now - _ALIVE]
        ):
            yield now - at, text

    def next_due(self, pass_over: PassOver) -> float | None:
        """Return when the next delivery that waits is due."""
        return earliest(self.connection, pass_over)
