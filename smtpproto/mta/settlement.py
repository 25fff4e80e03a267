"""What becomes of a delivery after an attempt."""

from __future__ import annotations

import enum

from attrs import evolve, field, frozen

from ..grammar.printable import is_text
from .queue import Attempt, Delivery, State

__all__ = ["Decision", "Done", "Ended", "Fate", "Hold", "Later", "Settlement"]


class Fate(enum.Enum):
    """How a delivery came to its end."""

    DELIVERED = "delivered"
    """It is in a mailbox here."""
    RELAYED = "relayed"
    """The next hop has taken it over."""
    EXPANDED = "expanded"
    """It was sent on to the several addresses for which the recipient's stands."""
    FAILED = "failed"
    """It was refused for good, or there is no host for it."""
    EXPIRED = "expired"
    """It could not be delivered in time."""
    DROPPED = "dropped"
    """A person or a rule took it out of the queue, and nobody was told."""


@frozen
class Done:
    """The delivery has come to its end."""

    fate: Fate


@frozen(kw_only=True)
class Later:
    """The delivery is tried again."""

    due: float
    warned: bool = False
    """Whether the sender is told of the delay now."""


def check_reason(reason: str) -> None:
    """Raise ValueError if *reason* is no text that a store can keep."""
    if not is_text(reason):
        raise ValueError(f"a reason cannot have surrogates: {reason[:100]!a}")


def _check_reason(_: object, __: object, reason: str) -> None:
    check_reason(reason)


@frozen
class Hold:
    """The delivery waits until it is released."""

    reason: str = field(validator=_check_reason)


Decision = Done | Later | Hold
"""What becomes of a delivery after an attempt."""


@frozen(kw_only=True)
class Settlement:
    """What is written about a delivery after an attempt, or without one."""

    delivery: Delivery
    """As it was claimed."""
    decision: Decision
    attempt: Attempt | None = None
    """For the delivery's log."""
    counts: bool = True
    """Whether the claim counts as an attempt. If the delivery was put back, it does not."""

    @property
    def last(self) -> Attempt | None:
        """The latest attempt of the delivery."""
        return self.attempt or self.delivery.last

    @property
    def delivery_after(self) -> Delivery:
        """The delivery with the attempt in its log, and changed as the decision says."""
        delivery = self.delivery if self.attempt is None else self.delivery.tried(self.attempt)
        if not self.counts:
            delivery = evolve(delivery, attempts=delivery.attempts - 1)
        match self.decision:
            case Later(due=due, warned=warned):
                warned = warned or delivery.warned
                return evolve(delivery, state=State.WAITING, due=due, warned=warned)
            case Hold(reason=reason):
                return evolve(delivery, state=State.HELD, reason=reason)
            case Done():
                return delivery


@frozen(kw_only=True)
class Ended:
    """A delivery that has left the queue, for the record."""

    delivery: Delivery
    fate: Fate
    at: float
