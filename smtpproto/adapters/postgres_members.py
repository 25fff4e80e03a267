"""The processes that deliver from a PostgreSQL queue, and share limits.

A process that joins gets a number. It has no part of a limit, and claims nothing, until all others
have noted in their rows that they have seen it, and keep to smaller parts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..mta.sharing import share_of

__all__ = ["NEWS", "Members", "remove"]

NEWS = "members"  # the payload of notifications that somebody has joined or left

Execute = Callable[..., Any]


class Members:
    """What this process knows of all, itself included. Threads may call :meth:`share`."""

    def __init__(self) -> None:
        self._number = 0  # of this process; 0 until it joins
        self._known: tuple[int, ...] = ()
        self._joins = False
        self.ready: bool = False
        """Whether all others know of this process."""

    def share(self, limit: int, what: str) -> int:
        """Return this process's part of *limit*."""
        return share_of(limit, what, self._number, self._known) if self.ready else 0

    def join(self, execute: Execute, owner: int, channel: str) -> None:
        """Join, if this process is no member yet, and look at the others."""
        if not self._number:
            # One after the other: who sees a number has seen all that are smaller.
            execute("LOCK TABLE member IN EXCLUSIVE MODE")
            remove(execute, [owner], channel)
            row = execute("INSERT INTO member (owner) VALUES (?) RETURNING number", (owner,))
            (self._number,) = row.fetchone()
            self._joins = True
        self.look(execute)

    def greet(self, execute: Execute, newest: int | None) -> None:
        """Look at the others if *newest*, the one that joined last, is not known."""
        if newest not in self._known:
            self.look(execute)

    def committed(self) -> None:
        """Take note that what was done in the transaction has happened."""
        self._joins = False

    def abandon(self) -> None:
        """Undo what was done in the transaction."""
        if self._joins:
            self.leave()

    def leave(self) -> None:
        """Be no member any more."""
        self._number, self._joins, self.ready = 0, False, False

    def look(self, execute: Execute) -> None:
        """Look who the members are, and tell them that this process knows."""
        if not self._number:
            return
        rows = execute(
            """SELECT number, seen FROM member JOIN owner ON owner.key = member.owner
            WHERE owner.lost IS NULL ORDER BY number"""
        ).fetchall()
        self._known = tuple(number for number, _ in rows)
        if self._number not in self._known:  # a crash of the database has undone it
            self.leave()
            return
        others = [seen for number, seen in rows if number != self._number]
        self.ready = all(seen >= self._number for seen in others)
        last = max(self._known)
        execute(
            "UPDATE member SET seen = ? WHERE number = ? AND seen <> ?", (last, self._number, last)
        )


def remove(execute: Execute, owners: Sequence[int], channel: str) -> None:
    """Remove processes that have died or left, and notify the others that the members change."""
    execute("DELETE FROM member WHERE owner = ANY(?)", ([*owners],))
    execute("SELECT pg_notify(?, ?)", (channel, NEWS))
