"""Change of case for ASCII letters only.

``str.upper`` would turn U+017F (long s) into S, and so read ``\\u017fIZE`` as the keyword SIZE.
"""

from __future__ import annotations

from string import ascii_lowercase, ascii_uppercase

_UPPER = str.maketrans(ascii_lowercase, ascii_uppercase)
_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)


def upper(text: str) -> str:
    """Return *text* with a-z in upper case and all other characters unchanged."""
    return text.upper() if text.isascii() else text.translate(_UPPER)


def lower(text: str) -> str:
    """Return *text* with A-Z in lower case and all other characters unchanged."""
    return text.lower() if text.isascii() else text.translate(_LOWER)
