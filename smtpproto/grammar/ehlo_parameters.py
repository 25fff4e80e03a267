"""What EHLO keywords say in their parameters: values, and how each is read.

The readers raise GrammarError for what their RFC does not allow.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Self

from attrs import field, frozen

from .ascii_case import upper
from .parameter_codec import within
from .reply import GrammarError
from .scheduling import MAX_SECONDS, read_hold_for, read_hold_until
from .solicitation import read_solicitations
from .timestamp import to_utc, write_timestamp

_MECHANISMS = re.compile(r"[A-Za-z0-9_-]{1,20}( [A-Za-z0-9_-]{1,20})*")
_NAMES = re.compile(r"[A-Za-z]+( [A-Za-z]+)*")
_DELIVER_BY = re.compile(r"([0-9]{0,9})(,[!-+\--~]+)*")
_POLICY = re.compile(r"[A-Za-z0-9._-]{1,20}")
_LIMIT = r"[A-Za-z0-9_-]+(=[!-:<-~]+)?"
_LIMITS = re.compile(rf"{_LIMIT}( {_LIMIT})*")
_LIMIT_VALUE = re.compile(r"[1-9][0-9]{0,5}")


def nothing(text: str) -> None:
    """Read the parameters of a keyword that has none."""
    if text:
        raise GrammarError("takes no parameter")


def read_size_limit(text: str) -> int | None:
    """Read the largest message of SIZE in octets; None for no number, or for 0 (RFC 1870 3)."""
    if not re.fullmatch(r"[0-9]{0,20}", text):
        raise GrammarError("not a number of at most 20 digits")
    return int(text or 0) or None


def read_mechanisms(text: str) -> tuple[str, ...]:
    """Read the mechanisms of AUTH, one at least (RFC 4954 3)."""
    if not _MECHANISMS.fullmatch(text):
        raise GrammarError("not a list of SASL mechanisms")
    return tuple(upper(text).split())


def read_deliver_by(text: str) -> int | None:
    """Read the min-by-time of DELIVERBY in seconds, None if there is none (RFC 2852 2)."""
    match = _DELIVER_BY.fullmatch(text)
    if match is None:
        raise GrammarError("not a min-by-time")
    return int(match[1]) if match[1] else None


def read_policy(text: str) -> str | None:
    """Read the Priority Assignment Policy of MT-PRIORITY, None if there is none (RFC 6710 7)."""
    if text and not _POLICY.fullmatch(text):
        raise GrammarError("not the name of a policy")
    return text or None


def read_unsolicited(text: str) -> tuple[str, ...]:
    """Read the solicitation class keywords of NO-SOLICITING, or none (RFC 3865 2)."""
    return read_solicitations(text) if text else ()


def read_names(text: str) -> tuple[str, ...]:
    """Read the attribute names of XCLIENT and XFORWARD, one at least."""
    if not _NAMES.fullmatch(text):
        raise GrammarError("not a list of attribute names")
    return tuple(upper(text).split())


@frozen
class FutureRelease:
    """The most that FUTURERELEASE offers: *seconds* for HOLDFOR, *until* for HOLDUNTIL."""

    seconds: int = field(validator=within(1, MAX_SECONDS))
    until: datetime = field(converter=to_utc)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read both, which are required (RFC 4865 3). Raises GrammarError."""
        seconds, _, until = text.partition(" ")
        return cls(read_hold_for(seconds), read_hold_until(until))

    def __str__(self) -> str:
        return f"{self.seconds:d} {write_timestamp(self.until)}"


@frozen(kw_only=True)
class SessionLimits:
    """LIMITS (RFC 9422): commands MAIL of a session, recipients of a transaction, and different
    domains of recipients of a session. Each is 1 to 999999, or None: nothing is said."""

    mail_max: int | None = field(default=None, validator=within(1, 999_999))
    rcpt_max: int | None = field(default=None, validator=within(1, 999_999))
    rcpt_domain_max: int | None = field(default=None, validator=within(1, 999_999))

    @property
    def per_connection(self) -> bool:
        """Whether a new connection may do what this one may not any more."""
        return self.mail_max is not None or self.rcpt_domain_max is not None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``limit *( SP limit )``; names not known here say nothing. Raises GrammarError."""
        return cls(**{name: _limit(value) for name, value in _known_limits(text)})

    @classmethod
    def parse_leniently(cls, text: str) -> Self:
        """Read what a peer says: bad syntax says nothing at all, a bad value nothing of that limit
        (RFC 9422 3)."""
        try:
            known = _known_limits(text)
        except GrammarError:
            known = []
        return cls(**{name: int(value) for name, value in known if _LIMIT_VALUE.fullmatch(value)})

    def __str__(self) -> str:
        said = ((name, getattr(self, attribute)) for name, attribute in _LIMIT_NAMES.items())
        return " ".join(f"{name}={number:d}" for name, number in said if number is not None)


_LIMIT_NAMES = {"MAILMAX": "mail_max", "RCPTMAX": "rcpt_max", "RCPTDOMAINMAX": "rcpt_domain_max"}


def _known_limits(text: str) -> list[tuple[str, str]]:
    """The attributes of the known limits in *text*, with their values as they stand there."""
    if not _LIMITS.fullmatch(text):
        raise GrammarError("not a list of limits")
    limits = (limit.partition("=") for limit in text.split(" "))
    named = ((_LIMIT_NAMES.get(upper(name)), value) for name, _, value in limits)
    return [(name, value) for name, value in named if name is not None]


def _limit(value: str) -> int:
    if not _LIMIT_VALUE.fullmatch(value):
        raise GrammarError("a limit is 1 to 999999")
    return int(value)
