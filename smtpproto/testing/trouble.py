"""Trouble that a test server makes: refusals, greylisting, delays, lost connections.

A list of these values is a script. Each value says at which *point* of the dialogue it happens: a
verb (``"EHLO"``, ``"HELO"``, ``"LHLO"``, ``"STARTTLS"``, ``"AUTH"``, ``"MAIL"``, ``"RCPT"``,
``"DATA"``, ``"QUIT"``), ``"connect"`` for the greeting, or ``"."`` for the end of the content. BDAT
counts as DATA, and its last chunk as the end of the content.

At each point all delays happen that are due, and the first of the other values that is due. *skip*
leaves out so many occasions at first. *times* is how often it happens then; None is always.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar

from attrs import Factory, define, field, frozen

from ..grammar.address import ForwardPath, ReversePath
from ..grammar.reply import Reply
from ..option_types import require_type

__all__ = ["Delay", "Drop", "Greylist", "Refuse", "Trouble"]

POINTS = (
    "connect", "EHLO", "HELO", "LHLO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", ".", "QUIT",
)  # fmt: skip
_REFUSALS = {
    "connect": "554 5.3.2 No service here",
    "STARTTLS": "454 4.7.0 TLS not available due to temporary reason",
    "AUTH": "535 5.7.8 Authentication credentials invalid",
    "MAIL": "550 5.7.1 Sender refused",
    "RCPT": "550 5.1.1 No such user",
}
_REFUSED = "554 5.3.0 Refused by the test"  # elsewhere


def _to_reply(value: Reply | str) -> Reply:
    reply = value if isinstance(value, Reply) else Reply.parse(f"{value}\r\n".encode())
    if reply.positive:
        raise ValueError(f"a refusal needs a code from 400 on, not {reply}")
    return reply


@frozen
class Occasion:
    """A point that a dialogue has reached, with what is known of the envelope."""

    point: str | int
    sender: ReversePath | None = None
    recipients: tuple[ForwardPath, ...] = ()


def _check_point(trouble: Trouble, _: object, point: str | int) -> None:
    kind = type(trouble).__name__
    if point not in POINTS and not (isinstance(trouble, Drop) and isinstance(point, int)):
        raise ValueError(f"{kind}: no such point: {point!r}; it takes {', '.join(POINTS)}")


def _check_count(trouble: Trouble, attribute: object, number: int | None) -> None:
    name = getattr(attribute, "name", "")
    least = 0 if name == "skip" else 1
    if number is not None and (type(number) is not int or number < least):
        raise ValueError(f"{type(trouble).__name__}: {name} must be a number from {least} on")


@frozen
class Trouble:
    """What all values of a script have in common; use those below."""

    at: str | int = field(validator=_check_point)
    """The point where it happens."""
    skip: int = field(default=0, validator=_check_count, kw_only=True)
    """How many occasions it leaves out at first."""
    times: int | None = field(default=None, validator=_check_count, kw_only=True)
    """How often it happens then; None: always."""
    _many: ClassVar[bool] = False  # whether several may happen at one occasion

    def _matches(self, occasion: Occasion) -> bool:
        """Return whether *occasion* counts for this value."""
        return occasion.point == self.at

    def _key(self, occasion: Occasion) -> object:
        """Return what *occasion* is counted under."""
        return None

    def _is_due(self, number: int) -> bool:
        """Return whether it happens on the occasion *number*, from 1 on."""
        return self.skip < number and (self.times is None or number <= self.skip + self.times)

    def _unplayed(self, seen: Counter[object]) -> str:
        """Return what of it did not happen, ``""`` if nothing is missing."""
        needed, happened = self.times or 1, max(sum(seen.values()) - self.skip, 0)
        return f"{happened} of {needed} times" if happened < needed else ""

    def __str__(self) -> str:
        first = f", not the first {self.skip}" if self.skip else ""
        limit = "" if self.times is None else f", {self.times} time{'s' * (self.times > 1)}"
        return f"{self._what()}{first}{limit}"

    def _what(self) -> str:
        raise NotImplementedError


def _to_path(value: str | None) -> ForwardPath | None:
    return None if value is None else ForwardPath.of(value)


@frozen
class Refuse(Trouble):
    """The server refuses: ``Refuse("RCPT", to="bob@example.org", reply="450 4.2.0 Busy")``.

    After a reply with the code 421 it closes the connection. With *to*, only this recipient counts;
    at ``"DATA"`` and ``"."`` a message to it, but in LMTP each recipient has its own reply to
    ``"."``. The reply to STARTTLS is always 454.
    """

    reply: Reply = field(
        kw_only=True,
        converter=_to_reply,
        default=Factory(lambda self: _to_reply(_REFUSALS.get(self.at, _REFUSED)), takes_self=True),
    )
    to: ForwardPath | None = field(default=None, converter=_to_path, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if self.at == "QUIT":
            raise ValueError("Refuse: QUIT cannot be refused; use Drop or Delay")
        if self.to is not None and self.at not in ("RCPT", "DATA", "."):
            raise ValueError(f"Refuse: no recipient is known at {self.at}; leave out to=")
        if self.at == "STARTTLS" and self.reply.code != 454:
            raise ValueError("Refuse: STARTTLS is always refused with 454; leave out reply=")

    def _matches(self, occasion: Occasion) -> bool:
        return super()._matches(occasion) and (self.to is None or self.to in occasion.recipients)

    def _what(self) -> str:
        return f"refuse {self.at}{f' for {self.to}' if self.to else ''} with {self.reply}"


@frozen
class Greylist(Trouble):
    """The server refuses each recipient the first time, and accepts when the sender tries again.

    The script has been played if each recipient that was refused was tried again.
    """

    at: str | int = field(default="RCPT", init=False)
    times: int | None = field(default=1, init=False)
    skip: int = field(default=0, init=False)
    reply: Reply = field(
        default=Reply(451, "4.7.1", "Greylisted, try again later"), converter=_to_reply
    )

    def _key(self, occasion: Occasion) -> object:
        return occasion.sender, *occasion.recipients

    def _unplayed(self, seen: Counter[object]) -> str:
        once = [str(key[1]) for key, number in seen.items() if number == 1]  # type: ignore[index]
        if once:
            return f"{', '.join(once)} was not tried again"
        return "" if seen else "no recipient was tried"

    def _what(self) -> str:
        return f"greylist with {self.reply}"

    def __str__(self) -> str:
        return self._what()


@frozen
class Delay(Trouble):
    """The server replies *seconds* late: ``Delay(".", 0.2)``. A message is stored before that.

    A delay ends with the test, so ``Delay("MAIL", 600)`` is a server that does not answer.
    """

    seconds: float
    _many: ClassVar[bool] = True

    def __attrs_post_init__(self) -> None:
        require_type("seconds", self.seconds, int | float, "a number of seconds")
        if not self.seconds > 0:
            raise ValueError(f"Delay: seconds must be more than 0, not {self.seconds}")

    def _what(self) -> str:
        return f"delay the reply to {self.at} by {self.seconds:g} seconds"


@frozen
class Drop(Trouble):
    """The server closes the connection instead of a reply: ``Drop("DATA")``.

    *at* may also be a number of octets: the server handles exactly so many of a connection, then it
    is gone. At ``"."`` nothing is stored, unless *stored* is true: then the client cannot know
    that its message has arrived.
    """

    stored: bool = field(default=False, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if self.stored and self.at != ".":
            raise ValueError('Drop: stored=True is for the point "."')
        if isinstance(self.at, int) and (isinstance(self.at, bool) or self.at < 1):
            raise ValueError(f"Drop: a number of octets is 1 or more, not {self.at}")

    def _what(self) -> str:
        where = f"after {self.at} octets" if isinstance(self.at, int) else f"at {self.at}"
        return f"drop the connection {where}{', after storing the message' * self.stored}"


def _to_troubles(values: Trouble | Sequence[Trouble]) -> tuple[Trouble, ...]:
    troubles: Sequence[Any] = values if isinstance(values, list | tuple) else [values]
    for one in troubles:
        require_type("trouble", one, Trouble, 'a list of values such as Refuse("RCPT")')
    return tuple(troubles)


@define(eq=False)
class Part:
    """A part of a script, and what of it has happened."""

    trouble: Trouble
    seen: Counter[object] = field(factory=Counter, init=False)

    @property
    def happened(self) -> int:
        """How often it has happened."""
        its, occasions = self.trouble, sum(self.seen.values())
        if isinstance(its, Greylist):
            return len(self.seen)
        after = max(occasions - its.skip, 0)
        return after if its.times is None else min(after, its.times)


def _to_parts(values: Trouble | Sequence[Trouble]) -> list[Part]:
    return [Part(one) for one in _to_troubles(values)]


@define
class Script:
    """Trouble in its order, and what of it has happened. Threads may share it."""

    parts: list[Part] = field(converter=_to_parts)
    _lock: threading.Lock = field(factory=threading.Lock, init=False, repr=False)
    is_over: bool = field(default=False, init=False)
    """Whether the test has ended, so that nothing of this happens any more."""

    @property
    def octets(self) -> list[int]:
        """The numbers of octets after which connections may be lost, the smallest first."""
        with self._lock:
            places = [it.trouble.at for it in self.parts]
        return sorted(it for it in places if isinstance(it, int))

    def play(self, occasion: Occasion) -> list[Trouble]:
        """Return what happens on *occasion*, and count it."""
        due: list[Trouble] = []
        with self._lock:
            for part in self.parts:
                trouble, seen = part.trouble, part.seen
                is_taken = not trouble._many and any(not one._many for one in due)
                if self.is_over or is_taken or not trouble._matches(occasion):
                    continue
                seen[key := trouble._key(occasion)] += 1
                if trouble._is_due(seen[key]):
                    due.append(trouble)
        return due

    def change(self, parts: Sequence[Part]) -> None:
        """Let *parts* be the script from now on."""
        with self._lock:
            self.parts[:] = parts

    def unplayed(self) -> list[str]:
        """Return what has not happened, each with what is missing."""
        with self._lock:
            pairs = [(it.trouble, it.trouble._unplayed(it.seen)) for it in self.parts]
        return [f"{trouble} ({missing})" for trouble, missing in pairs if missing]
