"""How long to wait for a store that fails."""

from __future__ import annotations

import logging

from attrs import define, field

from ..errors import QueueFailed

__all__ = ["Backoff"]

_log = logging.getLogger("smtpproto.queue")

_FIRST, _LONGEST = 1.0, 60.0  # seconds


@define(eq=False)
class Backoff:
    """Waits that double with each failure in a row. Times are those of ``Runtime.now``."""

    _seconds: float = field(default=0.0, init=False)
    _until: float = field(default=0.0, init=False)

    @property
    def failing(self) -> bool:
        """Whether the last call failed."""
        return self._seconds > 0

    def left(self, now: float) -> float:
        """Return for how many seconds the store must not be asked."""
        return max(self._until - now, 0.0) if self.failing else 0.0

    def failed(self, error: QueueFailed, now: float) -> None:
        """Wait for longer than the last time."""
        self._seconds = min(max(self._seconds * 2, _FIRST), _LONGEST)
        self._until = now + self._seconds
        _log.error("the queue failed; it is asked again in %g s: %s", self._seconds, error)

    def succeeded(self) -> None:
        """Do not wait any more."""
        self._seconds = 0.0
