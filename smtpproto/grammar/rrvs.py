"""Require-Recipient-Valid-Since (RFC 7293): the RRVS parameter of RCPT."""

from __future__ import annotations

import enum
import re
from datetime import datetime
from typing import Self

from attrs import Attribute, field, frozen

from ..option_types import checked
from .parameter_codec import BAD_PARAMETER
from .pattern import pattern
from .reply import GrammarError
from .timestamp import read_timestamp, to_utc, write_timestamp

_RRVS = pattern(r"([^;.]*)(?:;([CR]))?", re.IGNORECASE | re.ASCII)


class NoSupport(enum.Enum):
    """What a server does with the message if the next server does not offer RRVS (RFC 7293
    5.1.1)."""

    REJECT = "R"
    CONTINUE = "C"


def _check_whole_seconds(_instance: object, _attribute: Attribute[datetime], at: datetime) -> None:
    if at.microsecond:
        raise GrammarError("RRVS takes whole seconds", reply=BAD_PARAMETER)


@checked
@frozen
class ValidSince:
    """The value of RRVS: deliver only if the mailbox has had the same owner ever *since*.

    *since* is an instant of whole seconds, kept in UTC. *action* is None if the client did not
    name one, which means REJECT.
    """

    since: datetime = field(converter=to_utc, validator=_check_whole_seconds)
    action: NoSupport | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``date-time [ ";" ( "C" / "R" ) ]``, without time-secfrac. Raises GrammarError."""
        match = _RRVS.fullmatch(text)
        if match is None:
            raise GrammarError("must be a date-time and an action", reply=BAD_PARAMETER)
        action = NoSupport(match[2].upper()) if match[2] else None
        return cls(read_timestamp(match[1]), action)

    def __str__(self) -> str:
        action = "" if self.action is None else f";{self.action.value}"
        return f"{write_timestamp(self.since)}{action}"
