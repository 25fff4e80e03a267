"""A queue in an SQLite database, looked at and changed from outside, while another process may work
on it."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from ..errors import QueueFailed
from ..mail import Source
from ..mta.queue import Message
from ..mta.store import Entry, QueueStats, Selection
from .segments import Segments
from .sqlite_schema import check_version, connect
from .sqlite_tables import Tables
from .sqlite_writer import failure

__all__ = ["QueueControl"]

T = TypeVar("T")


class QueueControl:
    """Reads and changes the queue at *path*, whether or not an MTA works on it.

    ::

        with QueueControl("queue.db") as queue:
            queue.retry(Selection(recipient="@example.net"))

    A change is one transaction of the database, so it and the work of the MTA cannot mix: a
    delivery that the MTA has in hand is not changed. The MTA sees a change when it next looks for
    work, within a minute. All methods raise QueueFailed.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path).absolute()
        if not self._path.is_file():
            raise QueueFailed(f"there is no queue at {self._path}", check="the path of the queue")
        try:
            self._connection = connect(self._path)
        except (sqlite3.Error, OSError) as error:
            raise failure(error, self._path) from error
        try:
            check_version(self._connection, self._path)
            bodies = Segments(self._path.with_name(self._path.name + ".bodies"))
            self._tables = Tables(self._connection, bodies)
        except (sqlite3.Error, OSError) as error:
            self.close()
            raise failure(error, self._path) from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def find(self, selection: Selection, limit: int = 100) -> Sequence[Entry]:
        """Return the first *limit* messages that *selection* selects: see
        :meth:`.QueueStore.find`."""
        return self._do(lambda: self._tables.find(selection, limit))

    def content(self, message: Message) -> Source:
        """Return the content of *message*, which must still be in the queue."""
        return self._do(lambda: self._tables.content(message))

    def stats(self) -> QueueStats:
        """Return how much is in the queue."""
        return self._do(self._tables.stats)

    def hold(self, selection: Selection, reason: str) -> int:
        """Hold the waiting deliveries of *selection*; return how many."""
        return self._change(lambda: self._tables.hold(selection, reason))

    def release(self, selection: Selection) -> int:
        """Let held deliveries wait again, due now; return how many."""
        return self._change(lambda: self._tables.release(selection, time.time()))

    def retry(self, selection: Selection) -> int:
        """Make waiting deliveries due now; return how many. A destination that does not answer
        stays paused."""
        return self._change(lambda: self._tables.retry(selection, time.time()))

    def drop(self, selection: Selection) -> int:
        """Take deliveries that wait or are held out of the queue, and tell nobody; return how
        many. The file of a large content is deleted later."""
        return self._change(lambda: self._tables.drop(selection, time.time())[0])

    def _do(self, function: Callable[[], T]) -> T:
        try:
            return function()
        except (sqlite3.Error, OSError) as error:
            raise failure(error, self._path) from error

    def _change(self, function: Callable[[], T]) -> T:
        def change() -> T:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                result = function()
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
            return result

        return self._do(change)
