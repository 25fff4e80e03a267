"""What the operations on a PostgreSQL queue read and write."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, cast

from psycopg import errors

from ..errors import QueueFailed
from ..grammar.printable import printable
from ..mta.destination_stats import DestinationStats
from ..mta.queue import Delivery, Message, State
from ..mta.queue_text import read_message, write_destinations, write_log
from ..mta.settlement import Done, Settlement
from ..mta.store import Claim, PassOver, Queued
from .postgres_body import Spooled, Stored, chunks_of, gathered
from .postgres_claims import due_keys, earliest, lower_lanes, raise_lanes
from .postgres_connection import Connection, sql
from .postgres_members import Members, remove
from .queue_rows import (
    DELIVERY,
    MASK,
    SHIFT,
    STATES,
    delivery_of,
    delivery_row,
    message_row,
)
from .queue_tables import QueueTables, Rows
from .queue_turns import Place

__all__ = ["Tables", "wake_sleepers"]

_FORGET_AT_ONCE = 50  # messages, so that no settlement takes long

log: logging.Logger = logging.getLogger("smtpproto.queue")


class Tables(QueueTables):
    """The tables, over one connection, for the process *owner*. What enters the queue is gathered,
    and written by :meth:`finish`, before the commit."""

    greatest = "greatest"

    def __init__(
        self,
        connection: Connection,
        channel: str,
        owner: int = 0,
        members: Members | None = None,
    ) -> None:
        self.connection: Connection = connection
        self.channel: str = channel
        self.owner: int = owner
        self.members: Members = members or Members()
        self._new: list[tuple[tuple[Any, ...], Queued, bytes | Stored]] = []
        self._least: dict[Place, float] = {}  # of lanes with deliveries that wait from now on
        self.wakes: bool = False
        """Whether the transaction has something to do for processes that sleep."""

    def execute(self, statement: str, values: Sequence[Any] = ()) -> Rows:
        """Run *statement*."""
        return self.connection.execute(sql(statement), values)

    # -- writing -----------------------------------------------------------------------------

    def store(self, content: Spooled, owner: int) -> Stored:
        """Write a large content, in a transaction of its own, for the process *owner*."""
        with self.connection.transaction():
            self.execute("SET LOCAL synchronous_commit = off")  # put() brings it to the disk
            (key,) = self.execute("SELECT nextval('message_key')").fetchone()
            self.execute("INSERT INTO arriving VALUES (?, ?)", (key, owner))
            self._insert_bodies([(key, content)])
        return Stored(key)

    def discard(self, content: Stored) -> None:
        """Remove a content whose message did not enter the queue."""
        self._forget_arriving("message = ?", content.key)

    def _forget_arriving(self, where: str, value: object) -> None:
        self.execute(
            f"""WITH gone AS (DELETE FROM arriving WHERE {where} RETURNING message)
            DELETE FROM body USING gone WHERE body.message = gone.message""",
            (value,),
        )

    def put(self, queued: Queued, content: bytes | Stored) -> None:
        """Add a message at the end of the transaction."""
        self._new.append((message_row(queued), queued, content))

    def finish(self) -> None:
        """Write what was gathered. Raises ValueError if an id is known."""
        new, self._new = self._new, []
        if new:
            self._insert(new)
        least, self._least = self._least, {}
        lower_lanes(self.connection, least)

    def abandon(self) -> None:
        """Forget what was gathered: the transaction is undone."""
        self._new.clear()
        self._least.clear()
        self.wakes = False
        self.members.abandon()

    def _insert(self, new: Sequence[tuple[tuple[Any, ...], Queued, bytes | Stored]]) -> None:
        keys = self._keys([content for _, _, content in new])
        keyed = [(key, *it) for key, it in zip(keys, new, strict=True)]
        cursor = self.connection.cursor()
        try:
            cursor.executemany(
                sql(f"INSERT INTO message VALUES (?{', ?' * 8}, NULL)"),
                [(key, *row) for key, row, _, _ in keyed],
            )
        except errors.UniqueViolation:
            raise ValueError("a message with this id is in the queue already") from None
        self._insert_bodies(
            [(key, content) for key, _, _, content in keyed if isinstance(content, bytes)]
        )
        cursor.executemany(
            sql(f"INSERT INTO delivery VALUES (?{', ?' * 11}, NULL, NULL, NULL)"),
            [
                delivery_row(key, queued.message, it)
                for key, _, queued, _ in keyed
                for it in queued.deliveries
            ],
        )
        self.wakes = True
        for _, _, queued, _ in keyed:
            message = queued.message
            for it in queued.deliveries:
                if it.state is State.WAITING:
                    priority = message.parameters.mt_priority or 0
                    self._wait((priority, it.domain, message.origin), it.due)

    def _keys(self, contents: Sequence[bytes | Stored]) -> list[int]:
        """Return the keys of new messages. Raises QueueFailed if a content was stored before, but
        is not there any more."""
        stored = [it.key for it in contents if isinstance(it, Stored)]
        gone = "DELETE FROM arriving WHERE message = ANY(?)"
        if stored and self.execute(gone, (stored,)).rowcount < len(stored):
            raise QueueFailed("a content was given up, because this process counted as dead")
        fresh = iter(
            self.execute(
                "SELECT nextval('message_key') FROM generate_series(1, ?)",
                (len(contents) - len(stored),),
            ).fetchall()
        )
        return [it.key if isinstance(it, Stored) else next(fresh)[0] for it in contents]

    def _insert_bodies(self, contents: Sequence[tuple[int, bytes | Spooled]]) -> None:
        self.connection.cursor().executemany(
            sql("INSERT INTO body VALUES (?, ?, ?, %b)"),
            ((key, *chunk) for key, content in contents for chunk in chunks_of(content)),
        )

    def _wait(self, place: Place, due: float) -> None:
        """Note that a delivery of the lane *place* waits from now on."""
        self._least[place] = min(due, self._least.get(place, due))

    def claim(
        self, now: float, limit: int, due: Callable[[Delivery], float], pass_over: PassOver
    ) -> list[Claim]:
        """Lease deliveries: see :meth:`.QueueStore.claim`. One that cannot be read is held."""
        self.finish()
        if not self.members.ready:
            self.members.join(self.execute, self.owner, self.channel)
            if not self.members.ready:
                return []
        keys, early = due_keys(self.connection, now, limit, pass_over)
        claims: list[Claim] = []
        if keys:
            self._lease(keys, due, claims)
        elif limit:
            self.execute("INSERT INTO sleeper VALUES (?) ON CONFLICT DO NOTHING", (self.owner,))
        if early:
            raise_lanes(self.connection, early)
        return claims

    def _lease(
        self, keys: Sequence[int], due: Callable[[Delivery], float], claims: list[Claim]
    ) -> None:
        """Lease the deliveries with *keys*, and add them to *claims*."""
        messages = {
            key: row
            for key, *row in self.execute(
                "SELECT key, id, size, data FROM message WHERE key = ANY(?)",
                ([*{key >> SHIFT for key in keys}],),
            )
        }
        rows = {
            row[0]: row
            for row in self.execute(f"SELECT {DELIVERY} FROM delivery WHERE key = ANY(?)", (keys,))
        }
        by_message: dict[int, list[int]] = {}
        for key in keys:
            by_message.setdefault(key >> SHIFT, []).append(key)
        leased: list[tuple[int, int, float]] = []
        for message_key, its_keys in by_message.items():
            name, size, data = messages.get(message_key, ("?", 0, ""))
            try:
                message = read_message(name, size, data)
                waiting = [delivery_of(name, rows[key]) for key in sorted(its_keys)]
            except QueueFailed as error:
                log.error("%s", error)
                self.hold_message(message_key, printable(error.message))
                continue
            deliveries = tuple(it.leased(due(it)) for it in waiting)
            claims.append(Claim(message=message, deliveries=deliveries))
            leased += [(message_key << SHIFT | it.number, it.attempts, it.due) for it in deliveries]
        if leased:
            self.execute(
                """UPDATE delivery SET state = 1, owner = ?, attempts = l.attempts, due = l.due
                FROM unnest(?::bigint[], ?::integer[], ?::double precision[])
                AS l(key, attempts, due) WHERE delivery.key = l.key""",
                (self.owner, *map(list, zip(*leased, strict=True))),
            )

    def settle(self, settlements: Sequence[Settlement], now: float) -> list[str]:
        """Write what became of deliveries; return the ids of the messages that left. Raises
        ValueError for one that is not leased by this process, or was claimed since."""
        if not settlements:
            return []
        rows = self.execute(
            """UPDATE delivery SET state = s.state, due = s.due, attempts = s.attempts,
            warned = s.warned, reason = s.reason, log = s.log, fate = s.fate, at = ?, owner = NULL
            FROM unnest(?::text[], ?::integer[], ?::integer[], ?::smallint[],
                ?::double precision[], ?::integer[], ?::boolean[], ?::text[], ?::text[], ?::text[])
            AS s(id, number, claimed, state, due, attempts, warned, reason, log, fate)
            JOIN message ON message.id = s.id
            WHERE delivery.key = (message.key << 20) + s.number AND delivery.state = 1
            AND delivery.fate IS NULL AND owner = ? AND delivery.attempts = s.claimed
            RETURNING delivery.key, message.id, delivery.fate, delivery.state, delivery.due,
            delivery.priority, delivery.domain, delivery.origin""",
            (now, *map(list, zip(*map(_settlement_row, settlements), strict=True)), self.owner),
        ).fetchall()
        if len(rows) < len(settlements):
            raise _not_leased(settlements, {(name, key & MASK) for key, name, *_ in rows})
        touched: dict[int, str] = {}
        for key, name, fate, state, due, *place in rows:
            if fate is not None:
                touched[key >> SHIFT] = name
            elif state == STATES[State.WAITING]:
                self._wait(cast("Place", tuple(place)), due)
                self.wakes = self.wakes or due <= now
        return self._leave(touched, now)

    def _leave(self, touched: dict[int, str], now: float) -> list[str]:
        """Remove the contents of those messages of *touched* that have no delivery left. Another
        process may end the last of the others now; the second to lock the message sees both."""
        left = self._leave_now([*touched], now)
        rest = touched.keys() - {key for key, _ in left}
        if rest:
            lock = "SELECT 1 FROM message WHERE key = ANY(?) ORDER BY key FOR NO KEY UPDATE"
            self.execute(lock, ([*rest],))
            left += self._leave_now([*rest], now)
        return [name for _, name in left]

    def _leave_now(self, keys: Sequence[int], now: float) -> list[tuple[int, str]]:
        if not keys:
            return []
        return self.execute(
            """WITH gone AS (
                UPDATE message SET "left" = ? WHERE key = ANY(?) AND NOT EXISTS (
                    SELECT 1 FROM delivery WHERE delivery.key >= message.key << 20
                    AND delivery.key < (message.key + 1) << 20 AND fate IS NULL)
                RETURNING key, id),
            freed AS (DELETE FROM body USING gone WHERE body.message = gone.key)
            SELECT key, id FROM gone""",
            (now, keys),
        ).fetchall()

    def forget(self, before: float) -> None:
        """Remove what is known of some messages that left the queue *before*."""
        self.execute(
            """WITH old AS MATERIALIZED (
                SELECT key FROM message WHERE "left" < ? ORDER BY "left" LIMIT ?
                FOR UPDATE SKIP LOCKED),
            gone AS (
                DELETE FROM delivery USING old WHERE delivery.key >= old.key << 20
                AND delivery.key < (old.key + 1) << 20)
            DELETE FROM message USING old WHERE message.key = old.key""",
            (before, _FORGET_AT_ONCE),
        )

    def _change(self, what: str, where: str, values: Sequence[Any], known: str = "") -> int:
        """Set *what* of deliveries; note those that wait then. *known* begins the statement, if
        *where* needs more."""
        self.finish()
        rows = self.execute(
            f"""WITH {known} changed AS (
                UPDATE delivery SET {what} WHERE {where}
                RETURNING state, due, priority, domain, origin)
            SELECT count(*), state, min(due), priority, domain, origin FROM changed
            GROUP BY state, priority, domain, origin""",
            values,
        )
        number = 0
        for count, state, due, *place in rows:
            number += count
            if state == STATES[State.WAITING]:
                self._wait(cast("Place", tuple(place)), due)
                self.wakes = True
        return number

    def post(self, known: Mapping[str, DestinationStats], now: float) -> None:
        """Let others see what is *known* of destinations: see :meth:`.QueueStore.post`."""
        self.execute(
            """INSERT INTO post VALUES (?, clock_timestamp(), ?) ON CONFLICT (owner)
            DO UPDATE SET at = excluded.at, destinations = excluded.destinations""",
            (self.owner, write_destinations(known, now)),
        )

    def give_up(self, owners: Sequence[int]) -> int:
        """Let the deliveries wait that the processes *owners* had leased; return how many. They
        are no members any more."""
        remove(self.execute, owners, self.channel)
        self.execute("DELETE FROM post WHERE owner = ANY(?)", ([*owners],))
        self._forget_arriving("owner = ANY(?)", [*owners])
        where = "owner = ANY(?) AND state = 1 AND fate IS NULL"
        return self._change("state = 0, owner = NULL", where, ([*owners],))

    def agree(self, leased: Iterable[Delivery]) -> list[tuple[str, int]]:
        """Make the deliveries *leased* those that this process has leased. After the connection was
        lost it may have more, of a claim that nobody knows of; or less, if the database has
        lost its last claims. Return those that it cannot have any more: messages and numbers."""
        known = [(it.message, it.number, it.attempts, it.due) for it in leased]
        columns = [list(column) for column in zip(*known, strict=True)] or [[], [], [], []]
        keyed = """known AS MATERIALIZED (
            SELECT (message.key << 20) + k.number AS key, k.id, k.number, k.attempts, k.due
            FROM unnest(?::text[], ?::integer[], ?::integer[], ?::double precision[])
            AS k(id, number, attempts, due) JOIN message ON message.id = k.id)"""
        self.execute(
            f"""WITH {keyed} UPDATE delivery SET state = 1, owner = ?, attempts = known.attempts,
            due = known.due FROM known WHERE delivery.key = known.key AND state = 0
            AND fate IS NULL AND delivery.attempts = known.attempts - 1""",
            (*columns, self.owner),
        )
        self._change(
            "state = 0, owner = NULL",
            "owner = ? AND state = 1 AND fate IS NULL AND key NOT IN (SELECT key FROM known)",
            (*columns, self.owner),
            f"{keyed},",
        )
        return self.execute(
            f"""WITH {keyed} SELECT id, number FROM known LEFT JOIN delivery
            ON delivery.key = known.key AND owner = ? AND state = 1
            AND delivery.attempts = known.attempts WHERE delivery.key IS NULL""",
            (*columns, self.owner),
        ).fetchall()

    # -- reading -----------------------------------------------------------------------------

    def content(self, message: Message) -> bytes | BinaryIO:
        """Return the content. Raises ContentLost if it is missing or damaged."""
        row = self.execute(
            'SELECT key, size FROM message WHERE id = ? AND "left" IS NULL', (message.id,)
        ).fetchone()
        if row is None:
            raise QueueFailed(f"message {message.id} is not in the queue")
        key, size = row
        cursor = self.connection.cursor(binary=True)
        chunks = cursor.stream(
            sql("SELECT number, crc, octets FROM body WHERE message = ? ORDER BY number"), (key,)
        )
        return gathered(cast("Any", chunks), size, message.id)

    def posts(self) -> Iterator[tuple[float, str]]:
        """Yield how many seconds ago each process that lives has posted, and what."""
        yield from self.execute(
            """SELECT extract(epoch FROM clock_timestamp() - at)::double precision, destinations
            FROM post JOIN owner ON owner.key = post.owner WHERE lost IS NULL
            AND beat + patience * interval '1 second' > clock_timestamp()"""
        )

    def next_due(self, pass_over: PassOver) -> float | None:
        """Return when the next delivery that waits is due."""
        return earliest(self.connection, pass_over)


def wake_sleepers(tables: Tables) -> None:
    """Notify the processes that sleep, if the last transaction has something for them. It comes
    after the commit: who falls asleep later has seen that."""
    if not tables.wakes:
        return
    tables.wakes = False
    others = "FROM sleeper WHERE owner <> ?"
    if tables.execute(f"SELECT 1 {others} LIMIT 1", (tables.owner,)).fetchone():
        with tables.connection.transaction():
            tables.execute("SET LOCAL synchronous_commit = off")
            tables.execute(
                f"WITH woken AS (DELETE {others} RETURNING 1) SELECT pg_notify(?, '') FROM woken",
                (tables.owner, tables.channel),
            )


def _settlement_row(settlement: Settlement) -> tuple[Any, ...]:
    it, decision = settlement.delivery_after, settlement.decision
    fate = decision.fate.value if isinstance(decision, Done) else None
    claimed = settlement.delivery.attempts
    return (
        it.message, it.number, claimed, STATES[it.state], it.due, it.attempts, it.warned,
        it.reason, write_log(it.log), fate,
    )  # fmt: skip


def _not_leased(settlements: Sequence[Settlement], settled: set[tuple[str, int]]) -> ValueError:
    names = ((it.delivery.message, it.delivery.number) for it in settlements)
    name, number = next(it for it in names if it not in settled)
    return ValueError(
        f"delivery {number} of {name} is not leased, or not by this process any more, because it "
        "did not answer for too long"
    )
