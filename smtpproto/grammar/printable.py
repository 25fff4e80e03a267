"""Makes text from a peer safe to show."""

from __future__ import annotations

_SHOWN = 60  # characters or octets


def printable(text: bytes | str) -> str:
    """Return *text* with everything that is not a printable character escaped.

    Octets that are not UTF-8 become ``\\xff``, control characters ``\\r``, ``\\x1b`` and so on: the
    result never breaks a line or moves a cursor.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def quoted(text: bytes | str) -> str:
    """Return the beginning of *text* in quotes, as errors show it."""
    return repr(printable(text[:_SHOWN]))


def is_text(text: str) -> bool:
    """Return whether *text* can be written as UTF-8: it has no surrogates."""
    return not any("\ud800" <= it <= "\udfff" for it in text)
