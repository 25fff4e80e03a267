"""Calls of the application's code under asyncio: see :meth:`.ports.Runtime.within`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine
from typing import Any, TypeVar
from weakref import WeakSet

from ..ports import as_coroutine, raise_contained, took_too_long
from .abandonable import FINISH, resume

T = TypeVar("T")

UNWIND = 1.0  # seconds for a call to end after it was cancelled

_ending: WeakSet[asyncio.Task[Any]] = WeakSet()  # tasks that were cancelled for good


class Calls:
    """The methods of the runtime that call the application's code."""

    async def within(self, seconds: float | None, awaitable: Awaitable[T]) -> T:
        """See :meth:`.ports.Runtime.within`. Whatever bounds the call is made when it suspends."""
        coroutine = as_coroutine(awaitable)
        try:
            request = coroutine.send(None)
        except StopIteration as stop:
            returned: T = stop.value
            return returned
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError) and current_task().cancelling():
                raise
            raise_contained(error)
        return await _Call(seconds).rest(coroutine, request)

    async def finish_within(self, seconds: float | None, awaitable: Awaitable[T]) -> T:
        """See :meth:`.ports.Runtime.finish_within`."""
        caller = current_task()
        task = asyncio.ensure_future(self.within(seconds, awaitable))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        try:
            await asyncio.wait([task], timeout=FINISH if caller.cancelling() else None)
        except asyncio.CancelledError:
            await asyncio.wait([task], timeout=FINISH)  # a second cancellation ends this, too
            raise
        finally:
            if end(task):
                await asyncio.wait([task], timeout=2 * UNWIND)
        if task.cancelled() or not task.done():
            raise took_too_long(FINISH)
        return task.result()


def end(task: asyncio.Task[Any]) -> bool:
    """Cancel *task* for good: if a call in it ignores that, it is abandoned soon after. Return
    False if the task has ended already."""
    _ending.add(task)
    return task.cancel()


def current_task() -> asyncio.Task[Any]:
    """Return the task that runs."""
    task = asyncio.current_task()
    assert task is not None
    return task


class _Call:
    """A call in the current task that has suspended. After *seconds* it is cancelled."""

    def __init__(self, seconds: float | None) -> None:
        self._task, self._seconds = current_task(), seconds
        self._cancelled_before, self._cancelled_here = self._task.cancelling(), 0
        self._must_end = self._abandoned = False
        self._timer: asyncio.TimerHandle | None = None
        if seconds is not None:
            self._timer = self._task.get_loop().call_later(seconds, self._cancel)

    async def rest(self, coroutine: Coroutine[Any, Any, T], request: object) -> T:
        """Return the result of *coroutine*, which has just yielded *request*."""
        try:
            return await resume(coroutine, request, self._why_abandon)
        except BaseException as error:
            if not isinstance(error, Exception) and self._is_cancelled_from_outside:
                raise
            if isinstance(error, asyncio.CancelledError) and self._cancelled_here:
                raise took_too_long(self._seconds or 0) from None
            raise_contained(error)
        finally:
            if self._timer is not None:
                self._timer.cancel()
            for _ in range(self._cancelled_here):
                self._task.uncancel()

    def _cancel(self) -> None:
        self._abandoned = self._must_end
        self._cancelled_here += 1
        self._task.cancel()  # resumes the call

    def _why_abandon(self, value: object) -> asyncio.CancelledError | None:
        """Return *value* if the call must be abandoned: it goes on although it was cancelled.

        Other cancellations are the application's own, for example those of ``asyncio.timeout``.
        """
        if not isinstance(value, asyncio.CancelledError):
            return None
        if not self._must_end and (self._cancelled_here or self._task in _ending):
            self._must_end = True
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._task.get_loop().call_later(UNWIND, self._cancel)
        return value if self._abandoned else None

    @property
    def _is_cancelled_from_outside(self) -> bool:
        """Whether someone else has cancelled the task, or closes it."""
        if self._task.cancelling() - self._cancelled_here > self._cancelled_before:
            return True
        try:
            return asyncio.current_task() is not self._task
        except RuntimeError:  # the loop has ended
            return True
