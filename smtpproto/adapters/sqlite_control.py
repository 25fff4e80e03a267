"""A queue in an SQLite database, looked at and changed from outside, while another process may work
on it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from ..errors import QueueFailed
from .queue_control import QueueControl
from .segments import Segments
from .sqlite_errors import errors_of
from .sqlite_schema import connect, directory_of
from .sqlite_tables import Tables

__all__ = ["SQLiteControl"]


class SQLiteControl(QueueControl):
    """Reads and changes the queue at *path*: see :class:`.QueueControl`.

    ::

        with SQLiteControl("queue.db") as queue:
            queue.retry(Selection(recipient="@example.net"))
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

    def _reading(self) -> AbstractContextManager[object]:
        return errors_of(self._path)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        with errors_of(self._path), self._connection:  # which commits, or rolls back
            self._connection.execute("BEGIN IMMEDIATE")
            yield
