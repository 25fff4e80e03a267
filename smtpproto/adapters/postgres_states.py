"""The states of guards in a PostgreSQL database, for processes on several machines."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import partial
from typing import TypeVar

from attrs import Factory, define, field
from attrs.validators import ge

from ..errors import StatesFailed
from ..limits import KEPT_STATES
from ..policy.state_store import Change
from ..ports import Runtime
from .postgres_connection import Connection, Database, psycopg, sql

__all__ = ["PostgresStates"]

T = TypeVar("T")

_CONNECTIONS = 4  # of a process, at the same time
_PATIENCE = 10.0  # seconds that a transaction may be silent, for example because its process hangs
_PURGE = 1000  # updates after which states are looked for that are to be forgotten
_LOCK_ALL = "SELECT pg_advisory_xact_lock(hashtext(?))"
_SCHEMA = """
    CREATE SCHEMA IF NOT EXISTS "{schema}";
    CREATE TABLE IF NOT EXISTS guard_state (
        kind text COLLATE "C" NOT NULL, name text COLLATE "C" NOT NULL,
        expires double precision NOT NULL, state double precision[] NOT NULL,
        PRIMARY KEY (kind, name)
    );
    CREATE INDEX IF NOT EXISTS guard_state_expiry ON guard_state (kind, expires);
"""
# Rows that do not exist yet cannot be locked, so their names are: in the same order by all.
_LOCK = """
    SELECT pg_advisory_xact_lock(hash)
    FROM (SELECT DISTINCT hashtextextended(key, 0) AS hash FROM unnest(?::text[]) AS key
          ORDER BY hash) AS hashes
"""
_SELECT = """
    SELECT extract(epoch FROM statement_timestamp())::double precision, state
    FROM unnest(?::text[], ?::text[]) WITH ORDINALITY AS wanted (kind, name, number)
    LEFT JOIN guard_state ON guard_state.kind = wanted.kind AND guard_state.name = wanted.name
        AND expires > extract(epoch FROM statement_timestamp())
    ORDER BY number
"""
_KEEP = """
    INSERT INTO guard_state VALUES (?, ?, ?, ?)
    ON CONFLICT (kind, name) DO UPDATE SET expires = excluded.expires, state = excluded.state
"""
_KINDS = "SELECT DISTINCT kind FROM guard_state"
_EXPIRED = "DELETE FROM guard_state WHERE kind = ? AND expires <= ?"
_EXCESS = """
    DELETE FROM guard_state WHERE kind = ? AND expires <
        (SELECT expires FROM guard_state WHERE kind = ? ORDER BY expires DESC OFFSET ? LIMIT 1)
"""


def _database(states: PostgresStates) -> Database:
    return Database(states.url, states.schema, _PATIENCE)


@define
class PostgresStates:
    """Implements :class:`smtpproto.policy.StateStore` in the database at *url*, as libpq takes it.

    The time is that of the database. It keeps about *most* states of each kind, in a table of
    *schema*, which may be that of a queue. Raises ValueError for what is not a URL.
    """

    url: str = field(repr=False)
    schema: str = field(default="smtpproto", kw_only=True)
    most: int = field(default=10 * KEPT_STATES, validator=ge(1), kw_only=True)
    _database: Database = field(
        default=Factory(_database, takes_self=True), init=False, eq=False, repr=False
    )
    _slots: threading.BoundedSemaphore = field(
        factory=lambda: threading.BoundedSemaphore(_CONNECTIONS), init=False, eq=False, repr=False
    )
    _free: list[Connection] = field(factory=list, init=False, eq=False, repr=False)
    _updates: int = field(default=0, init=False, eq=False, repr=False)  # since it was opened

    async def update(self, keys: Sequence[str], change: Change[T], runtime: Runtime) -> T:
        """See :meth:`.StateStore.update`."""
        return await runtime.in_thread(partial(self._update, keys, change))

    async def close(self) -> None:
        """Close the connections; the next update opens one again."""
        free, self._free, self._updates = self._free, [], 0
        for connection in free:
            connection.close()

    def _update(self, keys: Sequence[str], change: Change[T]) -> T:
        with self._slots:
            try:
                if (free := self._take()) is not None:
                    try:
                        return self._transaction(free, keys, change)
                    except psycopg.OperationalError:  # for example, the database was restarted
                        pass
                return self._transaction(self._connect(), keys, change)
            except psycopg.Error as error:
                text = " ".join(str(error).split())
                raise StatesFailed(
                    f"the states of guards in {self._database.name} failed: {text}"
                ) from error

    def _take(self) -> Connection | None:
        """Return a connection that is free, if there is one. Threads may call this."""
        try:
            return self._free.pop()
        except IndexError:
            return None

    def _connect(self) -> Connection:
        connection = self._database.connect()
        with connection.transaction():
            connection.execute(sql(_LOCK_ALL), (self.schema,))
            connection.execute(sql(_SCHEMA.format(schema=self.schema)))
        return connection

    def _transaction(self, connection: Connection, keys: Sequence[str], change: Change[T]) -> T:
        try:
            with connection.transaction():
                result = self._change(connection, keys, change)
        except BaseException:
            connection.close()
            raise
        self._free.append(connection)
        return result

    def _change(self, connection: Connection, keys: Sequence[str], change: Change[T]) -> T:
        places = [key.partition(":") for key in keys]
        kinds, names = [kind for kind, _, _ in places], [name for _, _, name in places]
        connection.execute(sql(_LOCK), ([*keys],))
        rows = connection.execute(sql(_SELECT), (kinds, names)).fetchall()
        now: float = rows[0][0]
        result, records = change([tuple(state or ()) for _, state in rows], now)
        for kind, name, record in zip(kinds, names, records, strict=True):
            if record is not None:
                state = [*map(float, record.state)]
                connection.execute(sql(_KEEP), (kind, name, record.expires, state))
        if self._updates % _PURGE == 0:
            for (kind,) in connection.execute(sql(_KINDS)).fetchall():
                connection.execute(sql(_EXPIRED), (kind, now))
                connection.execute(sql(_EXCESS), (kind, kind, self.most - 1))
        self._updates += 1
        return result
