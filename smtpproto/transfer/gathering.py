"""Failures that wait for others of the same message, so that one report tells of all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from math import inf

from attrs import define, field

from ..limits import REPORT_RECIPIENTS
from ..mta.queue import Message
from ..mta.settlement import Done, Fate, Later, Settlement

__all__ = ["Gathering"]

_LONGEST = 5.0  # seconds
_MOST = 2000  # settlements
_FEW = 100  # recipients; if a message has more, others may be claimed soon


@define
class _Failures:
    message: Message
    since: float
    settlements: list[Settlement] = field(factory=list)


@define(eq=False)
class Gathering:
    """Keeps failures for a while, as long as other deliveries of their message are under way or, if
    it has many recipients, may soon be.

    If the process dies meanwhile, the recipients are tried again, and fail again. Times are those
    of the monotonic clock.
    """

    _claimed: Counter[str] = field(factory=Counter, init=False)  # by the id of the message
    _failures: dict[str, _Failures] = field(factory=dict, init=False)  # the oldest first
    _number: int = field(default=0, init=False)  # settlements in it

    def __bool__(self) -> bool:
        return bool(self._failures)

    def claimed(self, message: Message, number: int) -> None:
        """Expect settlements of *number* more deliveries of *message*."""
        self._claimed[message.id] += number

    def add(
        self, message: Message, settlements: Sequence[Settlement], now: float
    ) -> Sequence[Settlement]:
        """Add settlements, one for each delivery; return what to write now."""
        left = self._claimed[message.id] = self._claimed[message.id] - len(settlements)
        if left <= 0:
            del self._claimed[message.id]
            if all(it.delivery.number < _FEW for it in settlements):
                return [*self._release(message.id), *settlements]
        failures = [it for it in settlements if _can_wait(message, it)]
        others = [it for it in settlements if not _can_wait(message, it)]
        if not failures:
            return others
        waiting = self._failures.setdefault(message.id, _Failures(message, now)).settlements
        waiting += failures
        self._number += len(failures)
        full = len(waiting) >= REPORT_RECIPIENTS
        return [*self._release(message.id), *others] if full else others

    def overdue(self, now: float) -> Iterator[tuple[Message, Sequence[Settlement]]]:
        """Yield what must wait no longer."""
        while self._failures and (self.pause(now) <= 0 or self._number > _MOST):
            oldest = next(iter(self._failures.values())).message
            yield oldest, self._release(oldest.id)

    def pause(self, now: float) -> float:
        """Return the seconds until something is :meth:`overdue`."""
        if not self._failures:
            return inf
        return next(iter(self._failures.values())).since + _LONGEST - now

    def _release(self, name: str) -> Sequence[Settlement]:
        found = self._failures.pop(name, None)
        if found is None:
            return ()
        self._number -= len(found.settlements)
        return found.settlements


def _can_wait(message: Message, settlement: Settlement) -> bool:
    """Return whether *settlement* may lead to a report, and costs nothing if it is forgotten."""
    if message.sender.mailbox is None:
        return False
    match settlement.decision:
        case Done(fate=Fate.FAILED | Fate.EXPIRED) | Later(warned=True):
            return True
    return False
