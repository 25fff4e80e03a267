"""Case of ASCII letters only: ``str.upper`` makes SIZE of a keyword that begins with a long s."""

from __future__ import annotations

from string import ascii_lowercase, ascii_uppercase

_UPPER = str.maketrans(ascii_lowercase, ascii_uppercase)
_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)


def upper(text: str) -> str:
    """*text* with a-z in upper case, other characters as they are."""
    return text.upper() if text.isascii() else text.translate(_UPPER)


def lower(text: str) -> str:
    """*text* with A-Z in lower case, other characters as they are."""
    return text.lower() if text.isascii() else text.translate(_LOWER)
