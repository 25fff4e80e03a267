"""The time limit of a whole operation (``Timeouts.total``), in addition to that of each phase."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from attrs import define, field

from ..errors import TimedOut
from ..wire.stream_wrapper import StreamWrapper


@define(eq=False, repr=False)
class Deadline:
    """The time at which the current operation must have ended.

    *now* returns seconds of a monotonic clock. *total* is the number of seconds that each operation
    may take; None means no limit.
    """

    _now: Callable[[], float]
    total: float | None
    _end: float | None = field(default=None, init=False)

    def start(self, enclosing: Deadline | None = None) -> bool:
        """Begin an operation, unless one is already under way; return whether it began.

        With *enclosing*, this operation is part of the one that *enclosing* measures.
        """
        if enclosing is not None:
            self._end = enclosing._end
        elif self.total is not None and self._end is None:
            self._end = self._now() + self.total
        else:
            return False
        return True

    def stop(self) -> None:
        """End the operation."""
        self._end = None

    @property
    def passed(self) -> bool:
        """Whether the time is over."""
        return self._end is not None and self._now() >= self._end

    def check(self, phase: str = "") -> None:
        """Raise TimedOut if the time is over."""
        if self.passed:
            raise self._exceeded(phase)

    @contextmanager
    def within(self, timeout: float | None, phase: str = "") -> Iterator[float | None]:
        """Yield the seconds that one wait in this block may take.

        That is *timeout*, or what is left for the whole operation if that is less. A TimedOut from
        the block then names the limit that was reached. Raises TimedOut at once if no time is left.
        """
        self.check(phase)
        left = None if self._end is None else self._end - self._now()
        if left is None or (timeout is not None and timeout < left):
            yield timeout
            return
        try:
            yield left
        except TimedOut as error:
            late = self._exceeded(error.phase)
            late.fault = error.fault
            raise late from None

    def _exceeded(self, phase: str) -> TimedOut:
        """Return the error for an operation that took too long."""
        return TimedOut(
            f"the whole operation took longer than {self.total:g} seconds",
            phase=phase,
            check="timeouts.total, and why the server is slow",
        )


@define(eq=False, repr=False)
class DeadlineStream(StreamWrapper):
    """A stream whose waits all end at the deadline."""

    _deadline: Deadline

    async def read(self, timeout: float | None) -> bytes:
        """Read as :meth:`.Stream.read` does, until the deadline at most."""
        with self._deadline.within(timeout) as seconds:
            return await self._stream.read(seconds)

    async def write(self, data: bytes, timeout: float | None) -> None:
        """Write as :meth:`.Stream.write` does, until the deadline at most."""
        with self._deadline.within(timeout) as seconds:
            await self._stream.write(data, seconds)
