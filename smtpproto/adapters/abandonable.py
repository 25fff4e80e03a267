"""Awaiting the application's code in such a way that a task can leave it for good.

An event loop cancels a task by raising an exception where it waits. The application may catch this
exception and go on, and the task never ends.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Generator
from typing import Any, Generic, TypeVar

from ..ports import as_coroutine

T = TypeVar("T")

FINISH = 2.0  # seconds for a call at the end of a connection that was cancelled


class Abandonable(Generic[T]):
    """Awaits *awaitable*. Each time that it is resumed, *why_abandon* is called with what the event
    loop passes in: a value, or an exception to raise. If it returns an exception, *awaitable* is
    closed instead of resumed, and this exception is raised."""

    def __init__(
        self, awaitable: Awaitable[T], why_abandon: Callable[[Any], BaseException | None]
    ) -> None:
        self._coroutine, self._why_abandon = as_coroutine(awaitable), why_abandon

    def __await__(self) -> Generator[Any, Any, T]:
        step: Callable[[Any], Any] = self._coroutine.send
        value: Any = None
        while True:
            try:
                request = step(value)
            except StopIteration as stop:
                returned: T = stop.value
                return returned
            try:
                value = yield request
                step = self._coroutine.send
            except BaseException as error:
                value, step = error, self._coroutine.throw
            if (reason := self._why_abandon(value)) is not None:
                with contextlib.suppress(Exception):  # it may raise, or ignore even this
                    self._coroutine.close()
                raise reason
