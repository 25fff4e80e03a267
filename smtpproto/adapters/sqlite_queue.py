"""The queue in an SQLite database: durable, for one process, without further programs.

::

    queue = SQLiteQueue("/var/spool/mail/queue.db")
    await queue.open(runtime)

Three things lie side by side: the database, a directory ``queue.db.bodies`` with the contents of
large messages, and the lock ``queue.db.lock``. A copy of a queue that is not in use needs the first
two. Put them on a local disk: SQLite's log does not work over a network.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import threading
import zlib
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

from ..errors import QueueFailed, QueueFull
from ..mail import Source
from ..mta.queue import Delivery, Message
from ..mta.queue_limits import QueueLimits
from ..mta.settlement import Later, Settlement
from ..mta.store import (
    Body,
    Claim,
    Entry,
    Queued,
    QueueStats,
    Selection,
    check_queued,
    check_settlements,
)
from ..ports import Runtime
from .segments import Segments
from .sqlite_body import SQLiteBody
from .sqlite_rows import Place, in_row
from .sqlite_schema import lock
from .sqlite_tables import Tables
from .sqlite_writer import Call, Reader, Writer, failure

__all__ = ["SQLiteQueue"]

T = TypeVar("T")


class SQLiteQueue:
    """Implements :class:`.QueueStore`. *path* is that of the database, which is created."""

    def __init__(self, path: str | os.PathLike[str], limits: QueueLimits | None = None) -> None:
        self._path = Path(path).absolute()
        self._limits = limits or QueueLimits()
        self._open: _Open | None = None

    async def open(self, runtime: Runtime) -> None:
        """Open the store. Raises QueueFailed, also if another process uses the queue."""
        if self._open is None:
            given_up = threading.Event()

            def make() -> _Open:
                opened = _Open(self._path, runtime, self._limits)
                if given_up.is_set():
                    opened.close()
                return opened

            try:
                self._open = await runtime.in_thread(make)
            except BaseException:  # if it was cancelled, the thread goes on
                given_up.set()
                raise

    async def close(self) -> None:
        """Finish what was begun, and close the store."""
        is_open, self._open = self._open, None
        if is_open is not None:
            await is_open.runtime.in_thread(is_open.close)

    def body(self) -> Body:
        """Return a new, empty content."""
        it = self._opened()
        check = self._check_space
        return SQLiteBody(it.runtime, it.segments, self._limits.spool, check)

    async def put(self, messages: Sequence[Queued]) -> None:
        """Add *messages*, all or none: see :meth:`.QueueStore.put`."""
        it = self._opened()
        for queued in messages:
            check_queued(queued)
        total = sum(queued.message.size for queued in messages)
        contents = await self._contents(messages)

        def add(tables: Tables) -> None:
            try:
                self._check_space(total)
                self._add(it, tables, messages, contents)
            except BaseException:
                it.remove(contents)
                raise

        call = Call(add)
        call.future.add_done_callback(lambda done: it.remove(contents if done.cancelled() else ()))
        await it.write(call, cancel=True)

    async def claim(
        self,
        now: float,
        limit: int,
        due: Callable[[Delivery], float],
        *,
        excluded: Collection[str] = (),
        each: int | None = None,
    ) -> Sequence[Claim]:
        """Lease deliveries: see :meth:`.QueueStore.claim`."""
        it = self._opened()
        excluded = frozenset(excluded)
        call = Call(
            lambda tables: tables.claim(now, limit, due, excluded, each),
            durable=False,
            after=it.note_leased,
        )
        try:
            return await it.write(call, cancel=True)
        except BaseException:
            call.future.add_done_callback(lambda done: it.put_back(done, now))
            raise

    async def settle(
        self, settlements: Sequence[Settlement], now: float, new: Sequence[Queued] = ()
    ) -> None:
        """Write what became of deliveries: see :meth:`.QueueStore.settle`."""
        it = self._opened()
        check_settlements(settlements)
        for queued in new:
            check_queued(queued)
        contents = await self._contents(new)

        def write(tables: Tables) -> None:
            it.recent.remove(tables.settle(settlements, now))
            tables.forget(now - self._limits.remember)
            self._add(it, tables, new, contents)

        await it.write(Call(write, after=lambda _: it.note_settled(settlements)))

    async def content(self, message: Message) -> Source:
        """Return the content: see :meth:`.QueueStore.content`."""
        it = self._opened()
        found = it.recent.get(message.id)
        return found if found is not None else await it.read(lambda its: its.content(message))

    async def next_due(self, *, excluded: Collection[str] = ()) -> float | None:
        """Return when the next delivery that waits is due: see :meth:`.QueueStore.next_due`."""
        excluded = frozenset(excluded)
        return await self._opened().read(lambda tables: tables.next_due(excluded))

    async def find(self, selection: Selection, limit: int = 100) -> Sequence[Entry]:
        """Return messages that *selection* selects: see :meth:`.QueueStore.find`."""
        return await self._opened().read(lambda tables: tables.find(selection, limit))

    async def hold(self, selection: Selection, reason: str) -> int:
        """Hold the waiting deliveries of *selection*; return how many."""
        return await self._opened().write(Call(lambda tables: tables.hold(selection, reason)))

    async def release(self, selection: Selection, now: float) -> int:
        """Let held deliveries wait again; return how many."""
        return await self._opened().write(Call(lambda tables: tables.release(selection, now)))

    async def retry(self, selection: Selection, now: float) -> int:
        """Make waiting deliveries due; return how many."""
        return await self._opened().write(Call(lambda tables: tables.retry(selection, now)))

    async def drop(self, selection: Selection, now: float) -> int:
        """Take deliveries that wait or are held out of the queue; return how many."""
        it = self._opened()

        def write(tables: Tables) -> int:
            dropped, left = tables.drop(selection, now)
            it.recent.remove(left)
            return dropped

        return await it.write(Call(write))

    async def stats(self) -> QueueStats:
        """Return how much is in the queue."""
        return await self._opened().read(Tables.stats)

    # -- the parts ---------------------------------------------------------------------------

    def _opened(self) -> _Open:
        if self._open is None:
            raise QueueFailed("the queue is not open", check="that open() was called first")
        return self._open

    async def _contents(self, messages: Sequence[Queued]) -> list[bytes | Place]:
        """Return the content of each message: octets, or the place of those in a file already."""
        contents: list[bytes | Place] = []
        try:
            for queued in messages:
                content = queued.content
                if isinstance(content, SQLiteBody):
                    contents.append(await content.finish())
                elif isinstance(content, bytes):
                    contents.append(content)
                else:
                    raise TypeError("the content must be octets, or the body() of this queue")
        except BaseException:
            self._opened().remove(contents)
            raise
        return contents

    def _add(
        self,
        it: _Open,
        tables: Tables,
        messages: Sequence[Queued],
        contents: Sequence[bytes | Place],
    ) -> None:
        for queued, content in zip(messages, contents, strict=True):
            if isinstance(content, Place):
                place = content
            elif len(content) <= self._limits.row:
                place = in_row(content)
                it.recent.add(queued.message.id, content)
            else:
                segment, start = it.segments.append(content)
                place = Place(zlib.crc32(content), segment=segment, start=start)
            tables.put(queued, place)

    def _check_space(self, size: int) -> None:
        """Raise QueueFull if *size* octets would use the reserve of the disk."""
        free = shutil.disk_usage(self._path.parent).free
        if free - size < self._limits.reserve:
            raise QueueFull(
                f"the disk of the queue {self._path} has {free} octets left, of which "
                f"{self._limits.reserve} are kept free"
            )


class _Open:
    """A queue that is open: its lock, its threads, and what they have in memory."""

    def __init__(self, path: Path, runtime: Runtime, limits: QueueLimits) -> None:
        self.runtime = runtime
        self.recent = _Recent(limits.cache)
        try:
            with contextlib.ExitStack() as opened:
                opened.enter_context(lock(path.with_name(path.name + ".lock")))
                self.segments = Segments(path.with_name(path.name + ".bodies"))
                self.writer = Writer(path, self.segments)
                self.writer.start()
                opened.callback(self.writer.stop)
                self._reader = Reader(path, self.segments)
                opened.callback(self._reader.stop)
                self.close: Callable[[], None] = opened.pop_all().close
        except (sqlite3.Error, OSError) as error:
            raise failure(error, path) from error

    async def write(self, call: Call[T], *, cancel: bool = False) -> T:
        """Return the result of *call*. If the caller is cancelled before it has begun, and *cancel*
        is set, it is left out."""
        try:
            return await self.runtime.wait_for(self.writer.submit(call))
        except BaseException:
            if cancel:
                call.future.cancel()
            raise

    async def read(self, function: Callable[[Tables], T]) -> T:
        """Return the result of *function*, which only reads."""
        return await self.runtime.wait_for(self._reader.submit(Call(function)))

    def note_leased(self, claims: Sequence[Claim]) -> None:
        """Remember what was handed out."""
        for claim in claims:
            self.writer.leased.update((it.message, it.number) for it in claim.deliveries)

    def note_settled(self, settlements: Sequence[Settlement]) -> None:
        """Forget what has come back."""
        places = ((it.delivery.message, it.delivery.number) for it in settlements)
        self.writer.leased.difference_update(places)

    def put_back(self, claimed: Future[list[Claim]], now: float) -> None:
        """Let deliveries wait whose claimer was cancelled before it knew of them."""
        if claimed.cancelled() or claimed.exception() is not None:
            return
        settlements = [
            Settlement(delivery=it, decision=Later(due=now), counts=False)
            for claim in claimed.result()
            for it in claim.deliveries
        ]
        with contextlib.suppress(QueueFailed):  # closed: the next start does it
            self.writer.submit(
                Call(
                    lambda tables: tables.settle(settlements, now),
                    after=lambda _: self.note_settled(settlements),
                )
            )

    def remove(self, contents: Sequence[bytes | Place]) -> None:
        """Delete the files of contents that have not entered the queue."""
        for content in contents:
            if isinstance(content, Place) and content.segment is not None:
                self.segments.remove(content.segment)


class _Recent:
    """Contents that entered the queue last, by the ids of their messages, up to *most* octets."""

    def __init__(self, most: int) -> None:
        self._most, self._size = most, 0
        self._contents: OrderedDict[str, bytes] = OrderedDict()
        self._using = threading.Lock()

    def get(self, name: str) -> bytes | None:
        return self._contents.get(name)

    def add(self, name: str, content: bytes) -> None:
        with self._using:
            self._contents[name] = content
            self._size += len(content)
            while self._size > self._most:
                _, oldest = self._contents.popitem(last=False)
                self._size -= len(oldest)

    def remove(self, names: Iterable[str]) -> None:
        with self._using:
            for name in names:
                self._size -= len(self._contents.pop(name, b""))
