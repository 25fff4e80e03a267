"""The states of guards in a small database of SQLite, for processes on one machine."""

from __future__ import annotations

import sqlite3
import struct
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from attrs import define, field
from attrs.validators import ge

from ..errors import StatesFailed
from ..limits import KEPT_STATES
from ..policy.state_store import Change, Record, State
from ..ports import Runtime
from .sqlite_errors import make_private, set_aside

__all__ = ["SQLiteStates"]

T = TypeVar("T")

_PATIENCE = 10.0  # seconds to wait for other processes
_PURGE = 1000  # updates after which states are looked for that are to be forgotten
_SCHEMA = """
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    CREATE TABLE IF NOT EXISTS states (
        kind TEXT NOT NULL, name TEXT NOT NULL, expires REAL NOT NULL, state BLOB NOT NULL,
        PRIMARY KEY (kind, name)
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS by_expiry ON states (kind, expires);
"""
_SELECT = "SELECT state FROM states WHERE kind = ? AND name = ? AND expires > ?"
_KEEP = "INSERT OR REPLACE INTO states VALUES (?, ?, ?, ?)"
_FORGET = "DELETE FROM states WHERE kind = ? AND name = ?"
_EXPIRED = "DELETE FROM states WHERE kind = ? AND expires <= ?"
_EXCESS = """
    DELETE FROM states WHERE kind = ? AND name IN (
        SELECT name FROM states WHERE kind = ? ORDER BY expires DESC LIMIT -1 OFFSET ?
    )
"""


@define
class SQLiteStates:
    """Implements :class:`smtpproto.policy.StateStore` by the file *path*, which is made if needed.

    It keeps about *most* states of each kind. After a power loss the last ones may be gone. If the
    file is damaged, all are lost: it is renamed to end in ``.damaged``.
    """

    path: Path = field(converter=Path)
    most: int = field(default=10 * KEPT_STATES, validator=ge(1), kw_only=True)
    _lock: threading.Lock = field(factory=threading.Lock, init=False, eq=False, repr=False)
    _database: sqlite3.Connection | None = field(default=None, init=False, eq=False, repr=False)
    _updates: int = field(default=0, init=False, eq=False, repr=False)  # since it was opened

    async def update(self, keys: Sequence[str], change: Change[T], runtime: Runtime) -> T:
        """See :meth:`.StateStore.update`. The time is that of this machine."""
        return await runtime.in_thread(partial(self._update, keys, change, runtime))

    async def close(self) -> None:
        """Close the database; the next update opens it again."""
        with self._lock:
            self._close()

    def _update(self, keys: Sequence[str], change: Change[T], runtime: Runtime) -> T:
        with self._lock:
            try:
                database = self._database or self._open()
                with database:
                    database.execute("BEGIN IMMEDIATE")
                    return self._change(database, keys, change, runtime.utc())
            except (sqlite3.Error, OSError) as error:
                self._close()
                set_aside(self.path, error)
                raise StatesFailed(
                    f"the states of guards in {self.path} failed: {error}"
                ) from error

    def _change(
        self, database: sqlite3.Connection, keys: Sequence[str], change: Change[T], now: float
    ) -> T:
        places = [_place(key) for key in keys]
        states = [_read(database, *place, now) for place in places]
        result, records = change(states, now)
        for place, record in zip(places, records, strict=True):
            if record is not None:
                _write(database, *place, record, now)
        if self._updates % _PURGE == 0:
            for (kind,) in database.execute("SELECT DISTINCT kind FROM states").fetchall():
                database.execute(_EXPIRED, (kind, now))
                database.execute(_EXCESS, (kind, kind, self.most))
        self._updates += 1
        return result

    def _open(self) -> sqlite3.Connection:
        make_private(self.path)
        self._database = database = sqlite3.connect(
            self.path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False
        )
        database.executescript(_SCHEMA)
        return database

    def _close(self) -> None:
        database, self._database, self._updates = self._database, None, 0
        if database is not None:
            database.close()


def _place(key: str) -> tuple[str, str]:
    kind, _, name = key.partition(":")
    return kind, name


def _read(database: sqlite3.Connection, kind: str, name: str, now: float) -> State:
    row = database.execute(_SELECT, (kind, name, now)).fetchone()
    return () if row is None else struct.unpack(f"<{len(row[0]) // 8}d", row[0])


def _write(database: sqlite3.Connection, kind: str, name: str, record: Record, now: float) -> None:
    if record.expires <= now:
        database.execute(_FORGET, (kind, name))
    else:
        state = struct.pack(f"<{len(record.state)}d", *record.state)
        database.execute(_KEEP, (kind, name, record.expires, state))
