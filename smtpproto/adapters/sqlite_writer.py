"""The thread that writes an SQLite queue. It commits what has gathered while it wrote before."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

from ..ports import call_contained
from .call_groups import Call, CallGroups
from .segments import Segments
from .sqlite_errors import errors_of, failure, is_full, is_of_disk
from .sqlite_log import keep_damaged_log
from .sqlite_schema import connect, find_broken, void_leases
from .sqlite_tables import Tables

__all__ = ["Reader", "Writer"]

_IDLE = 2  # looks without a call, after which the log is written into the database

T = TypeVar("T")
AnyCall = Call[Tables, Any]
log: logging.Logger = logging.getLogger("smtpproto.queue")


class Writer(CallGroups[Tables]):
    """Runs calls, each whole or not at all, in groups: one transaction and one sync for each.

    If a write fails, nothing that it may concern is believed: the whole group fails, and the
    database is opened and checked again.
    """

    def __init__(self, path: Path, segments: Segments) -> None:
        super().__init__()
        self._path, self._segments = path, segments
        self._looks = 0  # since the last call
        self._version = 0  # of the database, as this connection knows it
        self._synchronous = True

    def start(self) -> None:
        """Open the database, and start the thread. Raises errors of SQLite as they are."""
        with closing(connect(self._path, create=True)) as connection:
            (_, read, _) = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            is_damaged = keep_damaged_log(self._path, read)
        self._segments.start(self._open().segments(), delete=not is_damaged)
        super().start()

    # -- the thread --------------------------------------------------------------------------

    def _look(self) -> None:
        """Do what there is to do while no call comes."""
        self._looks += 1
        if self._looks == _IDLE:
            self._checkpoint()
        if self.tables is None:
            return
        try:
            version = _version_of(self.tables.connection)
        except sqlite3.Error:  # the next call will show it
            return
        if version != self._version:
            self._version = version
            try:
                call_contained(self.changed)
            except Exception:  # it must not end the thread
                log.exception("what watches the queue %s failed", self._path)

    def _run_group(self, group: Sequence[AnyCall]) -> None:
        self._looks = 0
        try:
            tables = self.tables or self._open()
            done = self._transaction(tables, group)
        except Exception as error:
            log.error("the queue %s cannot be written: %s", self._path, error)
            if self.tables is not None:
                self._recover(self.tables, error)
            for call in group:
                call.fail(failure(error, self._path))
            return
        for call in done:
            call.committed()
        self._remove_segments(tables)
        for call in done:
            call.finish()

    def _transaction(self, tables: Tables, group: Sequence[AnyCall]) -> list[Call[Tables, Any]]:
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
                is_ours = not is_of_disk(error) or is_full(error)
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
            call.fail(raised)
        return done

    def _set_synchronous(self, tables: Tables, durable: bool) -> None:
        if durable is not self._synchronous:
            tables.connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._synchronous = durable

    def _remove_segments(self, tables: Tables) -> None:
        """Delete the files that no message needs any more."""
        candidates = self._segments.candidates
        try:
            for segment in [*candidates]:
                if not self._segments.is_current(segment):
                    if not tables.is_needed(segment):
                        self._segments.remove(segment)
                    candidates.discard(segment)
        except sqlite3.Error as error:  # they are tried again
            log.warning("files of the queue %s were not deleted: %s", self._path, error)

    def _recover(self, tables: Tables, error: Exception) -> None:
        """Undo the transaction that ended with *error*, before its callers learn of it."""
        self._segments.abandon()
        if is_full(error) and _rolled_back(tables.connection):
            self._checkpoint()  # makes room in the log, so that settlements can go on
            return
        self._close()
        try:
            self._open()
        except Exception as again:  # the next group tries it once more
            log.error("the queue %s cannot be opened again: %s", self._path, again)

    def _open(self) -> Tables:
        """Open the database and check it. Leases that nobody holds are void."""
        connection = connect(self._path, create=True)
        try:
            self._empty_log(connection)
            void_leases(connection, self.leased)
            connection.execute("DELETE FROM post WHERE owner = 0")
            tables = Tables(connection, self._segments)
            for key, error in find_broken(connection, self._segments):
                log.error("%s", error)
                tables.hold_message(key, error.message)
            version = _version_of(connection)
        except BaseException:
            connection.close()
            raise
        self.tables, self._synchronous, self._version = tables, True, version
        return tables

    def _empty_log(self, connection: sqlite3.Connection) -> None:
        """Write the log into the database, and make it empty. After a failed sync SQLite does not
        count on what it wrote last, but the next process would find that in the log."""
        (busy, *_) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise sqlite3.OperationalError("its log is in use by another program")

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


class Reader:
    """Reads the database while the writer works. Threads may use it: one reads at a time."""

    def __init__(self, path: Path, segments: Segments) -> None:
        self._path, self._reading = path, threading.Lock()
        connection = connect(path)
        connection.execute("PRAGMA query_only = ON")
        self._tables = Tables(connection, segments)

    def read(self, function: Callable[[Tables], T]) -> T:
        """Return what *function* returns, which only reads. Raises QueueFailed."""
        with self._reading, errors_of(self._path):
            return function(self._tables)

    def close(self) -> None:
        """Close the database, once nobody reads it."""
        with self._reading:
            self._tables.connection.close()


def _rolled_back(connection: sqlite3.Connection) -> bool:
    """End the transaction, if there is one. Return whether that was possible."""
    try:
        connection.rollback()
    except sqlite3.Error:
        return False
    return True


def _version_of(connection: sqlite3.Connection) -> int:
    """Return a number that changes when another connection changes the database."""
    version: int
    (version,) = connection.execute("PRAGMA data_version").fetchone()
    return version
