"""The thread that writes a PostgreSQL queue. It commits what has gathered while it wrote before."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import psycopg

from ..errors import QueueFailed
from ..ports import call_contained
from .call_groups import Call, CallGroups
from .postgres_connection import Database, clock, is_transient
from .postgres_members import Members
from .postgres_schema import set_up
from .postgres_tables import Tables, wake_sleepers

__all__ = ["Writer"]

_RUNS = 5  # of a transaction that others hinder, or whose connection is lost

AnyCall = Call[Tables, Any]
log: logging.Logger = logging.getLogger("smtpproto.queue")


class _Undone(Exception):
    """A transaction was undone that may be run again."""


class Writer(CallGroups[Tables]):
    """Runs calls, each whole or not at all, in groups: one transaction and one sync for each.

    Each transaction notes that this process lives, and counts itself, in the row of this process.
    If the connection is lost during a commit, that number shows whether it has happened. A process
    that did not live for its patience loses its claims, to any other one that did.
    """

    def __init__(self, database: Database, patience: float) -> None:
        super().__init__()
        self._database, self._patience = database, patience
        self.owner: int = 0
        """This process, in the table of those that work on the queue."""
        self._work = 0  # the last transaction that was begun
        self._agreed = True  # whether the database knows what this process has claimed
        self._up = 0.0  # since when there is one
        self._kept = 0.0  # when upkeep was done last
        self.members: Members = Members()
        self.beaten: float = clock()
        """When, by :func:`clock`, the database last knew that this process lives."""
        self.lost: dict[str, set[int]] = {}
        """Messages, each with the deliveries whose claims were taken away, until it learns that by
        settling them."""

    def start(self) -> None:
        """Open the database, and start the thread. Raises QueueFailed, and errors of psycopg as
        they are."""
        tables = Tables(self._database.connect(), self._database.channel, 0, self.members)
        try:
            set_up(tables.connection, self._database, create=True)
            self._register(tables)
        except BaseException:
            tables.connection.close()
            raise
        self.tables, self._up = tables, clock()
        super().start()

    # -- groups ------------------------------------------------------------------------------

    def _pause(self) -> float:
        return min(super()._pause(), self._patience / 4)

    def _run_group(self, group: Sequence[AnyCall]) -> None:
        try:
            self._run_whole(group)
        except Exception as error:
            if len(group) > 1 and not isinstance(error, psycopg.OperationalError):
                for call in group:  # one of them is wrong
                    self._run_group([call])
            else:
                self._fail(group, error)
            return
        for call in group:
            call.committed()
        for call in group:
            call.finish()
        self._contain(self._wake_sleepers)
        self._look()

    def _fail(self, group: Sequence[AnyCall], error: Exception) -> None:
        if isinstance(error, psycopg.Error):
            log.error("the queue %s cannot be written: %s", self._database.name, error)
        for call in group:
            call.fail(self._database.failure(error))

    def _run_whole(self, group: Sequence[AnyCall]) -> None:
        def run(tables: Tables) -> None:
            for call in group:
                call.result = call_contained(call.function, tables)

        self._transact(run, durable=any(call.durable for call in group))

    def _transact(self, function: Callable[[Tables], object], *, durable: bool = False) -> None:
        """Call *function* with the tables, in a transaction: again, if that was undone through no
        fault of its own."""
        for number in range(_RUNS):
            try:
                with self._transaction(durable) as tables:
                    function(tables)
                return
            except _Undone as undone:
                if number == _RUNS - 1:
                    raise undone.__cause__ or undone from None

    # -- transactions ------------------------------------------------------------------------

    @contextlib.contextmanager
    def _transaction(self, durable: bool) -> Iterator[Tables]:
        """Return a context in which a transaction runs. Raises _Undone if it may be run again."""
        began, tables = clock(), self._begin(durable)
        try:
            if not self._agreed:
                self._lose(tables.agree(self.leased.values()))
                self.members.look(tables.execute)
            yield tables
            tables.finish()
        except Exception as error:
            self._undo(tables)
            if is_transient(error) or self.tables is None:
                raise _Undone from error
            raise
        try:
            tables.connection.execute("COMMIT")
        except psycopg.Error as error:
            self._undo(tables)
            if not self._was_committed():
                raise _Undone from error
        else:
            self._agreed = True
        tables.members.committed()
        self.beaten = began

    def _begin(self, durable: bool) -> Tables:
        """Begin a transaction, in which this process lives."""
        while True:
            tables = self.tables or self._connect()
            try:
                if self._try_to_begin(tables, durable):
                    return tables
                self._undo(tables)
                self._lose_claims(tables)
            except psycopg.Error as error:
                self._undo(tables)
                raise _Undone from error

    def _try_to_begin(self, tables: Tables, durable: bool) -> bool:
        """Return whether this process still counts as one that lives."""
        tables.wakes = False
        tables.connection.execute("BEGIN" if durable else "BEGIN; SET LOCAL synchronous_commit=off")
        row = tables.execute(
            """UPDATE owner SET beat = clock_timestamp(), work = work + 1
            WHERE key = ? AND lost IS NULL
            RETURNING work, (SELECT max(number) FROM member)""",
            (self.owner,),
        ).fetchone()
        if row is None:
            return False
        self._work, newest = row
        self.members.greet(tables.execute, newest)
        return True

    def _undo(self, tables: Tables) -> None:
        """Undo the transaction. If that is not possible, the connection is lost, which does it."""
        tables.abandon()
        try:
            tables.connection.execute("ROLLBACK")
        except psycopg.Error:
            tables.connection.close()
            self.tables = None

    def _was_committed(self) -> bool:
        """Return whether the last transaction was committed, once the database is there again.
        Raises errors of psycopg, and QueueFailed, if that cannot be known."""
        tables = self.tables or self._connect()
        row = tables.execute(
            "SELECT work FROM owner WHERE key = ? FOR UPDATE",  # after what may still go on
            (self.owner,),
        ).fetchone()
        if row is None:
            raise QueueFailed("whether the last transaction was committed cannot be known")
        return int(row[0]) >= self._work

    # -- connections and claims --------------------------------------------------------------

    def _connect(self) -> Tables:
        """Connect again. Raises psycopg.OperationalError if the database is away for too long."""
        log.warning("the connection to the queue %s was lost", self._database.name)
        connection = self._database.reconnect(lambda: self._stopped)
        tables = Tables(connection, self._database.channel, self.owner, self.members)
        self._up, self._agreed, self.tables = clock(), False, tables
        return tables

    def _register(self, tables: Tables) -> None:
        """Enter this process into the table of those that work on the queue."""
        row = tables.execute(
            """INSERT INTO owner (name, patience, beat) VALUES (?, ?, clock_timestamp())
            RETURNING key""",
            (f"{socket.gethostname()} {os.getpid()}", self._patience),
        ).fetchone()
        self.owner = tables.owner = int(row[0])

    def _lose_claims(self, tables: Tables) -> None:
        log.warning(
            "the database did not hear from this process for more than %g seconds; its %d"
            " deliveries were given to others",
            self._patience,
            len(self.leased),
        )
        self._lose([*self.leased])
        self.members.leave()
        self._register(tables)

    def _lose(self, claims: Iterable[tuple[str, int]]) -> None:
        for name, number in claims:
            self.lost.setdefault(name, set()).add(number)
            del self.leased[name, number]

    # -- the other processes -----------------------------------------------------------------

    def _contain(self, function: Callable[[], object]) -> None:
        """Call *function*; if the database fails, it is tried again later."""
        try:
            function()
        except (psycopg.Error, _Undone, QueueFailed) as error:
            log.warning("the queue %s failed: %s", self._database.name, error)

    def _wake_sleepers(self) -> None:
        """Notify the processes that sleep, after the commit of what they can do."""
        if self.tables is not None:
            wake_sleepers(self.tables)

    def look_at_members(self, changed: Callable[[], object]) -> None:
        """Look soon who the members are; then call *changed*. Threads may call this."""
        with contextlib.suppress(QueueFailed):  # it is closed
            self.submit(
                Call(
                    lambda tables: tables.members.look(tables.execute),
                    durable=False,
                    after=lambda _: changed(),
                )
            )

    def _look(self) -> None:
        now = clock()
        if now - self._kept >= self._patience / 4:
            self._kept = now
            self._contain(self._keep_up)

    def _keep_up(self) -> None:
        """Tell that this process lives, and take claims away from those that do not."""
        dead: list[int] = []

        def keep(tables: Tables) -> None:
            dead[:] = self._find_dead(tables) if clock() - self._up > self._patience else []
            if dead:
                number = tables.give_up(dead)
                log.warning("a process died; the %d deliveries that it had wait again", number)
            tables.members.look(tables.execute)

        self._transact(keep)
        if dead:
            self._wake_sleepers()
            self._contain_changed()

    def _find_dead(self, tables: Tables) -> list[int]:
        """Return the processes that are lost from now on. A connection that is young finds none:
        the others may not have theirs yet, after the database was away."""
        tables.execute("DELETE FROM owner WHERE lost < clock_timestamp() - interval '1 day'")
        rows = tables.execute(
            """UPDATE owner SET lost = clock_timestamp() WHERE key IN (
                SELECT key FROM owner WHERE lost IS NULL
                AND beat + patience * interval '1 second' < clock_timestamp()
                FOR UPDATE SKIP LOCKED)
            RETURNING key"""
        )
        return [key for (key,) in rows]

    def _contain_changed(self) -> None:
        try:
            call_contained(self.changed)
        except Exception:  # it must not end the thread
            log.exception("what watches the queue %s failed", self._database.name)

    def _close(self) -> None:
        def leave(tables: Tables) -> None:
            tables.give_up([self.owner])
            tables.execute("DELETE FROM sleeper WHERE owner = ?", (self.owner,))
            tables.execute("DELETE FROM owner WHERE key = ?", (self.owner,))

        self._contain(lambda: self._transact(leave))
        if self.tables is not None:
            self._contain(self._wake_sleepers)
            self.tables.connection.close()
            self.tables = None
