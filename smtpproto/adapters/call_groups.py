"""A thread that runs calls on the tables of a queue, in groups: what has gathered while it wrote
before is the next group."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

from attrs import define, field

from ..errors import QueueFailed
from ..mta.queue import Delivery

__all__ = ["Call", "CallGroups"]

MOST = 1000  # calls in one transaction
_LOOK = 1.0  # seconds

Tables = TypeVar("Tables")
T = TypeVar("T")


@define(eq=False)
class Call(Generic[Tables, T]):
    """A call of *function* with the tables, as a part of a transaction."""

    function: Callable[[Tables], T]
    durable: bool = True
    """Whether its effect must survive a power loss."""
    after: Callable[[T], object] | None = None
    """Is called in the thread, with the result, once that is committed."""
    undo: Callable[[], object] | None = None
    """Is called in the thread if nothing was written, also if the future was cancelled."""
    future: Future[T] = field(factory=Future)
    result: Any = None

    def begins(self) -> bool:
        """Return whether the call is still wanted."""
        wanted = self.future.set_running_or_notify_cancel()
        if not wanted and self.undo is not None:
            self.undo()
        return wanted

    def committed(self) -> None:
        """Take note that the result is in the database."""
        if self.after is not None:
            self.after(self.result)

    def finish(self) -> None:
        """Pass on the result."""
        self.future.set_result(self.result)

    def fail(self, error: Exception) -> None:
        """Pass on *error*."""
        if self.undo is not None:
            self.undo()
        self.future.set_exception(error)


class CallGroups(Generic[Tables]):
    """The thread. A subclass runs the groups: one transaction and one sync for each."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[Call[Tables, Any] | None] = SimpleQueue()
        self._submitting = threading.Lock()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="smtpproto queue", daemon=True)
        self.changed: Callable[[], object] = bool
        """Is called in a thread after another process has changed the database."""
        self.tables: Tables | None = None
        """For the thread only; None while the database is not open."""
        self.leased: dict[tuple[str, int], Delivery] = {}
        """The deliveries that were handed out, and not settled yet, by message and number."""

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Wait until all that was submitted is done, and the thread has ended."""
        with self._submitting:
            self._stopped = True
            self._calls.put(None)
        self._thread.join()

    def submit(self, call: Call[Tables, T]) -> Future[T]:
        """Run *call* in the thread; return its future. Raises QueueFailed after :meth:`stop`."""
        with self._submitting:
            if self._stopped:
                raise QueueFailed("the queue is not open any more")
            self._calls.put(call)
        return call.future

    # -- the thread --------------------------------------------------------------------------

    def _run(self) -> None:
        goes_on = True
        while goes_on:
            group, goes_on = self._gather()
            if group:
                self._run_group(group)
        self._close()

    def _gather(self) -> tuple[list[Call[Tables, Any]], bool]:
        """Return the calls that wait, and whether more may come. Wait for the first one."""
        try:
            call = self._calls.get(timeout=self._pause())
        except Empty:
            self._look()
            return [], True
        group: list[Call[Tables, Any]] = []
        while call is not None:
            if call.begins():
                group.append(call)
            if len(group) >= MOST or self._calls.empty():
                return group, True
            call = self._calls.get()
        return group, False

    def _pause(self) -> float:
        """Return after how many seconds without a call to look what else there is to do."""
        return _LOOK

    def _run_group(self, group: Sequence[Call[Tables, Any]]) -> None:
        """Run *group*, and pass on what came of each call. It raises nothing."""
        raise NotImplementedError

    def _look(self) -> None:
        """Do what there is to do while no call comes."""

    def _close(self) -> None:
        """Close the database."""
