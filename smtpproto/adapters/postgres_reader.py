"""Connections that read a PostgreSQL queue, or wait for news of it, while its thread writes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TypeVar

import psycopg

from ..ports import call_contained
from .postgres_connection import Database, sql
from .postgres_tables import Tables

__all__ = ["Ears", "Reader"]

_MOST = 4  # connections
_WAIT = 0.5  # seconds, after which it looks whether to stop

T = TypeVar("T")
log: logging.Logger = logging.getLogger("smtpproto.queue")


class Reader:
    """Reads the database. Threads may use it: four read at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._slots = threading.Semaphore(_MOST)
        self._idle: list[Tables] = []

    def read(self, function: Callable[[Tables], T]) -> T:
        """Return what *function* returns, which only reads. Raises QueueFailed."""
        with self._slots, self._database.errors():
            while True:
                known = self._known()
                tables = known or Tables(self._database.reconnect(), self._database.channel)
                try:
                    result = function(tables)
                except BaseException as error:
                    lost = isinstance(error, psycopg.OperationalError) and tables.connection.closed
                    tables.connection.close()
                    if known is None or not lost:
                        raise
                else:
                    self._idle.append(tables)
                    return result

    def _known(self) -> Tables | None:
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def close(self) -> None:
        """Close the connections, once nobody reads."""
        for _ in range(_MOST):
            self._slots.acquire()
        while self._idle:
            self._idle.pop().connection.close()
        self._slots.release(_MOST)


class Ears:
    """A thread that calls *changed* after a notification, with its payload."""

    def __init__(self, database: Database, changed: Callable[[str], object]) -> None:
        self._database, self._changed = database, changed
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="smtpproto notices", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                with self._database.connect() as connection:
                    connection.execute(sql(f'LISTEN "{self._database.channel}"'))
                    self._tell("")  # of what was missed
                    while not self._stopped.is_set():
                        for it in connection.notifies(timeout=_WAIT, stop_after=1):
                            self._tell(it.payload)
            except psycopg.Error as error:
                log.debug("notifications of the queue %s fail: %s", self._database.name, error)
                self._stopped.wait(1)

    def _tell(self, payload: str) -> None:
        try:
            call_contained(self._changed, payload)
        except Exception:  # it must not end the thread
            log.exception("what watches the queue %s failed", self._database.name)
