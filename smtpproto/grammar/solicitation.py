"""Solicitation class keywords (RFC 3865 2.2), of SOLICIT and of NO-SOLICITING."""

from __future__ import annotations

import re

from .parameter_codec import SYNTAX
from .reply import GrammarError

MAX_OCTETS = 1000

_KEYWORD = re.compile(r"[A-Za-z][A-Za-z0-9._:-]*")


def read_solicitations(text: str) -> tuple[str, ...]:
    """Read ``word *( "," word )``. Raises GrammarError."""
    keywords = tuple(text.split(","))
    check_solicitations(keywords)
    return keywords


def write_solicitations(keywords: tuple[str, ...]) -> str:
    """Write what :func:`read_solicitations` reads."""
    return ",".join(keywords)


def check_solicitations(keywords: tuple[str, ...]) -> None:
    """Raise GrammarError unless these are one keyword or more, of at most 1000 octets in all."""
    if not keywords or not all(_KEYWORD.fullmatch(keyword) for keyword in keywords):
        raise GrammarError("not solicitation class keywords", reply=SYNTAX)
    if len(write_solicitations(keywords)) > MAX_OCTETS:
        raise GrammarError("solicitation class keywords of more than 1000 octets", reply=SYNTAX)
