"""The thread that writes an SQLite queue. It commits what has gathered while it wrote before."""

from __future__ import annotations

import errno
import logging
import sqlite3
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

from attrs import define, field

from ..errors import QueueFailed, QueueFull
from ..ports import call_contained
from .segments import Segments
from .sqlite_schema import connect, find_broken, migrate, void_leases
from .sqlite_tables import Tables

__all__ = ["Call", "Reader", "Writer", "failure"]

MOST = 1000  # calls in one transaction
_IDLE = 2.0  # seconds without a call, after which the log is written into the database
_FULL = {errno.ENOSPC, errno.EDQUOT} if hasattr(errno, "EDQUOT") else {errno.ENOSPC}

T = TypeVar("T")
log: logging.Logger = logging.getLogger("smtpproto.queue")


@define(eq=False)
class Call(Generic[T]):
    """A call of *function* with the tables, as a part of a transaction."""

    function: Callable[[Tables], T]
    durable: bool = True
    """Whether its effect must survive a power loss."""
    after: Callable[[T], object] | None = None
    """Is called in the thread, with the result, once that is committed."""
    future: Future[T] = field(factory=Future)
    result: Any = None


class _Calls(ABC):
    """A thread that runs the calls that are submitted, in their order."""

    def __init__(self, name: str) -> None:
        self._calls: SimpleQueue[Call[Any] | None] = SimpleQueue()
        self._submitting = threading.Lock()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def stop(self) -> None:
        """Wait until all that was submitted is done, and the thread has ended."""
        with self._submitting:
            self._stopped = True
            self._calls.put(None)
        self._thread.join()

    def submit(self, call: Call[T]) -> Future[T]:
        """Run *call* in the thread; return its future. Raises QueueFailed after :meth:`stop`."""
        with self._submitting:
            if self._stopped:
                raise QueueFailed("the queue is not open any more")
            self._calls.put(call)
        return call.future

    @abstractmethod
    def _run(self) -> None:
        """Run calls until there is None instead of one."""


