"""MTA-STS policies in a small database of SQLite, under asyncio, under trio and in threads."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from attrs import field, frozen

from ..errors import GrammarError
from ..limits import STS_POLICIES
from ..policy.mta_sts import MTASTSPolicy
from ..policy.mta_sts_store import KeptPolicy
from ..ports import Runtime
from .sqlite_errors import make_private, set_aside

__all__ = ["SQLitePolicies"]

_log = logging.getLogger("smtpproto.policy")

_SCHEMA = """
    CREATE TABLE IF NOT EXISTS policies (
        domain TEXT PRIMARY KEY, id TEXT NOT NULL, fetched_at REAL NOT NULL,
        expires REAL NOT NULL, policy BLOB NOT NULL
    );
    CREATE INDEX IF NOT EXISTS by_expiry ON policies (expires);
"""
_SELECT = """
    SELECT CAST(domain AS TEXT), CAST(id AS TEXT), CAST(fetched_at AS REAL), CAST(policy AS BLOB)
    FROM policies WHERE expires > ? ORDER BY expires DESC LIMIT ?
"""
_INSERT = "INSERT OR REPLACE INTO policies VALUES (?, ?, ?, ?, ?)"
_BOUND = """
    DELETE FROM policies
    WHERE domain IN (SELECT domain FROM policies ORDER BY expires DESC LIMIT -1 OFFSET ?)
"""

T = TypeVar("T")


@frozen
class SQLitePolicies:
    """Implements :class:`smtpproto.policy.MTASTSStore` by a file of its own.

    *path* is the file, which is made if needed. If it is damaged, the policies are lost, and it is
    renamed to end in ``.damaged``.
    """

    path: Path = field(converter=Path)

    async def load(self, runtime: Runtime) -> Sequence[KeptPolicy]:
        """Return the policies that are not too old."""
        arguments = runtime.utc(), STS_POLICIES

        def read(database: sqlite3.Connection) -> Sequence[KeptPolicy]:
            return [_kept(*row) for row in database.execute(_SELECT, arguments)]

        return await runtime.in_thread(partial(self._work, read)) or ()

    async def save(self, kept: KeptPolicy, runtime: Runtime) -> None:
        """Keep a policy; if there are too many, those are lost that end first."""

        def write(database: sqlite3.Connection) -> None:
            row = kept.domain, kept.id, kept.fetched_at, kept.expires, bytes(kept.policy)
            database.execute(_INSERT, row)
            database.execute(_BOUND, [STS_POLICIES])

        await runtime.in_thread(partial(self._work, write))

    def _work(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        """Return what *work* returns for the database; None if it fails."""
        make_private(self.path)
        try:
            with contextlib.closing(sqlite3.connect(self.path)) as database, database:
                database.executescript(_SCHEMA)
                return work(database)
        except (sqlite3.Error, OSError, GrammarError) as error:
            _log.warning("the MTA-STS policies in %s cannot be kept: %s", self.path, error)
            set_aside(self.path, error)
            return None


def _kept(domain: str, version: str, fetched_at: float, policy: bytes) -> KeptPolicy:
    parsed = MTASTSPolicy.parse(policy)
    return KeptPolicy(domain=domain, id=version, fetched_at=fetched_at, policy=parsed)
