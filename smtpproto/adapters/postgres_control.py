"""A queue in a PostgreSQL database, looked at and changed from outside, while other processes may
work on it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager

from .postgres_connection import Database
from .postgres_schema import set_up
from .postgres_tables import Tables, wake_sleepers
from .queue_control import QueueControl

__all__ = ["PostgresControl"]


class PostgresControl(QueueControl):
    """Reads and changes the queue at *url*: see :class:`.QueueControl`. Raises ValueError for what
    is not a URL."""

    def __init__(self, url: str, schema: str = "smtpproto") -> None:
        self._database = Database(url, schema, patience=60)
        with self._database.errors():
            self._connection = self._database.connect()
            try:
                set_up(self._connection, self._database, create=False)
            except BaseException:
                self._connection.close()
                raise
        self._tables = self._written = Tables(self._connection, self._database.channel)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _reading(self) -> AbstractContextManager[object]:
        return self._database.errors()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        with self._database.errors():
            with self._connection.transaction():
                yield
                self._written.finish()
            wake_sleepers(self._written)
