"""Solicitation class keywords (RFC 3865 2.2), of SOLICIT and of NO-SOLICITING."""

from __future__ import annotations

from .parameter_codec import BAD_PARAMETER
from .pattern import pattern
from .reply import GrammarError

MAX_OCTETS = 1000  # of a list of keywords, commas included

_KEYWORD = pattern(r"[A-Za-z][A-Za-z0-9._:-]*")


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
    if not keywords or not all(_KEYWORD.fullmatch(keyword) for keyword in keywords):
        raise GrammarError("not a list of solicitation class keywords", reply=BAD_PARAMETER)
    if len(write_solicitations(keywords)) > MAX_OCTETS:
        message = f"solicitation class keywords of more than {MAX_OCTETS} octets"
        raise GrammarError(message, reply=BAD_PARAMETER)
