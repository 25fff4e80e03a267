"""How long a server waits for a client in all: the least rate of content, and the whole session.

Each single wait has a time-out of its own. A client that sends one octet before each of them could
hold a connection for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from attrs import define, field

from ..limits import Limits, Timeouts


@define(eq=False)
class Patience:
    """Adds up the time that the server has waited for one client since its last accepted message.

    *_now* returns seconds of a monotonic clock. The time that hooks take is not counted.
    """

    _now: Callable[[], float]
    _limits: Limits
    _timeouts: Timeouts
    _outside: float = field(default=0.0, init=False)  # seconds waited outside content
    _inside: float = field(default=0.0, init=False)  # seconds waited within content
    _octets: int = field(default=0, init=False)  # of content, and of the commands between chunks

    def reset(self) -> None:
        """Begin anew: a message was accepted."""
        self._outside, self._inside, self._octets = 0.0, 0.0, 0

    @contextmanager
    def waiting(self, timeout: float | None, *, in_message: bool) -> Iterator[float | None]:
        """Yield how many seconds one wait in this block may take, *timeout* or less, and count what
        it takes. *in_message*: the server waits for content."""
        left = self._left_inside if in_message else self._left_outside
        start = self._now()
        try:
            yield left if timeout is None or (left is not None and left < timeout) else timeout
        finally:
            seconds = self._now() - start
            if in_message:
                self._inside += seconds
            else:
                self._outside += seconds

    def count(self, octets: int) -> None:
        """Count content that has arrived."""
        self._octets += octets

    @property
    def _left_outside(self) -> float | None:
        most = self._timeouts.session
        return None if most is None else max(most - self._outside, 0.0)

    @property
    def _left_inside(self) -> float | None:
        rate, start = self._limits.content_rate, self._timeouts.content
        if rate is None or start is None:
            return None
        return max(start + self._octets / rate - self._inside, 0.0)
