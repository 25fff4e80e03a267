"""When, in which order and on which condition a message is delivered: BY (RFC 2852), HOLDFOR and
HOLDUNTIL (RFC 4865), MT-PRIORITY (RFC 6710), RRVS (RFC 7293)."""

from __future__ import annotations

import enum
import re
from datetime import datetime
from typing import Self

from attrs import field, frozen

from ..option_types import checked
from .parameter_codec import bad_parameter, in_range
from .pattern import pattern
from .reply import GrammarError, Reply
from .timestamp import read_timestamp, to_utc, write_timestamp

MAX_SECONDS = 999_999_999  # of BY and HOLDFOR
BAD_PRIORITY = Reply(501, "5.5.2", "Syntax error in parameter")  # RFC 6710 4.1

_BY = pattern(r"([+-]?[0-9]{1,9});([NR])(T?)", re.IGNORECASE | re.ASCII)
_HOLD_FOR = pattern(r"[1-9][0-9]{0,8}")
_RRVS = pattern(r"([^;.]*)(?:;([CR]))?", re.IGNORECASE | re.ASCII)
_PRIORITY = pattern(r"0|-?[1-9]")


class ByMode(enum.Enum):
    """What a server does with a message that it cannot deliver in time (RFC 2852 4)."""

    RETURN = "R"
    NOTIFY = "N"


@checked
@frozen
class DeliverBy:
    """The value of BY (RFC 2852 4): deliver within *seconds*, else act as *mode* says.

    *seconds* are -999999999 to 999999999; with RETURN they must be above 0. *trace* asks each relay
    for a notification.
    """

    seconds: int = field(validator=in_range(-MAX_SECONDS, MAX_SECONDS))
    mode: ByMode
    trace: bool = False

    def __attrs_post_init__(self) -> None:
        if self.mode is ByMode.RETURN and self.seconds <= 0:
            raise bad_parameter("by-mode R needs a by-time above 0")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``by-time ";" by-mode [ "T" ]``. Raises GrammarError."""
        match = _BY.fullmatch(text)
        if match is None:
            raise bad_parameter("not a by-value")
        seconds, mode, trace = match.groups()
        return cls(int(seconds), ByMode(mode.upper()), bool(trace))

    def __str__(self) -> str:
        return f"{self.seconds:d};{self.mode.value}{'T' if self.trace else ''}"


def read_hold_for(text: str) -> int:
    """Read the seconds of HOLDFOR (RFC 4865 3). Raises GrammarError."""
    if not _HOLD_FOR.fullmatch(text):
        raise bad_parameter(f"must be 1 to {MAX_SECONDS} seconds")
    return int(text)


def read_hold_until(text: str) -> datetime:
    """Read the instant of HOLDUNTIL, which is written in UTC (RFC 4865 3). Raises GrammarError."""
    if text[-1:] not in ("Z", "z"):
        raise bad_parameter("not a date-time in UTC")
    return read_timestamp(text)


def read_priority(text: str) -> int:
    """Read the value of MT-PRIORITY, -9 to 9 (RFC 6710 7). Raises GrammarError."""
    if not _PRIORITY.fullmatch(text):
        raise GrammarError("must be a priority from -9 to 9", reply=BAD_PRIORITY)
    return int(text)


class NoSupport(enum.Enum):
    """What a server does with the message if the next server does not offer RRVS (RFC 7293
    5.1.1)."""

    REJECT = "R"
    CONTINUE = "C"


@checked
@frozen
class ValidSince:
    """The value of RRVS: deliver only if the mailbox has had the same owner ever *since*.

    *since* is an instant of whole seconds, kept in UTC. *action* is None if the client did not
    name one, which means REJECT.
    """

    since: datetime = field(converter=to_utc)
    action: NoSupport | None = None

    def __attrs_post_init__(self) -> None:
        if self.since.microsecond:
            raise bad_parameter("RRVS takes whole seconds")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``date-time [ ";" ( "C" / "R" ) ]``, without time-secfrac. Raises GrammarError."""
        match = _RRVS.fullmatch(text)
        if match is None:
            raise bad_parameter("must be a date-time and an action")
        action = NoSupport(match[2].upper()) if match[2] else None
        return cls(read_timestamp(match[1]), action)

    def __str__(self) -> str:
        action = "" if self.action is None else f";{self.action.value}"
        return f"{write_timestamp(self.since)}{action}"
