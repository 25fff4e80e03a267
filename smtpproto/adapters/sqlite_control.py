"""A queue in an SQLite database, looked at and changed from outside, while another process may work
on it."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from ..errors import QueueFailed
from ..mail import Source
from ..mta.queue import Message
from ..mta.store import Entry, QueueStats, Selection
from .segments import Segments
from .sqlite_errors import errors_of
from .sqlite_schema import connect, directory_of
from .sqlite_tables import Tables

__all__ = ["QueueControl"]


class QueueControl:
    """Reads and changes the queue at *path*, whether or not an MTA works on it.

    ::

        with QueueControl("queue.db") as queue:
            queue.retry(Selection(recipient="@example.net"))

    A change is one transaction of the database, so it and the work of the MTA cannot mix: a
    delivery that the MTA has in hand is not changed. The MTA notices a change within about a
    second. All methods raise QueueFailed.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path).absolute()
        if not self._path.is_file():
            raise QueueFailed(f"there is no queue at {self._path}", check="the path of the queue")
        with errors_of(self._path):
            self._connection = connect(self._path)
        self._tables = Tables(self._connection, Segments(directory_of(self._path)))

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
        with errors_of(self._path):
            return self._tables.find(selection, limit)

    def content(self, message: Message) -> Source:
        """Return the content of *message*, which must still be in the queue."""
        with errors_of(self._path):
            return self._tables.content(message)

    def stats(self) -> QueueStats:
        """Return how much is in the queue."""
        with errors_of(self._path):
            return self._tables.stats()

    def hold(self, selection: Selection, reason: str) -> int:
        """Hold the waiting deliveries of *selection*; return how many."""
        with self._transaction():
            return self._tables.hold(selection, reason)

    def release(self, selection: Selection) -> int:
        """Let held deliveries wait again, due now; return how many."""
        with self._transaction():
            return self._tables.release(selection, time.time())

    def retry(self, selection: Selection) -> int:
        """Make waiting deliveries due now; return how many. A destination that does not answer
        stays paused."""
        with self._transaction():
            return self._tables.retry(selection, time.time())

    def drop(self, selection: Selection) -> int:
        """Take deliveries that wait or are held out of the queue, and tell nobody; return how
        many. The file of a large content is deleted later."""
        with self._transaction():
            return self._tables.drop(selection, time.time())[0]

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with errors_of(self._path), self._connection:  # which commits, or rolls back
            self._connection.execute("BEGIN IMMEDIATE")
            yield
