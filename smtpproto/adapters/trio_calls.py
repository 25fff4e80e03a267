"""Calls of the application's code under trio: see :meth:`.ports.Runtime.within`."""

from __future__ import annotations

import math
from collections.abc import Awaitable
from typing import TypeVar

import trio

from ..ports import as_coroutine, raise_contained, took_too_long
from .abandonable import FINISH, resume

T = TypeVar("T")

_IGNORED = 100  # a call that catches Cancelled as often as this will not end by itself


class Calls:
    """The methods of the runtime that call the application's code."""

    async def within(self, seconds: float | None, awaitable: Awaitable[T]) -> T:
        """See :meth:`.ports.Runtime.within`."""
        limit = trio.CancelScope()
        if seconds is not None:
            limit.deadline = trio.current_time() + seconds
        nursery = trio.lowlevel.current_task().parent_nursery
        with limit:
            return await _contained(awaitable, limit, *([nursery.cancel_scope] if nursery else []))
        raise took_too_long(seconds or 0)

    async def finish_within(self, seconds: float | None, awaitable: Awaitable[T]) -> T:
        """See :meth:`.ports.Runtime.finish_within`."""
        deadline = trio.current_time() + (math.inf if seconds is None else seconds)
        failure: Exception | None = None
        async with trio.open_nursery() as nursery:
            scope = trio.CancelScope(shield=True, deadline=deadline)
            nursery.start_soon(_shorten, scope)
            with scope:
                try:
                    return await _contained(awaitable, scope)
                except Exception as error:  # a nursery would wrap it in a group
                    failure = error
                finally:
                    nursery.cancel_scope.cancel()
        raise failure or took_too_long(FINISH if seconds is None else seconds)


async def _shorten(scope: trio.CancelScope) -> None:
    """Leave *scope* little time when this task is cancelled."""
    try:
        await trio.sleep_forever()
    finally:
        scope.deadline = min(scope.deadline, trio.current_time() + FINISH)


async def _contained(awaitable: Awaitable[T], *scopes: trio.CancelScope) -> T:
    """Await *awaitable*. Abandon it if it goes on although one of *scopes* is cancelled."""
    task, ignored = trio.lowlevel.current_task(), 0

    def why_abandon(value: object) -> trio.Cancelled | None:
        nonlocal ignored
        error = getattr(value, "error", None)  # trio resumes a task with an outcome
        if not isinstance(error, trio.Cancelled):
            return None
        # Other scopes are the application's: every trio.sleep ends with a Cancelled, for example.
        ignored += any(scope.cancel_called for scope in scopes)
        return error if ignored > _IGNORED else None

    coroutine = as_coroutine(awaitable)
    try:
        return await resume(coroutine, coroutine.send(None), why_abandon)
    except StopIteration as stop:
        returned: T = stop.value
        return returned
    except BaseException as error:
        aborts = not isinstance(error, Exception)
        if aborts and (not _is_running(task) or trio.current_effective_deadline() == -math.inf):
            raise
        raise_contained(error)


def _is_running(task: trio.lowlevel.Task) -> bool:
    """Return whether *task* is the current one: it is not if it is closed from outside."""
    try:
        return trio.lowlevel.current_task() is task
    except RuntimeError:  # trio has ended
        return False
