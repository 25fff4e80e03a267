"""Calls of the application's code under asyncio: see :meth:`.ports.Runtime.within`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar
from weakref import WeakSet

from ..ports import contain, took_too_long
from .abandonable import FINISH, Abandonable

T = TypeVar("T")

UNWIND = 1.0  # seconds for a call to end after it was cancelled

_ending: WeakSet[asyncio.Task[Any]] = WeakSet()  # tasks that were cancelled for good


async def within(seconds: float | None, awaitable: Awaitable[T]) -> T:
    """See :meth:`.ports.Runtime.within`."""
    limit = asyncio.timeout(seconds)
    call = _Call(limit)
    try:
        async with limit:
            try:
                return await Abandonable(awaitable, call.why_abandon)
            finally:
                call.ended()
    except Exception as error:
        if seconds is not None and isinstance(error, TimeoutError) and limit.expired():
            raise took_too_long(seconds) from None
        raise
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if call.is_cancelled:
            raise
        raise contain(error) from error


async def finish_within(seconds: float | None, awaitable: Awaitable[T]) -> T:
    """See :meth:`.ports.Runtime.finish_within`."""
    caller = asyncio.current_task()
    assert caller is not None
    task = asyncio.ensure_future(within(seconds, awaitable))
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


class _Call:
    """One call in the current task: whether it has ended, and what cancelled it."""

    def __init__(self, limit: asyncio.Timeout) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._limit = limit
        self._task, self._cancelled_before = task, task.cancelling()
        self._timer: asyncio.TimerHandle | None = None
        self._abandoned = False

    def why_abandon(self, value: object) -> asyncio.CancelledError | None:
        """Return *value* if the call must be abandoned: it goes on although it was cancelled.

        Other cancellations are the application's own, for example those of ``asyncio.timeout``.
        """
        must_end = self._limit.expired() or self._task in _ending
        if not (must_end and isinstance(value, asyncio.CancelledError)):
            return None
        if self._timer is None:
            self._timer = self._task.get_loop().call_later(UNWIND, self._abandon)
        return value if self._abandoned else None

    def _abandon(self) -> None:
        self._abandoned = True
        self._task.cancel()  # resumes the call

    def ended(self) -> None:
        """The call has ended: its task may go on."""
        if self._timer is not None:
            self._timer.cancel()
        if self._abandoned:
            self._task.uncancel()

    @property
    def is_cancelled(self) -> bool:
        """Whether the task itself was cancelled during the call, or is closed from outside."""
        return self._task.cancelling() > self._cancelled_before or not self._is_running

    @property
    def _is_running(self) -> bool:
        try:
            return asyncio.current_task() is self._task
        except RuntimeError:  # the loop has ended
            return False
