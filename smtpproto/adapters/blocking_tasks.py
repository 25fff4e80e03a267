"""Threads as tasks, and their events: see :class:`.ports.Tasks` and :class:`.ports.Event`."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import AsyncIterator, Coroutine
from typing import Any

from .facade import run


class Event:
    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        self._event.set()

    async def wait(self, timeout: float | None) -> None:
        self._event.wait(timeout)
        self._event.clear()


class Tasks:
    def __init__(self) -> None:
        self._threads: set[threading.Thread] = set()
        self._error: BaseException | None = None

    def start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        thread = threading.Thread(target=self._run, args=(coroutine,), name="smtpproto task")
        self._threads.add(thread)
        thread.start()

    def _run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        try:
            run(coroutine)
        except BaseException as error:
            self._error = self._error or error
        self._threads.discard(threading.current_thread())

    def cancel(self) -> None:
        """Do nothing: the time-outs of the connections end them."""

    def join(self) -> None:
        """Wait for all threads; raise what one of them raised."""
        for thread in list(self._threads):
            thread.join()
        if self._error is not None:
            raise self._error


@contextlib.asynccontextmanager
async def tasks() -> AsyncIterator[Tasks]:
    """See :meth:`.ports.Runtime.tasks`."""
    running = Tasks()
    try:
        yield running
    finally:
        running.join()
