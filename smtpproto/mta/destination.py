"""A destination in the schedule: what waits for it, and how it goes."""

from __future__ import annotations

from collections import Counter

from attrs import Factory, define

from .destination_stats import DestinationStats
from .fair_queue import FairQueue
from .queue import Attempt, Delivery, Message
from .window import Window

__all__ = ["APART", "HOLD", "Destination", "Waiting"]

APART = 0.001  # seconds between deliveries that are put back, so that they do not return at once
HOLD = 60.0  # seconds for which deliveries to a slow destination wait in memory, at most
_SLOWEST = 10.0  # seconds for a recipient, to a destination that is slower than that


@define(eq=False)
class Waiting:
    """A message with the deliveries to one destination that wait for their turn."""

    message: Message
    deliveries: list[Delivery]


@define(eq=False)
class Destination:
    """What waits for one destination, and what is known of it."""

    name: str
    window: Window
    queue: FairQueue[Waiting] = Factory(FairQueue)
    waiting: dict[str, Waiting] = Factory(dict)  # by the id of the message
    recipients: int = 0  # that wait
    by_origin: Counter[str] = Factory(Counter)  # the same
    put_back: int = 0  # since there was room for all
    pace: float = APART  # seconds for a recipient, while others wait
    answered: float | None = None  # when it last answered, while others wait
    trouble: Attempt | None = None  # the last that failed
    suspects: int = 0  # jobs that count as those of a suspect
    full: bool = False  # until it is half empty, or the store would be asked for each delivery
    big: set[str] = Factory(set)  # origins with enough that waits, in the same way
    slow_until: float = 0.0  # by a limit of this server; 0.0 if that did not matter lately
    slow_for: float = 0.0  # seconds, when that was said
    limit: Attempt | None = None  # what tells of the limit

    def quiet_until(self, now: float) -> float | None:
        """Return until when no job may begin; None if one may *now*."""
        paused_until = self.window.paused_until(now)
        if not self.slow_until:
            return paused_until
        self.slow_until = min(self.slow_until, now + self.slow_for)  # if the clock was put back
        until = max(paused_until or 0.0, self.slow_until)
        return until if now < until else None

    def stats(self, now: float) -> DestinationStats:
        """Return how it is doing *now*."""
        window, until = self.window, self.window.paused_until(now)
        return DestinationStats(
            window=window.most,
            running=window.busy,
            paused_until=until,
            trouble=self.trouble if window.on_probation else None,
        )

    def is_closed(self, now: float) -> bool:
        """Return whether deliveries had better not wait in memory."""
        is_paused = self.window.paused_until(now) is not None
        return is_paused or self.slow_until > now + HOLD

    def measure(self, recipients: int, now: float) -> None:
        """Let the pace follow a job that was answered, if others waited meanwhile."""
        if self.answered is not None:
            seconds = max(now - self.answered, 0) / recipients
            self.pace += (min(seconds, _SLOWEST) - self.pace) / 8
        self.answered = now if self.recipients else None
