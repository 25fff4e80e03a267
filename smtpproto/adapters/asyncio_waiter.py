"""What a task awaits on a stream under asyncio, in place of a new future for each wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextvars import Context
from time import monotonic
from typing import Any

from ..errors import TimedOut

_NEVER = float("inf")


class Waiter:
    """Suspends the task that uses a stream, until :meth:`wake` or a time-out.

    It follows the protocol of asyncio's futures, so that ``asyncio.timeout``, cancellation and
    context variables work as everywhere. One timer serves all waits: it is only set anew if it
    would be too late. When it fires early, it is set to the deadline of the current wait.
    """

    __slots__ = (
        "_asyncio_future_blocking", "_context", "_deadline", "_error", "_loop", "_timer",
        "_timer_time", "_wakeup",
    )  # fmt: skip

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop  # a task compares it with its own
        self._asyncio_future_blocking = False
        self._wakeup: Callable[[Any], object] | None = None  # resumes the task that waits
        self._context: Context | None = None
        self._error: BaseException | None = None  # to raise in the task
        self._deadline = _NEVER
        self._timer: asyncio.TimerHandle | None = None
        self._timer_time = _NEVER

    def wait(self, timeout: float | None) -> Waiter:
        """Return an awaitable that raises TimedOut after *timeout* seconds (None: no limit).

        Raises RuntimeError if another task waits already.
        """
        if self._wakeup is not None:
            raise RuntimeError("another task is waiting for this stream")
        if timeout is None:
            self._deadline = _NEVER
            return self
        self._deadline = deadline = monotonic() + timeout
        if deadline < self._timer_time:
            self._set_timer(timeout)
        return self

    def wake(self) -> None:
        """Run the waiting task now, up to its next wait. A future would run it only in the next
        turn of the loop. Call this only where no task runs, and nothing depends on what follows:
        where the loop passes on octets."""
        if self._wakeup is not None:
            wakeup, context, self._wakeup = self._wakeup, self._context, None
            assert context is not None
            try:
                context.run(wakeup, self)
            except (KeyboardInterrupt, SystemExit) as error:  # uvloop would only log it here
                self._loop.call_soon(_raise, error)

    def wake_soon(self, error: BaseException | None = None) -> bool:
        """Run the waiting task in the next turn of the loop; there it raises *error*. Return
        whether a task waits."""
        if self._wakeup is None:
            return False
        wakeup, self._wakeup, self._error = self._wakeup, None, error
        self._loop.call_soon(wakeup, self, context=self._context)
        return True

    def close(self) -> None:
        """Stop the timer, which would keep the stream in memory."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer, self._timer_time = None, _NEVER

    def _set_timer(self, seconds: float) -> None:
        self.close()
        self._timer = self._loop.call_later(seconds, self._expire)
        self._timer_time = self._deadline

    def _expire(self) -> None:
        self._timer, self._timer_time = None, _NEVER
        if self._wakeup is None or self._deadline is _NEVER:
            return
        if (seconds := self._deadline - monotonic()) > 0:
            self._set_timer(seconds)
        else:
            self.wake_soon(TimedOut("the peer was silent for too long"))

    # A task of asyncio calls the methods below, as it does with a future.

    def __await__(self) -> Generator[Waiter, None, None]:
        self._asyncio_future_blocking = True
        yield self

    def add_done_callback(self, wakeup: Callable[[Any], object], *, context: Context) -> None:
        self._wakeup, self._context = wakeup, context

    def cancel(self, msg: object = None) -> bool:
        return self.wake_soon(asyncio.CancelledError(*([] if msg is None else [msg])))

    def result(self) -> None:
        if self._error is not None:
            error, self._error = self._error, None
            raise error


def _raise(error: BaseException) -> None:
    raise error
