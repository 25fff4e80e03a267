"""The time of a whole operation, beside those of its phases (``Timeouts.total``)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from attrs import define, field

from ..errors import TimedOut
from ..wire.stream_wrapper import StreamWrapper


@define(eq=False)
class Deadline:
    """When the operation that is going on has to be over.

    *now* gives seconds; *whole* is what each operation has of them, None for no bound.
    """

    _now: Callable[[], float]
    _total: float | None
    _end: float | None = field(default=None, init=False)

    def start(self, larger: Deadline | None = None) -> None:
        """An operation begins, unless one is going on of which this is a part; it may also be part
        of a *larger* one, which has begun before."""
        if larger is not None:
            self._end = larger._end
        elif self._total is not None and self._end is None:
            self._end = self._now() + self._total

    def stop(self) -> None:
        """The operation is over."""
        self._end = None

    @property
    def passed(self) -> bool:
        """Whether the time is over."""
        return self._end is not None and self._now() >= self._end

    def check(self, phase: str = "") -> None:
        """Raise TimedOut if the time is over."""
        if self.passed:
            raise self._over(phase)

    @contextmanager
    def within(self, timeout: float | None, phase: str = "") -> Iterator[float | None]:
        """Wait in this block, at most the seconds that it gives: *timeout* or what is left of the
        whole. TimedOut then says which it was. Raises it at once if nothing is left."""
        self.check(phase)
        left = None if self._end is None else self._end - self._now()
        if left is None or (timeout is not None and timeout < left):
            yield timeout
            return
        try:
            yield left
        except TimedOut as error:
            raise self._over(error.phase) from None

    def _over(self, phase: str) -> TimedOut:
        return TimedOut(
            f"the whole operation took longer than {self._total:g} seconds",
            phase=phase,
            check="timeouts.total, or why the server is slow",
        )


@define(eq=False)
class DeadlineStream(StreamWrapper):
    """A stream below TLS that is waited for until the deadline at most."""

    _deadline: Deadline

    async def read(self, timeout: float | None) -> bytes:
        with self._deadline.within(timeout) as seconds:
            return await self._stream.read(seconds)

    async def write(self, data: bytes, timeout: float | None) -> None:
        with self._deadline.within(timeout) as seconds:
            await self._stream.write(data, seconds)
