"""Awaiting the application's code in such a way that a task can leave it for good.

An event loop cancels a task by raising an exception where it waits. The application may catch this
exception and go on, and the task never ends.
"""

from __future__ import annotations

import contextlib
import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")

FINISH = 2.0  # seconds for a call at the end of a connection that was cancelled


@types.coroutine
def resume(
    coroutine: Coroutine[Any, Any, T],
    request: object,
    why_abandon: Callable[[Any], BaseException | None],
) -> Generator[Any, Any, T]:
    """Await the rest of *coroutine*, which has just yielded *request* to the event loop.

    Each time that the coroutine is resumed, *why_abandon* is called with what the event loop passes
    in: a value, or an exception to raise. If it returns an exception, the coroutine is closed
    instead of resumed, and this exception is raised.
    """
    while True:
        step: Callable[[Any], Any] = coroutine.send
        try:
            value = yield request
        except BaseException as error:
            value, step = error, coroutine.throw
        if (reason := why_abandon(value)) is not None:
            with contextlib.suppress(Exception):  # it may raise, or ignore even this
                coroutine.close()
            raise reason
        try:
            request = step(value)
        except StopIteration as stop:
            returned: T = stop.value
            return returned
