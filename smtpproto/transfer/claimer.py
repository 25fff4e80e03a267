"""When to claim deliveries, and the claims themselves, one at a time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from math import inf

from attrs import define, field, frozen

from ..errors import QueueFailed
from ..mta.judge import Judge
from ..mta.queue import Delivery
from ..mta.route import Routes
from ..mta.schedule import Excluded
from ..mta.store import Claim, QueueStore, Selection
from ..ports import Runtime
from .backoff import Backoff

__all__ = ["Claimed", "Claimer"]

_log = logging.getLogger("smtpproto.queue")

_AGAIN = 0.05  # seconds after which the store is asked again at the earliest, if it had nothing
_PUT_BACK = 60.0  # seconds by which the clock is put back that matter
_FAR = 2  # times the longest wait


@frozen(kw_only=True)
class Claimed:
    """What came of a claim."""

    claims: Sequence[Claim] = ()
    due: float | None = None
    """When the next delivery is due, if nothing was claimed; None if none waits."""
    error: QueueFailed | None = None


@define(eq=False)
class Claimer:
    """Claims what is due. Only :meth:`claim` may run in another task than the rest."""

    _runtime: Runtime
    _store: QueueStore
    judge: Judge
    """It can be replaced at any time."""
    _look: float
    _is_shut: Callable[[str], bool]
    busy: bool = field(default=False, init=False)
    """Whether a claim runs."""
    _backoff: Backoff = field(factory=Backoff, init=False)
    _asked: bool = field(default=True, init=False)  # to look into the store at once
    _next: float = field(default=0.0, init=False)  # when something there is due
    _excluded: frozenset[Excluded] = field(default=frozenset(), init=False)  # by the last claim
    _ahead: float = field(default=-inf, init=False)  # by which the calendar is before now()
    _first: bool = field(default=True, init=False)
    _clock_was_put_back: bool = field(default=False, init=False)
    _all_due_since: float = field(default=-inf, init=False)  # since the clock was put back

    def ask(self) -> None:
        """Claim as soon as possible. Threads may call this."""
        self._asked = True

    def note_due(self, due: float) -> None:
        """Claim again when *due*, in seconds since the epoch."""
        self._next = min(self._next, due)

    def pause(self) -> float:
        """Return for how many seconds to wait, if there is room."""
        if self.busy:
            return inf
        due = 0.0 if self._asked else self._next - self._runtime.utc()
        return max(due, self._backoff.left(self._runtime.now()))

    def begins(self, excluded: Iterable[Excluded]) -> bool:
        """Return whether to claim now, but nothing for the destinations and origins *excluded*. If
        so, :meth:`claim` and :meth:`ended` must follow."""
        now, excluded = self._runtime.utc(), frozenset(excluded)
        self._check_clock(now)
        if self.busy or self._backoff.left(self._runtime.now()):
            return False
        if self._asked or now >= self._next or self._excluded - excluded:
            self._asked, self.busy, self._excluded = False, True, excluded
            self._next = inf  # what is noted from now on, the claim may not know
            return True
        return False

    def _check_clock(self, now: float) -> None:
        """Notice that the clock was put back: then the times in the queue may be far off."""
        before, self._ahead = self._ahead, now - self._runtime.now()
        if self._ahead < before - _PUT_BACK:
            self._asked = self._clock_was_put_back = True

    async def claim(self, limit: int, routes: Routes) -> Claimed:
        """Claim at most *limit* deliveries; if none is due, ask when the next one is."""
        now, excluded = self._runtime.utc(), self._excluded

        def pass_over(domain: str, origin: str) -> bool:
            destination = routes.destination(domain)
            if destination is not None and self._is_shut(destination):
                return True
            return (destination, None) in excluded or (destination, origin) in excluded

        try:
            if self._first and await self._is_far_off(now):
                _log.info("nothing is due for long, as if the clock had been put back: it is now")
                await self._make_all_due(now)
            if self._clock_was_put_back:
                _log.warning("the clock was put back; all that waits is tried now")
                await self._make_all_due(now)
            self._first = self._clock_was_put_back = False
            claims = await self._store.claim(now, limit, self._due_if_lost, pass_over=pass_over)
            due = now if claims else await self._store.next_due(pass_over=pass_over)
        except QueueFailed as error:
            return Claimed(error=error)
        return Claimed(claims=claims, due=due)

    async def _make_all_due(self, now: float) -> None:
        await self._store.retry(Selection(), now)
        self._all_due_since = now

    def too_early(self, delivery: Delivery, now: float) -> float | None:
        """Return until when *delivery*, which was claimed, has to wait: see
        :meth:`.Judge.too_early`."""
        return self.judge.too_early(delivery, self._all_due_since, now)

    async def _is_far_off(self, now: float) -> bool:
        """Return whether all that waits is due later than the schedule can have said."""
        due = await self._store.next_due()
        return due is not None and due > now + _FAR * self.judge.schedule.longest

    def _due_if_lost(self, delivery: Delivery) -> float:
        return self.judge.due_if_lost(delivery, self._runtime.utc())

    def ended(self, claimed: Claimed) -> None:
        """Take note of what came of a claim."""
        self.busy = False
        if claimed.error is not None:
            self._asked = True
            self._backoff.failed(claimed.error, self._runtime.now())
            return
        self._backoff.succeeded()
        now, due = self._runtime.utc(), claimed.due
        earliest = now if claimed.claims else now + _AGAIN
        latest = now + self._look
        said = latest if due is None else min(max(due, earliest), latest)
        self._next = min(said, self._next)
