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
import threading
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Generic, TypeVar

from ..errors import QueueFailed, QueueFull
from ..mail import Source
from ..mta.queue import Delivery, Message
from ..mta.queue_limits import QueueLimits
from ..mta.settlement import Later, Settlement
from ..mta.store import (
    Body,
    Claim,
    Entry,
    PassOver,
    Queued,
    QueueStats,
    Selection,
    check_queued,
    check_settlements,
    take_all,
)
from ..ports import Runtime
from .segments import Segments
from .sqlite_body import SQLiteBody
from .sqlite_errors import errors_of
from .sqlite_rows import Place, in_row
from .sqlite_schema import directory_of, lock
from .sqlite_tables import Tables
from .sqlite_writer import Call, Reader, Writer

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
        if self._open is not None:
            return
        opening = _Work(lambda: _Open(self._path, runtime, self._limits))
        try:
            self._open = await opening.done(runtime)
        except BaseException:
            if opening.result.exception() is None:
                opening.result.result().close()
            raise

    async def close(self) -> None:
        """Finish what was begun, and close the store."""
        is_open, self._open = self._open, None
        if is_open is not None:
            await _Work(is_open.close).done(is_open.runtime)

    def watch(self, changed: Callable[[], object]) -> None:
        """Call *changed* after another process has changed the queue; a second after, if the queue
        is not busy: see :meth:`.QueueStore.watch`."""
        self._opened().writer.changed = changed

    def body(self) -> Body:
        """Return a new, empty content."""
        it = self._opened()
        return SQLiteBody(it.runtime, it.segments, self._limits.spool, self._check_space)

    async def put(self, messages: Sequence[Queued]) -> None:
        """Add *messages*, all or none: see :meth:`.QueueStore.put`."""
        total = sum(queued.message.size for queued in messages)
        await self._write_with(
            messages, lambda _: self._check_space(total), lambda _: None, cancel=True
        )

    async def claim(
        self,
        now: float,
        limit: int,
        due: Callable[[Delivery], float],
        *,
        pass_over: PassOver = take_all,
    ) -> Sequence[Claim]:
        """Lease deliveries: see :meth:`.QueueStore.claim`."""
        it = self._opened()
        call = Call(
            lambda tables: tables.claim(now, limit, due, pass_over),
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

        def write(tables: Tables) -> list[str]:
            tables.forget(now - self._limits.remember)
            return tables.settle(settlements, now)

        def note(left: list[str]) -> None:
            it.note_settled(settlements)
            it.recent.remove(left)

        await self._write_with(new, write, note)

    async def content(self, message: Message) -> Source:
        """Return the content: see :meth:`.QueueStore.content`."""
        it = self._opened()
        found = it.recent.get(message.id)
        return found if found is not None else await it.read(lambda tables: tables.content(message))

    async def next_due(self, *, pass_over: PassOver = take_all) -> float | None:
        """Return when the next delivery that waits is due: see :meth:`.QueueStore.next_due`."""
        return await self._opened().read(lambda tables: tables.next_due(pass_over))

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
        call = Call(
            lambda tables: tables.drop(selection, now), after=lambda done: it.recent.remove(done[1])
        )
        return (await it.write(call))[0]

    async def stats(self) -> QueueStats:
        """Return how much is in the queue."""
        return await self._opened().read(Tables.stats)

    # -- the parts ---------------------------------------------------------------------------

    def _opened(self) -> _Open:
        if self._open is None:
            raise QueueFailed("the queue is not open", check="that open() was called first")
        return self._open

    async def _write_with(
        self,
        messages: Sequence[Queued],
        function: Callable[[Tables], T],
        after: Callable[[T], object],
        *,
        cancel: bool = False,
    ) -> None:
        """Call *function* and add *messages* in one transaction; then call *after*."""
        it = self._opened()
        for queued in messages:
            check_queued(queued)
        contents: list[bytes | Place] = []

        def write(tables: Tables) -> T:
            result = function(tables)
            for queued, content in zip(messages, contents, strict=True):
                tables.put(queued, self._place(it, content))
            return result

        def note(result: T) -> None:
            after(result)
            for queued, content in zip(messages, contents, strict=True):
                if isinstance(content, bytes) and len(content) <= self._limits.row:
                    it.recent.add(queued.message.id, content)

        try:
            for queued in messages:
                contents.append(await _finished(queued.content))
        except BaseException:
            it.remove(contents)
            raise
        call = Call(write, after=note, undo=lambda: it.remove(contents))
        await it.write(call, cancel=cancel)

    def _place(self, it: _Open, content: bytes | Place) -> Place:
        """Return where *content* is, or is put now."""
        if isinstance(content, Place):
            return content
        if len(content) <= self._limits.row:
            return in_row(content)
        segment, start = it.segments.append(content)
        return Place(zlib.crc32(content), segment=segment, start=start)

    def _check_space(self, size: int) -> None:
        """Raise QueueFull if *size* octets would use the reserve of the disk."""
        free = shutil.disk_usage(self._path.parent).free
        if free - size < self._limits.reserve:
            raise QueueFull(
                f"the disk of the queue {self._path} has {free} octets left, of which "
                f"{self._limits.reserve} are kept free"
            )


class _Open:
    """A queue that is open: its lock, its connections, and what they have in memory."""

    def __init__(self, path: Path, runtime: Runtime, limits: QueueLimits) -> None:
        self.runtime = runtime
        self.recent = _Recent(limits.cache)
        self.segments = Segments(directory_of(path))
        with errors_of(path), contextlib.ExitStack() as opened:
            opened.enter_context(lock(path.with_name(path.name + ".lock")))
            self.writer = Writer(path, self.segments)
            self.writer.start()
            opened.callback(self.writer.stop)
            self._reader = Reader(path, self.segments)
            opened.callback(self._reader.close)
            self.close: Callable[[], None] = opened.pop_all().close

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
        return await self.runtime.in_thread(lambda: self._reader.read(function))

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
        call = Call(
            lambda tables: tables.settle(settlements, now),
            after=lambda _: self.note_settled(settlements),
        )
        with contextlib.suppress(QueueFailed):  # closed: the next start does it
            self.writer.submit(call)

    def remove(self, contents: Sequence[bytes | Place]) -> None:
        """Delete the files of contents that have not entered the queue. If the database could not
        be opened again, that is not certain, and left to the next start."""
        for content in contents:
            if isinstance(content, Place) and content.segment is not None and self.writer.tables:
                self.segments.remove(content.segment)


class _Work(Generic[T]):
    """A call of *function* in a thread. It has ended when :meth:`done` returns or raises, even if
    the caller was cancelled: what opens or closes a queue has its lock."""

    def __init__(self, function: Callable[[], T]) -> None:
        self._function = function
        self._running = threading.Lock()
        self.result: Future[T] = Future()

    def _run(self) -> None:
        with self._running:
            if not self.result.done():
                try:
                    self.result.set_result(self._function())
                except BaseException as error:
                    self.result.set_exception(error)

    async def done(self, runtime: Runtime) -> T:
        """Return what *function* returns. If the caller is cancelled, this blocks the other tasks,
        too, until the call has ended."""
        try:
            await runtime.in_thread(self._run)
        finally:
            self._run()
        return self.result.result()


class _Recent:
    """Contents that entered the queue last, by the ids of their messages, up to *most* octets."""

    def __init__(self, most: int) -> None:
        self._most, self._size = most, 0
        self._contents: OrderedDict[str, bytes] = OrderedDict()
        self.get = self._contents.get

    def add(self, name: str, content: bytes) -> None:
        self._contents[name] = content
        self._size += len(content)
        while self._size > self._most:
            _, oldest = self._contents.popitem(last=False)
            self._size -= len(oldest)

    def remove(self, names: Iterable[str]) -> None:
        for name in names:
            self._size -= len(self._contents.pop(name, b""))


async def _finished(content: bytes | Body) -> bytes | Place:
    """Return *content*: octets, or the place of those that are in a file already."""
    if isinstance(content, bytes):
        return content
    if not isinstance(content, SQLiteBody):
        raise TypeError("the content must be octets, or the body() of this queue")
    return await content.finish()
