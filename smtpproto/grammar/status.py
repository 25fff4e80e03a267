"""Enhanced mail system status codes (RFC 3463, carried by RFC 2034)."""

from __future__ import annotations

import re
from typing import Self

from attrs import frozen

from ..errors import GrammarError
from .status_meanings import MEANINGS

_CODE = re.compile(r"([245])\.(0|[1-9][0-9]{0,2})\.(0|[1-9][0-9]{0,2})")


@frozen(order=True)
class EnhancedCode:
    """``class.subject.detail`` (RFC 3463 2), e.g. ``EnhancedCode(5, 7, 1)``."""

    class_: int
    subject: int
    detail: int

    def __attrs_post_init__(self) -> None:
        if not _CODE.fullmatch(str(self)):
            raise GrammarError(f"not an enhanced status code: {str(self)[:20]!r}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``5.7.1``. Raises GrammarError for anything else, leading zeros included."""
        match = _CODE.fullmatch(text)
        if match is None:
            raise GrammarError(f"not an enhanced status code: {text[:20]!r}")
        return cls(*map(int, match.groups()))

    @classmethod
    def at_start(cls, text: str) -> Self | None:
        """Read the code that a reply's text starts with (RFC 2034 4), or None."""
        head, _, _ = text.partition(" ")
        match = _CODE.fullmatch(head)
        return cls(*map(int, match.groups())) if match else None

    @property
    def meaning(self) -> str:
        """What subject and detail say, for people. Of a detail that is not known here, what its
        subject says in general; of such a subject, that nothing more is known (RFC 3463 2)."""
        known = (self.subject, self.detail), (self.subject, 0), (0, 0)
        return next(MEANINGS[pair] for pair in known if pair in MEANINGS)

    def __str__(self) -> str:
        return f"{self.class_}.{self.subject}.{self.detail}"
