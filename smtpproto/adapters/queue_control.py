"""A queue in a database, looked at and changed from outside."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

from ..mail import Source
from ..mta.queue import Message
from ..mta.store import Entry, QueueStats, Selection
from .queue_tables import QueueTables

__all__ = ["QueueControl"]


class QueueControl:
    """Reads and changes a queue, whether or not an MTA works on it.

    A change is one transaction of the database, so it and the work of the MTA cannot mix: a
    delivery that the MTA has in hand is not changed. The MTA notices a change within about a
    second. All methods raise QueueFailed.
    """

    _tables: QueueTables

    def close(self) -> None:
        """Close the database."""
        raise NotImplementedError

    def _reading(self) -> AbstractContextManager[object]:
        """Return a context in which the tables are read. It raises errors as QueueFailed."""
        raise NotImplementedError

    def _writing(self) -> AbstractContextManager[object]:
        """Return a context of a transaction. It raises errors as QueueFailed."""
        raise NotImplementedError

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
        with self._reading():
            return self._tables.find(selection, limit)

    def content(self, message: Message) -> Source:
        """Return the content of *message*, which must still be in the queue."""
        with self._reading():
            return self._tables.content(message)

    def stats(self) -> QueueStats:
        """Return how much is in the queue."""
        with self._reading():
            return self._tables.stats()

    def hold(self, selection: Selection, reason: str) -> int:
        """Hold the waiting deliveries of *selection*; return how many."""
        with self._writing():
            return self._tables.hold(selection, reason)

    def release(self, selection: Selection) -> int:
        """Let held deliveries wait again, due now; return how many."""
        with self._writing():
            return self._tables.release(selection, time.time())

    def retry(self, selection: Selection) -> int:
        """Make waiting deliveries due now; return how many. A destination that does not answer
        stays paused."""
        with self._writing():
            return self._tables.retry(selection, time.time())

    def drop(self, selection: Selection) -> int:
        """Take deliveries that wait or are held out of the queue, and tell nobody; return how
        many. The file of a large content is deleted later."""
        with self._writing():
            return self._tables.drop(selection, time.time())[0]
