"""What an agent lets others see of its destinations."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from math import inf

from attrs import define, field

from ..errors import QueueFailed
from ..mta.destination_stats import DestinationStats
from ..mta.schedule import Schedule
from ..mta.store import QueueStore
from ..ports import Runtime

__all__ = ["Noticeboard"]

_APART = 5.0  # seconds between two looks whether there is news


@define(eq=False)
class Noticeboard:
    """Posts how destinations are doing: at most every five seconds, if that has changed, and every
    *look* seconds in any case. Only :meth:`post` may run in another task than the rest."""

    _runtime: Runtime
    _store: QueueStore
    _schedule: Schedule
    _look: float
    _busy: bool = field(default=False, init=False)
    _posted: Mapping[str, DestinationStats] = field(factory=dict, init=False)
    _at: float = field(default=-inf, init=False)  # of the last post, by Runtime.now
    _looked: float = field(default=-inf, init=False)
    _again: bool = field(default=False, init=False)  # to look, because something may have changed

    def pause(self) -> float:
        """Return for how many seconds there is nothing to do."""
        if self._busy:
            return inf
        until = self._looked + _APART if self._again else self._at + self._look
        return max(until - self._runtime.now(), 0.0)

    def begins(self) -> bool:
        """Return whether to post now; if so, :meth:`post` and :meth:`ended` must follow."""
        now = self._runtime.now()
        self._again = True
        if self._busy or now < self._looked + _APART:
            return False
        self._looked, self._again = now, False
        known = self._schedule.known(self._runtime.utc())
        if known == self._posted and now < self._at + self._look:
            return False
        self._posted, self._at, self._busy = known, now, True
        return True

    async def post(self) -> None:
        """Post it, unless the store fails."""
        with contextlib.suppress(QueueFailed):  # claims tell of it
            await self._store.post(self._posted, self._runtime.utc())

    def ended(self) -> None:
        """The post has ended."""
        self._busy = False

    async def clear(self) -> None:
        """Post that nothing is known any more."""
        self._posted = {}
        await self.post()
