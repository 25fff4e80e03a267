"""What an attempt means: whether the delivery is at its end, and when it is tried again."""

from __future__ import annotations

from attrs import field, frozen

from ..grammar.scheduling import ByMode
from ..option_types import checked
from .queue import Attempt, Delivery, Message, Result
from .retry import RetrySchedule
from .schedule import PutBack
from .settlement import Decision, Done, Fate, Later, Settlement

__all__ = ["Judge"]

_AFTER_UNKNOWN = 900.0  # seconds: the host may still be busy with the message, so not at once
_TAKES_NO_MAIL = (521, 556)
_LOGIN_REFUSED = {530, 534, 535, 538}  # RFC 4954 6
_SUCCESS = {
    Result.DELIVERED: Fate.DELIVERED,
    Result.RELAYED: Fate.RELAYED,
    Result.EXPANDED: Fate.EXPANDED,
}


@checked
@frozen
class Judge:
    """Decides by a :class:`.RetrySchedule`."""

    schedule: RetrySchedule = field(factory=RetrySchedule)

    def decide(
        self,
        message: Message,
        delivery: Delivery,
        attempt: Attempt,
        *,
        now: float,
        chance: float,
    ) -> Decision:
        """Return what becomes of *delivery*, which was claimed for *attempt*.

        *chance* is a random number from 0 to 1.
        """
        if attempt.result in _SUCCESS:
            return Done(_SUCCESS[attempt.result])
        if is_permanent(attempt):
            return Done(Fate.FAILED)
        if now >= message.expires:
            return Done(Fate.EXPIRED)
        return self._later(message, delivery, now + self._wait(delivery, attempt, chance), now)

    def put_back(self, it: PutBack, now: float) -> Settlement:
        """Return what is written about a delivery that the schedule puts back.

        It was not tried, so that does not count as an attempt. Its log gets the attempt after which
        its destination was paused. A message that has expired then is not tried again.
        """
        decision: Decision
        if it.because is not None and now >= it.message.expires:
            decision = Done(Fate.EXPIRED)
        else:
            decision = self._later(it.message, it.delivery, it.due, now)
        attempt = None if _says_the_same(it.delivery.last, it.because) else it.because
        return Settlement(delivery=it.delivery, decision=decision, attempt=attempt, counts=False)

    def _later(self, message: Message, delivery: Delivery, due: float, now: float) -> Later:
        warns = self.schedule.warns(message)
        return Later(
            due=due if now >= message.expires else min(due, message.expires),
            warned=not delivery.warned and warns is not None and now >= warns,
        )

    def too_early(self, delivery: Delivery, since: float, now: float) -> float | None:
        """Return until when *delivery* has to wait although it was made due, at *since*, because
        the clock was put back; None if it need not.

        If nobody knows what came of its last attempt, its host may still be busy with the message.
        """
        last = delivery.last
        if last is None or last.result is not Result.UNKNOWN:
            return None
        due = min(last.at, since) + _AFTER_UNKNOWN  # by the clock of before, last.at may be ahead
        return due if due > now else None

    def gives_up(self, message: Message, now: float) -> bool:
        """Return whether *message* must not be tried any more: ``BY=...;R`` (RFC 2852 4.1.3)."""
        by = message.parameters.by
        return by is not None and by.mode is ByMode.RETURN and now >= message.expires

    def due_if_lost(self, delivery: Delivery, now: float) -> float:
        """Return when *delivery* is due again if the process that claims it *now* dies."""
        return now + self.schedule.wait(delivery.attempts + 1, 0.5)

    def _wait(self, delivery: Delivery, attempt: Attempt, chance: float) -> float:
        wait = self.schedule.wait(max(delivery.attempts, 1), chance)
        if attempt.result is Result.UNKNOWN:
            return max(wait, _AFTER_UNKNOWN)
        asked = self._asked(delivery, attempt)
        return wait if asked is None else asked * (1 + self.schedule.jitter * chance)

    def _asked(self, delivery: Delivery, attempt: Attempt) -> float | None:
        """Return the wait that the reply asks for, unless its host asked before: then this does not
        help, and the schedule decides."""
        if attempt.reply is None:
            return None
        if any(it.reply is not None and self.schedule.heeds(it.reply) for it in delivery.log):
            return None
        return self.schedule.heeds(attempt.reply)


def _says_the_same(last: Attempt | None, because: Attempt | None) -> bool:
    """Return whether *last* in a log tells of *because*. A limit of this server is told once."""
    if last is None or because is None or because.host:
        return last == because
    return (last.host, last.reply) == ("", because.reply)


def is_permanent(attempt: Attempt) -> bool:
    """Return whether *attempt* says that no further one can help.

    A host that refuses every session, by its greeting or to EHLO, may be set right; but not one
    that says that it takes no mail at all (RFC 7504). A refused login is no fault of the message,
    but of the settings here.
    """
    reply = attempt.reply
    if reply is None or not reply.permanent:
        return False
    if reply.code in _LOGIN_REFUSED or attempt.command.upper().startswith("AUTH"):
        return False
    if attempt.result is Result.UNREACHED:
        return not attempt.host or reply.code in _TAKES_NO_MAIL
    return attempt.result is Result.REFUSED
