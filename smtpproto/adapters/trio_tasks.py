"""Tasks and events of trio: see :class:`.ports.Tasks` and :class:`.ports.Event`."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import trio


class Event:
    def __init__(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._thread = threading.get_ident()
        self._event = trio.Event()

    def set(self) -> None:
        if threading.get_ident() == self._thread:
            self._set()
        else:
            with contextlib.suppress(trio.RunFinishedError):
                self._token.run_sync_soon(self._set, idempotent=True)

    def _set(self) -> None:
        self._event.set()

    async def wait(self, timeout: float | None) -> None:
        with trio.move_on_after(float("inf") if timeout is None else timeout):
            await self._event.wait()
        self._event = trio.Event()


class Tasks:
    def __init__(self, nursery: trio.Nursery, scope: trio.CancelScope) -> None:
        self._nursery, self._scope = nursery, scope

    def start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self._nursery.start_soon(self._run, coroutine)

    async def _run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        await coroutine

    def cancel(self) -> None:
        self._scope.cancel()


@contextlib.asynccontextmanager
async def tasks() -> AsyncIterator[Tasks]:
    """See :meth:`.ports.Runtime.tasks`."""
    try:
        async with trio.open_nursery() as nursery:
            yield Tasks(nursery, nursery.cancel_scope)
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from errors
