"""When to try again, when to give up, when to tell the sender of a delay (RFC 5321 4.5.4.1)."""

from __future__ import annotations

import re
from math import inf

from attrs import field, frozen
from attrs.validators import ge, gt, le

from ..grammar.address import ReversePath
from ..grammar.parameters import MailParameters
from ..grammar.pattern import pattern
from ..grammar.reply import Reply
from ..grammar.scheduling import ByMode
from ..option_types import checked
from .queue import Message

__all__ = ["RetrySchedule", "hint"]

MINUTE, HOUR, DAY = 60, 3600, 86400

_CENTURY = 36525 * DAY  # times remain such as a calendar has
_FINITE = ("factor", "longest", "expiry", "report_expiry", "warn_after")

_NUMBER = re.IGNORECASE | re.ASCII
# "try again in 300 seconds", "retry after 5 minutes", "Greylisted for 00:04:59"
_CLOCK = pattern(r"\b(?:in|after|for|wait) +(?:about +)?(\d{1,2}):([0-5]\d):([0-5]\d)\b", _NUMBER)
_WORDS = pattern(
    r"\b(?:in|after|for|wait|another) +(?:about +|at least +)?(\d{1,6}) ?"
    r"(s|secs?|seconds?|m|mins?|minutes?|h|hours?)\b",
    _NUMBER,
)
_UNITS = {"s": 1, "m": MINUTE, "h": HOUR}


@checked
@frozen(kw_only=True)
class RetrySchedule:
    """How long a delivery waits after each failure; all in seconds.

    The short first steps are for greylisting. What RFC 5321 says of 30 minutes is about a host
    that cannot be reached: see :class:`.mta.schedule.Schedule`.
    """

    steps: tuple[float, ...] = (MINUTE, 5 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR)
    """The waits after the first failures."""
    factor: float = field(default=1.5, validator=ge(1))
    """How much longer each further wait is than the one before."""
    longest: float = field(default=4 * HOUR, validator=gt(0))
    """The longest wait."""
    jitter: float = field(default=0.1, validator=[ge(0), le(0.5)])
    """The share by which chance makes each wait shorter or longer."""
    expiry: float = field(default=5 * DAY, validator=gt(0))
    """After how long a message is returned. RFC 5321 wants 4 to 5 days at least."""
    report_expiry: float = field(default=2 * DAY, validator=gt(0))
    """The same for messages with the null sender, which nobody waits for."""
    warn_after: float | None = 4 * HOUR
    """After how long the sender is told that a message is delayed; None: never."""

    def __attrs_post_init__(self) -> None:
        if not self.steps or not all(0 < step < inf for step in self.steps):
            raise ValueError("steps must have at least one wait, and each must be more than 0")
        for name in _FINITE:
            if not (getattr(self, name) or 0) <= _CENTURY:
                raise ValueError(f"{name} must be at most {_CENTURY} seconds")
        if list(self.steps) != sorted(self.steps) or self.steps[-1] > self.longest:
            raise ValueError("steps must not become shorter, nor exceed longest")

    def wait(self, failures: int, chance: float) -> float:
        """Return the seconds to wait after the *failures*-th failure, counted from 1.

        *chance* is a random number from 0 to 1.
        """
        further = failures - len(self.steps)
        seconds = self.steps[max(failures, 1) - 1] if further <= 0 else self._longer(further)
        return seconds * (1 + self.jitter * (2 * chance - 1))

    def _longer(self, further: int) -> float:
        """Return the wait that is the *further*-th after the last step."""
        growing = self.steps[-1]
        for _ in range(further):  # not a power, which could be too large for a float
            if growing >= self.longest:
                break
            growing *= self.factor
            if self.factor == 1:
                break
        return min(growing, self.longest)

    def expires(self, sender: ReversePath, parameters: MailParameters, arrived: float) -> float:
        """Return when a message that *arrived* is returned to *sender*.

        A message with ``BY=...;R`` is returned at that time at the latest (RFC 2852 4.1.3).
        """
        lifetime = self.report_expiry if sender.mailbox is None else self.expiry
        by = parameters.by
        if by is not None and by.mode is ByMode.RETURN:
            lifetime = min(lifetime, by.seconds)
        return arrived + lifetime

    def warns(self, message: Message) -> float | None:
        """Return when the sender of *message* is told of a delay; None: never.

        ``BY=...;N`` asks for that at its time (RFC 2852 4.1.3). Else the time that the sender
        himself made it wait (RFC 4865) is no delay.
        """
        by = message.parameters.by
        if by is not None and by.mode is ByMode.NOTIFY:
            return message.arrived + by.seconds
        begins = max(message.arrived, message.not_before)
        return None if self.warn_after is None else begins + self.warn_after

    def heeds(self, reply: Reply) -> float | None:
        """Return the wait that the text of *reply* asks for, not less than the first step and not
        more than :attr:`longest`; None if it asks for none."""
        seconds = hint(reply)
        return None if seconds is None else min(max(seconds, self.steps[0]), self.longest)


def hint(reply: Reply) -> float | None:
    """Return the seconds after which the text of *reply*, which refuses for now, says to try again.

    None if it does not say, or if *reply* is none of 4yz. The text decides only when to try again,
    never whether.
    """
    if not reply.transient:
        return None
    if (clock := _CLOCK.search(reply.text)) is not None:
        hours, minutes, seconds = map(int, clock.groups())
        return hours * HOUR + minutes * MINUTE + seconds
    if (words := _WORDS.search(reply.text)) is not None:
        return int(words[1]) * _UNITS[words[2][0].lower()]
    return None
