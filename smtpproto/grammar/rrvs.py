"""Require-Recipient-Valid-Since (RFC 7293): the parameter of RCPT."""

from __future__ import annotations

import enum
import re
from datetime import datetime
from typing import Self

from attrs import field, frozen

from .parameter_codec import SYNTAX
from .reply import GrammarError
from .timestamp import read_timestamp, to_utc, write_timestamp

_RRVS = re.compile(r"([^;.]*)(?:;([CR]))?", re.IGNORECASE | re.ASCII)


class NoSupport(enum.Enum):
    """What to do where the next server does not know RRVS (RFC 7293 5.1.1)."""

    REJECT = "R"
    CONTINUE = "C"


@frozen
class ValidSince:
    """The value of RRVS: the mailbox must have been its owner's ever *since*, an instant of whole
    seconds, kept in UTC. *action* is None where the client did not say it; it means REJECT then."""

    since: datetime = field(converter=to_utc)
    action: NoSupport | None = None

    @since.validator
    def _check(self, _: object, since: datetime) -> None:
        if since.microsecond:
            raise GrammarError("RRVS takes whole seconds", reply=SYNTAX)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``date-time [ ";" ( "C" / "R" ) ]``, without time-secfrac. Raises GrammarError."""
        match = _RRVS.fullmatch(text)
        if match is None:
            raise GrammarError("not a date-time and an action", reply=SYNTAX)
        action = NoSupport(match[2].upper()) if match[2] else None
        return cls(read_timestamp(match[1]), action)

    def __str__(self) -> str:
        action = "" if self.action is None else f";{self.action.value}"
        return f"{write_timestamp(self.since)}{action}"
