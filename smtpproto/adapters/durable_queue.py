"""A queue in a database: what the stores in SQLite and in PostgreSQL have in common."""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

from ..errors import QueueFailed
from ..mail import Source
from ..mta.destination_stats import DestinationStats
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
from .call_groups import Call, CallGroups
from .queue_tables import QueueTables

__all__ = ["DurableQueue", "OpenQueue"]

T = TypeVar("T")
TablesT = TypeVar("TablesT", bound=QueueTables)


class OpenQueue(Generic[TablesT]):
    """A queue that is open: its connections, and what it has in memory.

    *read* calls a function with tables for reading only, and returns its result, while *writer*
    works; *close* closes all.
    """

    def __init__(
        self,
        runtime: Runtime,
        cache: int,
        writer: CallGroups[TablesT],
        read: Callable[[Callable[[TablesT], Any]], Any],
        close: Callable[[], None],
    ) -> None:
        self.runtime: Runtime = runtime
        self.writer: CallGroups[TablesT] = writer
        self.close: Callable[[], None] = close
        self.recent: _Recent = _Recent(cache)
        self._read = read

    async def write(self, call: Call[TablesT, T], *, cancel: bool = False) -> T:
        """Return the result of *call*. If the caller is cancelled before it has begun, and *cancel*
        is set, it is left out."""
        try:
            return await self.runtime.wait_for(self.writer.submit(call))
        except BaseException:
            if cancel:
                call.future.cancel()
            raise

    async def read(self, function: Callable[[TablesT], T]) -> T:
        """Return the result of *function*, which only reads."""
        result: T = await self.runtime.in_thread(lambda: self._read(function))
        return result

    def note_leased(self, claims: Sequence[Claim]) -> None:
        """Remember what was handed out."""
        for claim in claims:
            self.writer.leased.update({(it.message, it.number): it for it in claim.deliveries})

    def note_settled(self, settlements: Sequence[Settlement]) -> None:
        """Forget what has come back."""
        for it in settlements:
            self.writer.leased.pop((it.delivery.message, it.delivery.number), None)

    def put_back(self, claimed: Future[list[Claim]], now: float) -> None:
        """Let deliveries wait whose claimer was cancelled before it knew of them."""
        if claimed.cancelled() or claimed.exception() is not None:
            return
        settlements = [
            Settlement(delivery=it, decision=Later(due=now), counts=False)
            for claim in claimed.result()
            for it in claim.deliveries
        ]
        call: Call[TablesT, list[str]] = Call(
            lambda tables: tables.settle(settlements, now),
            after=lambda _: self.note_settled(settlements),
        )
        with contextlib.suppress(QueueFailed):  # closed: the next start does it
            self.writer.submit(call)


class DurableQueue(Generic[TablesT]):
    """Implements :class:`.QueueStore` but for what a kind of database decides."""

    def __init__(self, limits: QueueLimits | None) -> None:
        self._limits = limits or QueueLimits()
        self._open: OpenQueue[TablesT] | None = None

    async def open(self, runtime: Runtime) -> None:
        """Open the store. Raises QueueFailed: see :meth:`.QueueStore.open`."""
        if self._open is not None:
            return
        opening = _Work(lambda: self._start(runtime))
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
        """Call *changed* after another process has changed the queue: see
        :meth:`.QueueStore.watch`."""
        self._opened().writer.changed = changed

    def share(self, limit: int, what: str) -> int:
        """Return *limit*: no other process works on the queue."""
        return limit

    async def post(self, known: Mapping[str, DestinationStats], now: float) -> None:
        """Let others see what is *known* of destinations: see :meth:`.QueueStore.post`."""
        call: Call[TablesT, None] = Call(lambda tables: tables.post(known, now), durable=False)
        await self._opened().write(call, cancel=True)

    def body(self) -> Body:
        """Return a new, empty content."""
        return self._new_body(self._opened())

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
        call: Call[TablesT, list[Claim]] = Call(
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

        def write(tables: TablesT) -> list[str]:
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
        return await self._change(lambda tables: tables.hold(selection, reason))

    async def release(self, selection: Selection, now: float) -> int:
        """Let held deliveries wait again; return how many."""
        return await self._change(lambda tables: tables.release(selection, now))

    async def retry(self, selection: Selection, now: float) -> int:
        """Make waiting deliveries due; return how many."""
        return await self._change(lambda tables: tables.retry(selection, now))

    async def drop(self, selection: Selection, now: float) -> int:
        """Take deliveries that wait or are held out of the queue; return how many."""
        it = self._opened()
        call: Call[TablesT, tuple[int, list[str]]] = Call(
            lambda tables: tables.drop(selection, now), after=lambda done: it.recent.remove(done[1])
        )
        return (await it.write(call))[0]

    async def stats(self) -> QueueStats:
        """Return how much is in the queue."""
        return await self._opened().read(lambda tables: tables.stats())

    # -- what a kind of database decides -----------------------------------------------------

    def _start(self, runtime: Runtime) -> OpenQueue[TablesT]:
        """Open the database. Raises QueueFailed."""
        raise NotImplementedError

    def _new_body(self, it: OpenQueue[TablesT]) -> Body:
        raise NotImplementedError

    async def _finish(self, content: Body) -> Any:
        """Return what :meth:`_add` takes for *content*."""
        raise NotImplementedError

    def _add(self, tables: TablesT, queued: Queued, content: Any) -> None:
        """Add *queued* to *tables*; *content* is octets, or what :meth:`_finish` returned."""
        raise NotImplementedError

    def _remove(self, it: OpenQueue[TablesT], contents: Sequence[Any]) -> None:
        """Delete what is kept apart of contents that have not entered the queue."""

    def _check_space(self, size: int) -> None:
        """Raise QueueFull if there is no room for *size* octets."""

    # -- the parts ---------------------------------------------------------------------------

    def _opened(self) -> OpenQueue[TablesT]:
        if self._open is None:
            raise QueueFailed("the queue is not open", check="that open() was called first")
        return self._open

    async def _change(self, function: Callable[[TablesT], int]) -> int:
        call: Call[TablesT, int] = Call(function)
        return await self._opened().write(call)

    async def _write_with(
        self,
        messages: Sequence[Queued],
        function: Callable[[TablesT], T],
        after: Callable[[T], object],
        *,
        cancel: bool = False,
    ) -> None:
        """Call *function* and add *messages* in one transaction; then call *after*."""
        it = self._opened()
        for queued in messages:
            check_queued(queued)
        contents: list[Any] = []

        def write(tables: TablesT) -> T:
            result = function(tables)
            for queued, content in zip(messages, contents, strict=True):
                self._add(tables, queued, content)
            return result

        def note(result: T) -> None:
            after(result)
            for queued, content in zip(messages, contents, strict=True):
                if isinstance(content, bytes) and len(content) <= self._limits.row:
                    it.recent.add(queued.message.id, content)

        try:
            for queued in messages:
                content = queued.content
                done = content if isinstance(content, bytes) else await self._finish(content)
                contents.append(done)
        except BaseException:
            self._remove(it, contents)
            raise
        call = Call(write, after=note, undo=lambda: self._remove(it, contents))
        await it.write(call, cancel=cancel)


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

    def get(self, name: str) -> bytes | None:
        return self._contents.get(name)

    def add(self, name: str, content: bytes) -> None:
        self._contents[name] = content
        self._size += len(content)
        while self._size > self._most:
            _, oldest = self._contents.popitem(last=False)
            self._size -= len(oldest)

    def remove(self, names: Iterable[str]) -> None:
        for name in names:
            self._size -= len(self._contents.pop(name, b""))
