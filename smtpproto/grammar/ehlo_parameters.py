"""The parameters of EHLO keywords: their values, and a reader for each keyword.

The keywords of NO-SOLICITING are also those of SOLICIT in MAIL (RFC 3865 2.2). The readers raise
GrammarError for text that the keyword's RFC does not allow.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Self

from attrs import field, frozen

from ..option_types import checked
from .ascii_case import upper
from .parameter_codec import bad_parameter, in_range
from .pattern import pattern
from .reply import GrammarError
from .scheduling import MAX_SECONDS, read_hold_for, read_hold_until
from .timestamp import to_utc, write_timestamp

MAX_SOLICITATIONS = 1000  # octets of a list of keywords, commas included

_MECHANISMS = pattern(r"[A-Za-z0-9_-]{1,20}( [A-Za-z0-9_-]{1,20})*")
_ATTRIBUTE_NAMES = pattern(r"[A-Za-z]+( [A-Za-z]+)*")
_DELIVER_BY = pattern(r"([0-9]{0,9})(,[!-+\--~]+)*")
_SOLICITATION = pattern(r"[A-Za-z][A-Za-z0-9._:-]*")
_POLICY = pattern(r"[A-Za-z0-9._-]{1,20}")
_LIMIT = r"[A-Za-z0-9_-]+(=[!-:<-~]+)?"
_LIMITS = pattern(rf"{_LIMIT}( {_LIMIT})*")
_LIMIT_VALUE = pattern(r"[1-9][0-9]{0,5}")


def read_no_parameters(text: str) -> None:
    """Read the parameters of a keyword that has none."""
    if text:
        raise GrammarError("takes no parameter")


def read_size_limit(text: str) -> int | None:
    """Return the largest message size that SIZE announces, in octets. None: there is no number, or
    it is 0 (RFC 1870 3)."""
    if not re.fullmatch(r"[0-9]{0,20}", text):
        raise GrammarError("must be a number of at most 20 digits")
    return int(text or 0) or None


def read_mechanisms(text: str) -> tuple[str, ...]:
    """Return the mechanisms of AUTH, of which there is at least one (RFC 4954 3)."""
    return _upper_words(text, _MECHANISMS, "not a list of SASL mechanisms")


def read_deliver_by(text: str) -> int | None:
    """Return the min-by-time of DELIVERBY in seconds, None if there is none (RFC 2852 2)."""
    match = _DELIVER_BY.fullmatch(text)
    if match is None:
        raise GrammarError("not a min-by-time")
    return int(match[1]) if match[1] else None


def read_priority_policy(text: str) -> str | None:
    """Return the Priority Assignment Policy of MT-PRIORITY, None if there is none (RFC 6710 7)."""
    if text and not _POLICY.fullmatch(text):
        raise GrammarError("not the name of a priority policy")
    return text or None


def read_unsolicited(text: str) -> tuple[str, ...]:
    """Return the solicitation class keywords of NO-SOLICITING, which may be none (RFC 3865 2)."""
    return read_solicitations(text) if text else ()


def read_solicitations(text: str) -> tuple[str, ...]:
    """Read ``word *( "," word )``. Raises GrammarError."""
    keywords = tuple(text.split(","))
    check_solicitations(keywords)
    return keywords


def write_solicitations(keywords: tuple[str, ...]) -> str:
    """Write *keywords* as a list with commas."""
    return ",".join(keywords)


def check_solicitations(keywords: tuple[str, ...]) -> None:
    """Raise GrammarError unless *keywords* are at least one keyword, and at most 1000 octets when
    written."""
    if not keywords or not all(_SOLICITATION.fullmatch(keyword) for keyword in keywords):
        raise bad_parameter("not a list of solicitation class keywords")
    if len(write_solicitations(keywords)) > MAX_SOLICITATIONS:
        raise bad_parameter(f"solicitation class keywords of more than {MAX_SOLICITATIONS} octets")


def read_attribute_names(text: str) -> tuple[str, ...]:
    """Return the attribute names of XCLIENT or XFORWARD, of which there is at least one."""
    return _upper_words(text, _ATTRIBUTE_NAMES, "not a list of attribute names")


def _upper_words(text: str, form: re.Pattern[str], message: str) -> tuple[str, ...]:
    if not form.fullmatch(text):
        raise GrammarError(message)
    return tuple(upper(text).split())


@frozen
class FutureRelease:
    """The longest hold that FUTURERELEASE offers: *seconds* for HOLDFOR, *until* for HOLDUNTIL."""

    seconds: int = field(validator=in_range(1, MAX_SECONDS))
    until: datetime = field(converter=to_utc)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read both values, which are required (RFC 4865 3). Raises GrammarError."""
        seconds, _, until = text.partition(" ")
        return cls(read_hold_for(seconds), read_hold_until(until))

    def __str__(self) -> str:
        return f"{self.seconds:d} {write_timestamp(self.until)}"


@checked
@frozen(kw_only=True)
class SessionLimits:
    """The limits that LIMITS announces (RFC 9422). Each is 1 to 999999, or None if not given."""

    mail_max: int | None = field(default=None, validator=in_range(1, 999_999))
    """MAIL commands in a session."""
    rcpt_max: int | None = field(default=None, validator=in_range(1, 999_999))
    """Recipients in a transaction."""
    rcpt_domain_max: int | None = field(default=None, validator=in_range(1, 999_999))
    """Different recipient domains in a session."""

    @property
    def per_connection(self) -> bool:
        """Whether a limit is for one connection, so that a new connection allows more."""
        return self.mail_max is not None or self.rcpt_domain_max is not None

    @classmethod
    def parse(cls, text: str, *, lenient: bool = False) -> Self:
        """Read ``limit *( SP limit )``, and ignore unknown names. Raises GrammarError.

        If *lenient*, a limit whose value is wrong is ignored, too (RFC 9422 3).
        """
        if not _LIMITS.fullmatch(text):
            raise GrammarError("not a list of limits")
        limits = {}
        for name, _, value in (limit.partition("=") for limit in text.split(" ")):
            attribute, valid = _LIMIT_NAMES.get(upper(name)), _LIMIT_VALUE.fullmatch(value)
            if attribute is not None and valid:
                limits[attribute] = int(value)
            elif attribute is not None and not lenient:
                raise GrammarError("a limit must be 1 to 999999")
        return cls(**limits)

    def __str__(self) -> str:
        values = ((name, getattr(self, attribute)) for name, attribute in _LIMIT_NAMES.items())
        return " ".join(f"{name}={number:d}" for name, number in values if number is not None)


_LIMIT_NAMES = {"MAILMAX": "mail_max", "RCPTMAX": "rcpt_max", "RCPTDOMAINMAX": "rcpt_domain_max"}
read_valid_limits: Callable[[str], SessionLimits] = partial(SessionLimits.parse, lenient=True)
