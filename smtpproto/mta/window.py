"""How many transactions a destination may have at the same time, by how the last ones went."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence

from attrs import define, field

from ..limits import ScheduleLimits
from .queue import Attempt, Result

__all__ = ["Feedback", "Window", "feedback_of"]

_WHOLE = 1 - 1e-9  # sums of fractions such as 1/3 may miss 1 by a little
_MANY = 60  # pauses in a row after which doubling them would only make large numbers


class Feedback(enum.Enum):
    """What a transaction says about its destination, whatever it says about the recipients."""

    ANSWERED = "answered"
    """A host took part to the end, even if it refused the message or its recipients."""
    FAILED = "failed"
    """No host could be reached, or the connection was lost, or a host replied 421."""
    NEITHER = "neither"
    """The transaction says nothing about the destination, for example because it was given up."""


@define(eq=False)
class Window:
    """The number of transactions that a destination may have, from 1 to the largest.

    After enough failures in a row to account for all transactions that were open, the destination
    is *paused*. After the pause it is *on probation*: one transaction at a time, until one is
    answered.

    *share* returns how much of a limit this process may use, if others work on the same queue.
    """

    _limits: ScheduleLimits
    _share: Callable[[int], int] = int
    size: int = field(init=False)
    """How many transactions there may be at the same time, unless the destination is paused."""
    busy: int = field(default=0, init=False)
    """How many there are."""
    _score: float = field(default=0.0, init=False)  # the size changes when this reaches 1 or -1
    _failed: float = field(default=0.0, init=False)  # share of the open ones, since an answer
    _pauses: int = field(default=0, init=False)  # since an answer
    _until: float = field(default=0.0, init=False)

    def __attrs_post_init__(self) -> None:
        self.size = self._limits.window

    @property
    def most(self) -> int:
        """How many transactions this process may have, of :attr:`size`."""
        return min(self.size, self._share(self._limits.largest_window))

    @property
    def is_shut(self) -> bool:
        """Whether other processes have all transactions that the destination may have."""
        return self._share(self._limits.largest_window) <= 0

    @property
    def suspect(self) -> bool:
        """Whether the destination has failed since it last answered."""
        return self._failed > 0 or self._pauses > 0

    @property
    def on_probation(self) -> bool:
        """Whether the destination was paused, and has not answered since."""
        return self._pauses > 0

    @property
    def is_new(self) -> bool:
        """Whether nothing is known about the destination that a new window would not know."""
        known = self.busy or self.suspect or self._score or self.size != self._limits.window
        return not known

    def paused_until(self, now: float) -> float | None:
        """Return when the pause ends, or None if there is none *now*."""
        if not self.on_probation:
            return None
        self._until = min(self._until, now + self._pause)  # if the clock was put back
        return self._until if now < self._until else None

    def use(self, limits: ScheduleLimits) -> None:
        """Keep to *limits* from now on."""
        self._limits = limits
        self.size = min(self.size, limits.largest_window)

    def has_room(self, now: float) -> bool:
        """Return whether one more transaction may begin *now*."""
        return self.busy < self.most and self.paused_until(now) is None

    def begin(self) -> None:
        """Count a transaction that begins."""
        self.busy += 1

    def end(self, feedback: Feedback, now: float) -> None:
        """Count a transaction that has ended with *feedback*."""
        if feedback is Feedback.ANSWERED:
            self._answered()
        elif feedback is Feedback.FAILED and self.paused_until(now) is None:
            self._fail(now)
        self.busy -= 1

    def _answered(self) -> None:
        self._failed = 0.0
        if self.on_probation:
            self._pauses, self.size, self._score = 0, self._limits.window, 0.0
        elif self.busy >= self.size:  # else more would not be used
            self._add(1 / self.size)

    def _fail(self, now: float) -> None:
        self._failed += 1 / self.busy
        self._add(-1 / self.size)
        if self.on_probation or self._failed >= _WHOLE:
            self._pauses = min(self._pauses + 1, _MANY)
            self._until = now + self._pause
            self.size, self._score, self._failed = 1, 0.0, 0.0

    def _add(self, share: float) -> None:
        self._score += share
        if abs(self._score) >= _WHOLE:
            size = self.size + (1 if self._score > 0 else -1)
            self.size = max(1, min(size, self._limits.largest_window))
            self._score = 0.0

    @property
    def _pause(self) -> float:
        doubled: float = self._limits.pause * 2 ** (self._pauses - 1)
        return min(doubled, self._limits.longest_pause)


def feedback_of(attempts: Sequence[Attempt]) -> Feedback:
    """Return what the *attempts* of one job say about its destination.

    A refusal of a message says that the destination works, unless it is 421. That there is no host,
    for good, says nothing: another message must ask again.
    """
    found = {_feedback(attempt) for attempt in attempts}
    for feedback in (Feedback.FAILED, Feedback.ANSWERED):
        if feedback in found:
            return feedback
    return Feedback.NEITHER


def _feedback(attempt: Attempt) -> Feedback:
    reply, result = attempt.reply, attempt.result
    if result is Result.UNKNOWN or (reply is not None and reply.code == 421):
        return Feedback.FAILED
    if result is not Result.UNREACHED:
        return Feedback.ANSWERED
    no_host = reply is not None and reply.permanent and not attempt.host
    return Feedback.NEITHER if no_host else Feedback.FAILED