class Writer(_Calls):
    """Runs calls, each whole or not at all, in groups: one transaction and one sync for each.

    If a write fails, nothing that it may concern is believed: the whole group fails, and the
    database is opened and checked again before the next.
    """

    def __init__(self, path: Path, segments: Segments) -> None:
        super().__init__("smtpproto queue")
        self._path, self._segments = path, segments
        self._idle = False
        self.tables: Tables | None = None
        """For the thread only; None while the database is not open."""
        self._synchronous = True
        self.leased: set[tuple[str, int]] = set()
        """The deliveries that were handed out, and not settled yet: message and number."""

    def start(self) -> None:
        """Open the database, and start the thread. Raises QueueFailed."""
        self._open()
        assert self.tables is not None
        self._segments.remove_all_but(self.tables.segments())
        self._thread.start()

    # -- the thread --------------------------------------------------------------------------

    def _run(self) -> None:
        goes_on = True
        while goes_on:
            group, goes_on = self._gather()
            if group:
                self._run_group(group)
        self._close()

    def _gather(self) -> tuple[list[Call[Any]], bool]:
        """Return the calls that wait, and whether more may come. Wait for the first one."""
        try:
            call = self._calls.get(timeout=None if self._idle else _IDLE)
        except Empty:
            self._idle = True
            self._checkpoint()
            return [], True
        self._idle = False
        group: list[Call[Any]] = []
        while call is not None:
            if call.future.set_running_or_notify_cancel():
                group.append(call)
            if len(group) >= MOST or self._calls.empty():
                return group, True
            call = self._calls.get()
        return group, False

    def _run_group(self, group: Sequence[Call[Any]]) -> None:
        try:
            if self.tables is None:
                self._open()
            assert self.tables is not None
            done = self._transaction(self.tables, group)
        except Exception as error:
            log.error("the queue %s cannot be written: %s", self._path, error)
            if not self._rolls_back(error):
                self._close()
            for call in group:
                call.future.set_exception(failure(error, self._path))
            return
        for call in done:
            if call.after is not None:
                call.after(call.result)
        self._remove_segments(self.tables)
        for call in done:
            call.future.set_result(call.result)

    def _transaction(self, tables: Tables, group: Sequence[Call[Any]]) -> list[Call[Any]]:
        """Run *group* in one transaction; return the calls that did not raise. What they raise
        themselves goes to their futures; what SQLite and the system raise leaves here."""
        execute = tables.connection.execute
        self._set_synchronous(tables, any(call.durable for call in group))
        execute("BEGIN IMMEDIATE")
        done, failed = [], []
        for call in group:
            execute("SAVEPOINT call")
            try:
                call.result = call_contained(call.function, tables)
            except Exception as error:
                is_ours = not isinstance(error, sqlite3.Error | OSError) or _is_full(error)
                if not (is_ours and tables.connection.in_transaction):
                    raise
                execute("ROLLBACK TO call")
                failed.append((call, failure(error, self._path)))
            else:
                done.append(call)
            execute("RELEASE call")
        self._segments.sync()
        execute("COMMIT")
        for call, raised in failed:
            call.future.set_exception(raised)
        return done

    def _rolls_back(self, error: Exception) -> bool:
        """Return whether the transaction that ended with *error* can simply be undone: the disk is
        full. Then make room in the log, so that settlements can go on."""
        if self.tables is None or not _is_full(error):
            return False
        connection = self.tables.connection
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except sqlite3.Error:
            return False
        self._segments.abandon()
        self._checkpoint()
        return True

    def _set_synchronous(self, tables: Tables, durable: bool) -> None:
        if durable is not self._synchronous:
            tables.connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._synchronous = durable

    def _remove_segments(self, tables: Tables) -> None:
        """Delete the files that no message needs any more."""
        tables.emptied |= self._segments.broken
        self._segments.broken.clear()
        try:
            for segment in [*tables.emptied]:
                if not self._segments.is_current(segment):
                    tables.emptied.discard(segment)
                    if not tables.is_needed(segment):
                        self._segments.remove(segment)
        except sqlite3.Error as error:  # the next start deletes them
            log.warning("files of the queue %s were not deleted: %s", self._path, error)

    def _open(self) -> None:
        """Open the database and check it. Leases that nobody holds are void."""
        try:
            connection = connect(self._path)
        except (sqlite3.Error, OSError) as error:
            raise failure(error, self._path) from error
        try:
            migrate(connection, self._path)
            # After a failed sync the log is believed only as far as it is written again.
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            void_leases(connection, self.leased)
            tables = Tables(connection, self._segments)
            for key, name, what in find_broken(connection, self._segments):
                log.error("message %s is held: %s", name, what)
                tables.hold_message(key, what)
        except (sqlite3.Error, OSError) as error:
            connection.close()
            raise failure(error, self._path) from error
        except BaseException:
            connection.close()
            raise
        self.tables, self._synchronous = tables, True

    def _checkpoint(self) -> None:
        """Write the log into the database, if it can be done now."""
        if self.tables is not None:
            try:
                self.tables.connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            except sqlite3.Error as error:
                log.warning("the log of the queue %s was not written: %s", self._path, error)

    def _close(self) -> None:
        self._segments.abandon()
        if self.tables is not None:
            self.tables.connection.close()
            self.tables = None


class Reader(_Calls):
    """A thread that reads the database, while another writes it."""

    def __init__(self, path: Path, segments: Segments) -> None:
        super().__init__("smtpproto reader")
        self._path = path
        connection = connect(path)
        connection.execute("PRAGMA query_only = ON")
        self._tables = Tables(connection, segments)
        self._thread.start()

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            if call.future.set_running_or_notify_cancel():
                try:
                    result = call_contained(call.function, self._tables)
                except Exception as error:
                    call.future.set_exception(failure(error, self._path))
                else:
                    call.future.set_result(result)
        self._tables.connection.close()


def failure(error: Exception, path: Path) -> Exception:
    """Return the error that the callers get."""
    if not isinstance(error, sqlite3.Error | OSError):
        return error
    if _is_full(error):
        return QueueFull(f"the disk of the queue {path} is full")
    return QueueFailed(f"the queue {path} failed: {error}")


def _is_full(error: Exception) -> bool:
    full = isinstance(error, OSError) and error.errno in _FULL
    return full or getattr(error, "sqlite_errorname", "") == "SQLITE_FULL"
